import pytest

from replicas import corpus, found

NAME = "asvspoof5"


def test_columns_of_the_release(replica):
    table = corpus(NAME, replica(NAME)).manifest().table.set_index("id")
    columns = ["speaker", "gender", "codec", "codec_quality", "original_utterance", "attack_condition", "attack"]
    assert table.loc["E_0001000004", columns].tolist() == ["E_0000", "M", "C04", "2", "E_0001000003", "AC1", "A04"]
    assert table.loc["T_0001000001", [*columns, "label"]].tolist() == [*["T_0000", "F", "-", "-", "-", "-", "-"], 1]


def test_protocols_beside_the_audio_and_folders_twice_over(changed):
    root = changed(NAME)
    whole = corpus(NAME, root).manifest()
    for path in (root / "ASVspoof5_protocols").iterdir():
        path.rename(root / path.name)
    for name in ("flac_T", "flac_D"):
        (root / name).rename(root / "x")
        (root / name).mkdir()
        (root / "x").rename(root / name / name)
    (root / "release").mkdir()
    (root / "flac_E_eval").rename(root / "release" / "flac_E_eval")
    (root / "flac_E_aa.tar").touch()  # the archive of the folder
    dataset = corpus(NAME, root)
    assert dataset.manifest().hash == whole.hash
    assert "rows-without-file" not in found(dataset)


def test_the_metadata_of_the_challenge_phase(changed):
    root = changed(NAME)
    folder = root / "ASVspoof5_protocols"
    for split, name in (("train", "train"), ("dev", "dev.track_1")):
        path = folder / f"ASVspoof5.{name}.tsv"
        rows = [line.split() for line in path.read_text().splitlines()]
        old = "".join(f"{row[0]} {row[1]} {row[2]} - {row[7]} {row[8]}\n" for row in rows)
        (folder / f"ASVspoof5.{split}.metadata.txt").write_text(old)
        path.unlink()
    table = corpus(NAME, root).manifest().table
    assert set(table["split"]) == {"train", "dev", "eval"}
    train = table[table["split"] == "train"]
    assert set(train["attack_condition"]) == {"-"}
    assert set(train["attack"]) == {"-", "A02", "A04", "A06", "A08"}
    (folder / "ASVspoof5.eval.track_1.tsv").unlink()
    dataset = corpus(NAME, root)
    table = dataset.manifest().table
    assert set(table["split"]) == {"train", "dev"}
    assert "codec_quality" not in table
    assert "rows in eval, its authors publish 138688 and 542086" in dataset.findings[-1].text


def test_track_2_is_refused_with_a_reason(changed):
    root = changed(NAME)
    folder = root / "ASVspoof5_protocols"
    (folder / "ASVspoof5.dev.track_2.trial.tsv").rename(folder / "ASVspoof5.dev.track_1.tsv")
    with pytest.raises(ValueError, match=r"has 5 columns in its first line .* dfx reads 10 columns .* or 6 columns"):
        corpus(NAME, root).manifest()
    for split in ("train", "dev.track_1", "eval.track_1"):
        (folder / f"ASVspoof5.{split}.tsv").unlink()
    with pytest.raises(ValueError, match="no protocol of track 1") as error:
        corpus(NAME, root).manifest()
    assert "track_2 files list pairs of an utterance and a claimed speaker" in str(error.value)
