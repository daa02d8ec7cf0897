from __future__ import annotations

from pathlib import Path

import pytest
import replicas
import soundfile
import yaml

from dfx.config.schema import CONF_DIR
from dfx.datasets import ASVspoof2019

PROTOCOL = Path(__file__).parents[3] / "shared" / "data" / "scores" / "asvspoof2019_la_protocol.txt"


def corpus(root: Path, access: str = "LA") -> ASVspoof2019:
    facts = yaml.safe_load((CONF_DIR / "dataset" / f"asvspoof2019_{access.lower()}.yaml").read_text())[
        "facts"
    ]
    return ASVspoof2019(access=access, root=str(root), facts=facts)


def kinds(dataset: ASVspoof2019) -> list[str]:
    return [found.kind for found in dataset.findings if found.kind != "row-count"]


def test_la_as_it_unpacks(tmp_path: Path) -> None:
    dataset = corpus(replicas.asvspoof2019_la(tmp_path))
    manifest = dataset.manifest()
    assert manifest.counts().to_numpy().tolist() == [[6, 6]] * 3
    row = manifest.table.set_index("id").loc["LA_D_1000002"]
    assert row[["label", "attack", "speaker", "split"]].tolist() == [0, "A01", "LA_0000", "dev"]
    assert Path(row["path"]).parts[-3:] == ("ASVspoof2019_LA_dev", "flac", "LA_D_1000002.flac")
    assert "environment" not in manifest.table
    assert all(soundfile.info(path).frames for path in manifest.table["path"])


def test_recordings_that_enrol_speakers_are_a_note(tmp_path: Path) -> None:
    dataset = corpus(replicas.asvspoof2019_la(tmp_path))
    table = dataset.manifest().table
    assert kinds(dataset) == ["files-without-row"] * 2
    assert {found.severity for found in dataset.findings if found.kind == "files-without-row"} == {"note"}
    assert not table["id"].str.contains("_A0").any()


def test_pa_tells_room_and_replay_apart(tmp_path: Path) -> None:
    table = corpus(replicas.asvspoof2019_pa(tmp_path), "PA").manifest().table.set_index("id")
    spoof, bonafide = table.loc["PA_T_1000004"], table.loc["PA_T_1000003"]
    assert spoof[["attack", "environment"]].tolist() == ["AB", "aba"]
    assert spoof[["room_size", "reverberation", "talker_distance"]].tolist() == ["a", "b", "a"]
    assert spoof[["attacker_distance", "replay_device"]].tolist() == ["a", "b"]
    assert bonafide[["attack", "attacker_distance", "replay_device"]].tolist() == ["-", "-", "-"]


def test_one_access_is_not_taken_for_the_other(tmp_path: Path) -> None:
    replicas.asvspoof2019_pa(tmp_path)
    with pytest.raises(
        ValueError, match=r"(?s)asvspoof2019_la was not found.*holds 'PA'.*ASVspoof2019.LA.cm.train"
    ):
        corpus(tmp_path).manifest()
    with pytest.raises(ValueError, match="no access 'DF': use LA or PA"):
        ASVspoof2019(access="DF")


def test_the_inner_folder_and_copies_of_the_protocols_are_found(tmp_path: Path) -> None:
    root = replicas.asvspoof2019_la(tmp_path) / "LA"
    whole = corpus(root).manifest()
    (root / "ASVspoof2019_LA_cm_protocols").rename(root / "protocols")
    train = root / "protocols" / "ASVspoof2019.LA.cm.train.trn.txt"
    lines = [
        line.split() for line in train.read_text().splitlines()
    ]  # without the third column, and called .trl
    train.with_name("ASVspoof2019.LA.cm.train.trl.txt").write_text(
        "".join(f"{speaker} {name} {attack} {key}\n" for speaker, name, _, attack, key in lines)
    )
    train.unlink()
    assert corpus(root).manifest().hash == whole.hash


def test_audio_in_another_format_is_found(tmp_path: Path) -> None:
    root = replicas.asvspoof2019_la(tmp_path)
    for path in (root / "LA" / "ASVspoof2019_LA_train" / "flac").glob("LA_*.flac"):
        path.rename(path.with_suffix(".wav"))
    dataset = corpus(root)
    assert (dataset.manifest().table["path"].str.endswith(".wav")).sum() == 12
    assert "rows-without-file" not in kinds(dataset)


def test_a_split_that_is_not_there_is_counted(tmp_path: Path) -> None:
    root = replicas.asvspoof2019_la(tmp_path)
    (root / "LA" / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.eval.trl.txt").unlink()
    dataset = corpus(root)
    assert dataset.manifest().counts().index.tolist() == ["train", "dev"]
    assert (
        "has 0 bonafide and 0 spoof rows in eval, its authors publish 7355 and 63882"
        in dataset.findings[-1].text
    )


def test_ids_with_spaces(tmp_path: Path) -> None:
    root = replicas.asvspoof2019_la(tmp_path)
    folder = root / "LA" / "ASVspoof2019_LA_train" / "flac"
    (folder / "LA_T_1000001.flac").rename(folder / "LA T 1.flac")
    protocol = root / "LA" / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.train.trn.txt"
    protocol.write_text(protocol.read_text().replace("LA_T_1000001", "LA T 1"))
    dataset = corpus(root)
    row = dataset.manifest().table.iloc[0]
    assert row[["id", "speaker", "label"]].tolist() == ["LA T 1", "LA_0000", 1]
    assert Path(row["path"]).is_file()


@pytest.mark.skipif(not PROTOCOL.is_file(), reason="the published protocol is not in ../shared/data/scores")
def test_the_published_protocol_has_the_official_counts(tmp_path: Path) -> None:
    folder = tmp_path / "LA" / "ASVspoof2019_LA_cm_protocols"
    folder.mkdir(parents=True)
    lines = PROTOCOL.read_text().splitlines()
    for name, letter in (("train.trn", "T"), ("dev.trl", "D"), ("eval.trl", "E")):
        part = "".join(f"{line}\n" for line in lines if f" LA_{letter}_" in line)
        (folder / f"ASVspoof2019.LA.cm.{name}.txt").write_text(part)
    dataset = corpus(tmp_path)
    manifest = dataset.manifest()
    counts = manifest.counts()
    assert counts.sum(axis=1).to_dict() == {"train": 25380, "dev": 24844, "eval": 71237}
    assert counts["bonafide"].to_dict() == {"train": 2580, "dev": 2548, "eval": 7355}
    attacks = manifest.table.groupby("split")["attack"].unique()
    assert sorted(attacks["train"]) == ["-", *[f"A{number:02d}" for number in range(1, 7)]]
    assert sorted(attacks["eval"]) == ["-", *[f"A{number:02d}" for number in range(7, 20)]]
    assert [found.kind for found in dataset.findings] == [
        "rows-without-file"
    ] * 3  # no audio, and no wrong count
    assert [found.count for found in dataset.findings] == [25380, 24844, 71237]
