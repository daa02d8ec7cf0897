from pathlib import Path

import pytest

from dfx.datasets import ASVspoof2019
from replicas import corpus, found

PROTOCOL = Path(__file__).parents[3] / "shared" / "data" / "scores" / "asvspoof2019_la_protocol.txt"
NAME = "asvspoof2019_la"


def test_rows_of_la(replica):
    dataset = corpus(NAME, replica(NAME))
    table = dataset.manifest().table
    row = table.set_index("id").loc["LA_D_1000002"]
    assert row[["label", "attack", "speaker", "split"]].tolist() == [0, "A01", "LA_0000", "dev"]
    assert Path(row["path"]).parts[-3:] == ("ASVspoof2019_LA_dev", "flac", "LA_D_1000002.flac")
    assert "environment" not in table
    assert found(dataset)["files-without-row"].severity == "note"
    assert not table["id"].str.contains("_A0").any()  # recordings that enrol speakers


def test_pa_tells_room_and_replay_apart(replica):
    table = corpus("asvspoof2019_pa", replica("asvspoof2019_pa")).manifest().table.set_index("id")
    spoof, bonafide = table.loc["PA_T_1000004"], table.loc["PA_T_1000003"]
    assert spoof[["attack", "environment"]].tolist() == ["AB", "aba"]
    assert spoof[["room_size", "reverberation", "talker_distance"]].tolist() == ["a", "b", "a"]
    assert spoof[["attacker_distance", "replay_device"]].tolist() == ["a", "b"]
    assert bonafide[["attack", "attacker_distance", "replay_device"]].tolist() == ["-", "-", "-"]


def test_one_access_is_not_taken_for_the_other(replica):
    with pytest.raises(ValueError, match=r"(?s)_la was not found.*holds 'PA'.*ASVspoof2019.LA.cm.train"):
        corpus(NAME, replica("asvspoof2019_pa")).manifest()
    with pytest.raises(ValueError, match="no access 'DF': use LA or PA"):
        ASVspoof2019(access="DF")


def test_the_inner_folder_and_copies_of_the_protocols_are_found(changed):
    root = changed(NAME) / "LA"
    whole = corpus(NAME, root).manifest()
    (root / "ASVspoof2019_LA_cm_protocols").rename(root / "protocols")
    train = root / "protocols" / "ASVspoof2019.LA.cm.train.trn.txt"
    rows = [line.split() for line in train.read_text().splitlines()]  # no third column, and called .trl
    train.with_name("ASVspoof2019.LA.cm.train.trl.txt").write_text(
        "".join(f"{speaker} {name} {attack} {key}\n" for speaker, name, _, attack, key in rows)
    )
    train.unlink()
    assert corpus(NAME, root).manifest().hash == whole.hash


def test_audio_in_another_format_and_ids_with_spaces(changed):
    root = changed(NAME)
    folder = root / "LA" / "ASVspoof2019_LA_train" / "flac"
    for path in folder.glob("LA_*.flac"):
        path.rename(path.with_suffix(".wav"))
    (folder / "LA_T_1000001.wav").rename(folder / "LA T 1.wav")
    protocol = root / "LA" / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.train.trn.txt"
    protocol.write_text(protocol.read_text().replace("LA_T_1000001", "LA T 1"))
    dataset = corpus(NAME, root)
    table = dataset.manifest().table
    assert (table["path"].str.endswith(".wav")).sum() == (table["split"] == "train").sum() > 0
    assert "rows-without-file" not in found(dataset)
    assert table.iloc[0][["id", "speaker", "label"]].tolist() == ["LA T 1", "LA_0000", 1]


def test_a_split_that_does_not_exist_is_counted(changed):
    root = changed(NAME)
    (root / "LA" / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.eval.trl.txt").unlink()
    dataset = corpus(NAME, root)
    assert dataset.manifest().counts().index.tolist() == ["train", "dev"]
    words = "has 0 bonafide and 0 spoof rows in eval, its authors publish 7355 and 63882"
    assert words in dataset.findings[-1].text


@pytest.mark.skipif(not PROTOCOL.is_file(), reason="the published protocol is not in ../shared/data/scores")
def test_the_published_protocol_has_the_official_counts(tmp_path):
    folder = tmp_path / "LA" / "ASVspoof2019_LA_cm_protocols"
    folder.mkdir(parents=True)
    rows = PROTOCOL.read_text().splitlines()
    for name, letter in (("train.trn", "T"), ("dev.trl", "D"), ("eval.trl", "E")):
        part = "".join(f"{line}\n" for line in rows if f" LA_{letter}_" in line)
        (folder / f"ASVspoof2019.LA.cm.{name}.txt").write_text(part)
    dataset = corpus(NAME, tmp_path)
    manifest = dataset.manifest()
    assert manifest.counts().to_numpy().tolist() == [[2580, 22800], [2548, 22296], [7355, 63882]]
    attacks = manifest.table.groupby("split")["attack"].unique()
    assert sorted(attacks["train"]) == ["-", *[f"A{number:02d}" for number in range(1, 7)]]
    assert sorted(attacks["eval"]) == ["-", *[f"A{number:02d}" for number in range(7, 20)]]
    missing = [(finding.kind, finding.count) for finding in dataset.findings]  # no audio, and no wrong count
    assert missing == [("rows-without-file", count) for count in (25380, 24844, 71237)]
