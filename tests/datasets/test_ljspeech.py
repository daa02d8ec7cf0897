from __future__ import annotations

from pathlib import Path

import pytest
from replicas import Replica, corpus, found

NAME = "ljspeech"


def test_the_release_is_read(replica: Replica) -> None:
    dataset = corpus(NAME, replica(NAME))
    row = dataset.manifest().table.set_index("id").loc["LJ001-0001"]
    assert (row["transcript"], row["normalised"], row["speaker"]) == ('"Only one', '"Only one', "LJ")
    assert "dataset=vocoded" in found(dataset)["one-class"].text
    assert "30 bonafide rows in all, its authors publish 13100" in found(dataset)["row-count"].text


def test_suffixes_in_capitals_are_the_same_files(changed: Replica) -> None:
    root = changed(NAME)
    expected = corpus(NAME, root).manifest().hash
    for path in (root / "LJSpeech-1.1" / "wavs").glob("LJ*.wav"):
        path.rename(path.with_suffix(".WAV"))
    manifest = corpus(NAME, root).manifest()
    assert manifest.hash == expected
    assert all(Path(path).is_file() for path in manifest.table["path"])


def test_a_line_without_its_three_fields_is_refused(changed: Replica) -> None:
    root = changed(NAME)
    with (root / "LJSpeech-1.1" / "metadata.csv").open("a") as file:
        file.write("LJ050-0278|half a line\n")
    with pytest.raises(ValueError, match=r"1 of 31 rows do not have 3 fields \('LJ050-0278\|half a line'\)"):
        corpus(NAME, root).manifest()
