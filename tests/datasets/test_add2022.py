from __future__ import annotations

from pathlib import Path

import pytest
import replicas
import soundfile
import yaml

from dfx.config.schema import CONF_DIR
from dfx.datasets import ADD2022


def corpus(root: Path) -> ADD2022:
    facts = yaml.safe_load((CONF_DIR / "dataset" / "add2022.yaml").read_text())["facts"]
    return ADD2022(root=str(root), facts=facts)


def kinds(dataset: ADD2022) -> list[str]:
    return [found.kind for found in dataset.findings if found.kind != "row-count"]


def test_the_archives_as_they_unpack(tmp_path: Path) -> None:
    dataset = corpus(replicas.add2022(tmp_path))
    manifest = dataset.manifest()
    assert manifest.counts().to_numpy().tolist() == [[6, 6]] * 3
    row = manifest.table.set_index("id").loc["ADD_E1_1000002"]
    assert row[["label", "attack", "split"]].tolist() == [0, "spoof", "eval"]
    assert all(soundfile.info(path).frames for path in manifest.table["path"])
    assert kinds(dataset) == []
    assert "has 12 rows in eval, its authors publish 109199" in dataset.findings[-1].text


def test_label_files_in_the_folders_of_the_audio(tmp_path: Path) -> None:
    root = replicas.add2022(tmp_path)
    whole = corpus(root).manifest()
    labels = root / "ADD_train_dev" / "label"
    for split in ("train", "dev"):
        text = (labels / f"{split}_label.txt").read_text().replace(".wav", "")
        (root / "ADD_train_dev" / split / "label.txt").write_text(text)
    assert corpus(root).manifest().hash == whole.hash  # the same rows twice over are one
    for path in labels.iterdir():
        path.unlink()
    (root / "track1_label.txt").rename(root / "track1test" / "label.txt")
    assert set(corpus(root).manifest().table["id"]) == set(whole.table["id"])
    for split in ("train", "dev"):
        (root / "ADD_train_dev" / split).rename(root / split)
    dataset = corpus(root)
    assert set(dataset.manifest().table["id"]) == set(whole.table["id"])
    assert kinds(dataset) == []


def test_other_tracks_are_left_out(tmp_path: Path) -> None:
    root = replicas.add2022(tmp_path)
    (root / "track3_R1_label.txt").write_text("ADD_E3_00000000.wav spoof 0\nADD_E3_00000001.wav bonafide 0\n")
    dataset = corpus(root)
    assert len(dataset.manifest()) == 36
    (left,) = [found for found in dataset.findings if found.kind == "other-track"]
    assert (left.severity, left.count, left.examples[0]) == ("note", 2, "ADD_E3_00000000")


def test_nothing_of_track_1_is_explained(tmp_path: Path) -> None:
    (tmp_path / "track1test").mkdir()
    with pytest.raises(ValueError, match=r"add2022 was not found: .* no \*label\*\.txt"):
        corpus(tmp_path).manifest()
    (tmp_path / "label.txt").write_text("a.wav genuine\nb.wav fake\n")
    with pytest.raises(ValueError, match="no row of a label file is called ADD_T_, ADD_D_ or ADD_E1_"):
        corpus(tmp_path).manifest()


def test_a_name_that_has_two_labels_is_refused(tmp_path: Path) -> None:
    root = replicas.add2022(tmp_path)
    (root / "track1test" / "label.txt").write_text("ADD_E1_1000001.wav fake\n")
    with pytest.raises(ValueError, match=r"2 of 37 .* have a duplicate id: 'ADD_E1_1000001'"):
        corpus(root).manifest()


def test_unknown_labels_are_named(tmp_path: Path) -> None:
    root = replicas.add2022(tmp_path)
    (root / "track1test" / "label.txt").write_text("ADD_E1_9.wav real\n")
    with pytest.raises(
        ValueError, match=r"1 of 37 rows of add2022 have a label .*'real'.* it knows genuine, fake"
    ):
        corpus(root).manifest()
