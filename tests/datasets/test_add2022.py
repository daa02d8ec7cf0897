import pytest

from replicas import corpus, found


def test_rows_of_the_protocol(replica):
    dataset = corpus("add2022", replica("add2022"))
    row = dataset.manifest().table.set_index("id").loc["ADD_E1_1000002"]
    assert row[["label", "attack", "split"]].tolist() == [0, "spoof", "eval"]
    assert "has 12 rows in eval, its authors publish 109199" in dataset.findings[-1].text


def test_label_files_in_the_folders_of_the_audio(changed):
    root = changed("add2022")
    whole = corpus("add2022", root).manifest()
    labels = root / "ADD_train_dev" / "label"
    for split in ("train", "dev"):
        text = (labels / f"{split}_label.txt").read_text().replace(".wav", "")
        (root / "ADD_train_dev" / split / "label.txt").write_text(text)
    assert corpus("add2022", root).manifest().hash == whole.hash  # repeated rows count once
    for path in labels.iterdir():
        path.unlink()
    (root / "track1_label.txt").rename(root / "track1test" / "label.txt")
    assert set(corpus("add2022", root).manifest().table["id"]) == set(whole.table["id"])
    for split in ("train", "dev"):
        (root / "ADD_train_dev" / split).rename(root / split)
    dataset = corpus("add2022", root)
    assert set(dataset.manifest().table["id"]) == set(whole.table["id"])
    assert set(found(dataset)) == {"row-count"}


def test_other_tracks_are_left_out(changed):
    root = changed("add2022")
    (root / "track3_R1_label.txt").write_text("ADD_E3_00000000.wav spoof 0\nADD_E3_00000001.wav bonafide 0\n")
    dataset = corpus("add2022", root)
    assert len(dataset.manifest()) == 36
    left = found(dataset)["other-track"]
    assert (left.severity, left.count, left.examples[0]) == ("note", 2, "ADD_E3_00000000")


def test_nothing_of_track_1_is_explained(tmp_path):
    (tmp_path / "track1test").mkdir()
    with pytest.raises(ValueError, match=r"add2022 was not found: .* no \*label\*\.txt"):
        corpus("add2022", tmp_path).manifest()
    (tmp_path / "label.txt").write_text("a.wav genuine\nb.wav fake\n")
    with pytest.raises(ValueError, match="no row of a label file is called ADD_T_, ADD_D_ or ADD_E1_"):
        corpus("add2022", tmp_path).manifest()
