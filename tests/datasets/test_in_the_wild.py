from pathlib import Path

import pytest

from replicas import corpus, found

NAME = "in_the_wild"


def test_the_release_is_read(replica):
    dataset = corpus(NAME, replica(NAME))
    table = dataset.manifest().table
    assert table["label"].value_counts().to_dict() == {1: 48, 0: 48}
    assert {"King, Jr. 3", "Alec Guinness 0"} <= set(table["speaker"])
    assert set(table["attack"]) == {"-", "spoof"}
    words = "48 bonafide and 48 spoof rows in all, its authors publish 19963 and 11816"
    assert words in found(dataset)["row-count"].text


def test_copies_that_sort_the_files_by_class_are_read_too(changed):
    folder = changed(NAME) / "release_in_the_wild"
    expected = corpus(NAME, folder).manifest()
    for row in expected.table.itertuples():
        place = folder / ("real" if row.label else "fake")
        place.mkdir(exist_ok=True)
        Path(row.path).rename(place / Path(row.path).name)
    manifest = corpus(NAME, folder).manifest()
    assert manifest.hash == expected.hash
    assert all(Path(path).is_file() for path in manifest.table["path"])


def test_another_table_of_the_same_name_is_refused(tmp_path):
    (tmp_path / "meta.csv").write_text("path|original_file\n")
    with pytest.raises(ValueError, match="has no column file, speaker, label"):
        corpus(NAME, tmp_path).manifest()
