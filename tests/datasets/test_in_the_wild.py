from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from replicas_open import corpus, in_the_wild

from dfx import audio


def test_the_release_is_read_and_speakers_are_divided(tmp_path: Path) -> None:
    dataset = corpus("in_the_wild", in_the_wild(tmp_path))
    manifest = dataset.manifest()
    table = manifest.table
    assert (manifest.counts().to_numpy() >= 6).all()
    assert table["label"].value_counts().to_dict() == {1: 48, 0: 48}
    assert (table.groupby("speaker")["split"].nunique() == 1).all()
    assert {"King, Jr. 3", "Alec Guinness 0"} <= set(table["speaker"])
    assert set(table["attack"]) == {"-", "spoof"}
    assert all(len(audio.read(path, 16000)) == 6400 for path in table["path"])
    (counts,) = dataset.findings
    assert "48 bonafide and 48 spoof rows in all, its authors publish 19963 and 11816" in counts.text


def test_copies_that_sort_the_files_by_class_are_read_too(tmp_path: Path) -> None:
    root = in_the_wild(tmp_path)
    expected = corpus("in_the_wild", root).manifest()
    folder = root / "release_in_the_wild"
    for row in expected.table.itertuples():
        place = folder / ("real" if row.label else "fake")
        place.mkdir(exist_ok=True)
        Path(row.path).rename(place / Path(row.path).name)
    manifest = corpus("in_the_wild", folder).manifest()
    assert manifest.hash == expected.hash
    assert all(Path(path).is_file() for path in manifest.table["path"])


def test_splits_are_kept_in_a_file(tmp_path: Path) -> None:
    root, file = in_the_wild(tmp_path / "data"), tmp_path / "splits" / "itw.csv"
    made = corpus("in_the_wild", root, split_file=str(file)).manifest()
    kept = pd.read_csv(file, dtype="str")
    assert kept["split"].tolist() == made.table["split"].tolist()
    kept.assign(split="dev").to_csv(file, index=False)
    assert set(corpus("in_the_wild", root, split_file=str(file)).manifest().table["split"]) == {"dev"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "96.wav,Someone,genuine",
            r"1 of 97 rows of in_the_wild have a label .* 96 \('genuine'\); it knows bona-fide",
        ),
        ("5.wav,Someone,spoof", r"2 of 97 .* have a duplicate id: '5', '5'"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, line: str, words: str) -> None:
    root = in_the_wild(tmp_path)
    with (root / "release_in_the_wild" / "meta.csv").open("a") as file:
        file.write(f"{line}\r\n")
    with pytest.raises(ValueError, match=words):
        corpus("in_the_wild", root).manifest()


def test_another_table_of_the_same_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "meta.csv").write_text("path|original_file\n")
    with pytest.raises(ValueError, match="has no column file, speaker, label"):
        corpus("in_the_wild", tmp_path).manifest()
