from __future__ import annotations

from pathlib import Path

import pytest
from replicas_open import corpus, dacon_voice

from dfx import audio


def test_labelled_clips_are_divided(tmp_path: Path) -> None:
    dataset = corpus("dacon_voice", dacon_voice(tmp_path))
    manifest = dataset.manifest()
    assert manifest.counts().to_numpy().tolist() == [[18, 18], [6, 6], [6, 6]]
    assert all(audio.probe(path).format == "ogg/vorbis" for path in manifest.table["path"])
    kinds = {found.kind: found for found in dataset.findings}
    assert set(kinds) == {"unknown-speakers", "row-count"}
    assert "5 test clips and 3 unlabelled ones" in kinds["unknown-speakers"].text
    assert "60 rows in all, its authors publish 55438" in kinds["row-count"].text


def test_clips_without_labels_are_listed(tmp_path: Path) -> None:
    root = dacon_voice(tmp_path)
    table = corpus("dacon_voice", root).unlabelled()
    assert table["part"].value_counts().to_dict() == {"test": 5, "unlabelled": 3}
    assert table["id"].is_unique
    assert all(Path(path).is_file() for path in table["path"])
    (root / "open" / "test.csv").unlink()
    assert corpus("dacon_voice", root).unlabelled().equals(table)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    root = dacon_voice(tmp_path)
    file = root / "open" / "train.csv"
    file.write_text(file.read_text().replace("id,path,label", "id,path,target"))
    with pytest.raises(ValueError, match=r"train\.csv has no column label: it has id, path, target"):
        corpus("dacon_voice", root).manifest()
