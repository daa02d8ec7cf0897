import pytest

from replicas import corpus, lines


def test_fakes_and_recordings_are_read(replica):
    table = corpus("mlaad", replica("mlaad")).manifest().table
    assert table["label"].value_counts().to_dict() == {0: 60, 1: 40}  # no transcript swallowed a row
    assert set(table[table["label"] == 0]["attack"]) == {
        "tts_models/en/ljspeech/vits",
        "Cartesia.ai (Sonic-3)",
        "hexgrad/Kokoro-82M",
    }
    row = table.set_index("id").loc["fake/ja/kokoro/northandsouth_02_f000001"]
    assert row[["language", "is_original_language", "architecture"]].tolist() == ["ja", "False", "VITS"]
    assert row["transcript"] == "「はい」 \u2028 yes"
    groups = table.groupby("utterance")
    assert groups.size().value_counts().to_dict() == {4: 20, 1: 20}
    assert (groups["label"].sum() == 1).all()
    real = table[table["label"] == 1]
    assert set(real["speaker"]) == {"mary_ann_0", "mary_ann_1", "mary_ann_2", "-"}
    assert set(real[real["speaker"] == "-"]["book"]) == {"don_quijote"}
    assert set(real["gender"]) == {"female", "mix"}


def test_recordings_may_be_missing_or_elsewhere(changed, tmp_path, monkeypatch):
    root = changed("mlaad")
    expected = corpus("mlaad", root).manifest().hash
    (root / "M-AILABS").rename(tmp_path / "recordings")
    monkeypatch.delenv("DFX_DATA", raising=False)
    dataset = corpus("mlaad", root)
    assert (dataset.manifest().table["label"] == 0).all()
    assert [found.kind for found in dataset.findings] == ["no-bonafide"]
    given = corpus("mlaad", root, mailabs_root=str(tmp_path / "recordings"))
    assert given.manifest().hash == expected
    with pytest.raises(ValueError, match=r"dataset\.mailabs_root=.* has no .*by_book: give the folder of M-AILABS"):
        corpus("mlaad", root, mailabs_root=str(root)).manifest()


def test_later_versions_with_other_columns_and_spellings_are_read(changed):
    root = changed("mlaad")
    file = root / "MLAAD" / "fake" / "ja" / "kokoro" / "meta.csv"
    head, *rows = file.read_text().rstrip("\n").split("\n")
    rows = [row.replace("/ja/kokoro/", "/jp/kokoro/").replace("|en_US/", "|real/en_US/") + "|af_heart" for row in rows]
    lines(file, f"{head}|reference_speaker", *rows)
    dataset = corpus("mlaad", root)
    table = dataset.manifest().table
    assert table["reference_speaker"].value_counts().to_dict() == {"-": 80, "af_heart": 20}
    assert table.groupby("utterance").size().value_counts().to_dict() == {4: 20, 1: 20}
    assert dataset.findings == ()


def many_readers(root, count):
    """Give the recordings, and the fakes of them, to so many readers."""
    folder = root / "M-AILABS" / "en_US" / "by_book"
    for number in range(40):
        (old,) = [path for path in folder.rglob(f"northandsouth_{number:02d}_*.wav") if not path.name.startswith("._")]
        place = f"female/reader_{number % count}/northandsouth/wavs/{old.name}"
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        before = str(old.relative_to(root / "M-AILABS"))
        old.rename(folder / place)
        for table in root.rglob("meta.csv"):
            table.write_text(table.read_text().replace(before, f"en_US/by_book/{place}"))


def test_a_reader_is_in_one_split_where_there_are_enough(changed):
    root = changed("mlaad")
    many_readers(root, 20)
    dataset = corpus("mlaad", root)
    table = dataset.manifest().table
    real = table[table["label"] == 1]
    assert real["speaker"].nunique() == 20
    assert (real.groupby("speaker")["split"].nunique() == 1).all()
    assert (table.groupby("utterance")["split"].nunique() == 1).all()
    assert (table.groupby(["split", "label"]).size() >= 4).all()
    assert not dataset.findings


def test_few_readers_are_divided_with_a_warning(changed):
    root = changed("mlaad")
    many_readers(root, 2)
    dataset = corpus("mlaad", root)
    table = dataset.manifest().table
    assert (table.groupby("utterance")["split"].nunique() == 1).all()
    assert (table.groupby(["split", "label"]).size() >= 4).all()
    (found,) = dataset.findings
    assert found.kind == "speakers-divided"
    assert "each of the 2 readers of M-AILABS" in found.text
