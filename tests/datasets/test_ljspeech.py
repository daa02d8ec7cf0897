from __future__ import annotations

from pathlib import Path

import pytest
from replicas_open import corpus, ljspeech

from dfx import audio


def test_the_release_is_read(tmp_path: Path) -> None:
    dataset = corpus("ljspeech", ljspeech(tmp_path))
    table = dataset.manifest().table.set_index("id")
    assert table["split"].value_counts().to_dict() == {"train": 18, "dev": 6, "eval": 6}
    assert (table["label"] == 1).all()
    row = table.loc["LJ001-0001"]
    assert (row["transcript"], row["normalised"], row["speaker"]) == ('"Only one', '"Only one', "LJ")
    assert all(len(audio.read(path, 16000)) == 6400 for path in table["path"])
    assert [found.kind for found in dataset.findings] == ["one-class", "row-count"]
    assert "dataset=vocoded" in dataset.findings[0].text
    assert "30 bonafide rows in all, its authors publish 13100" in dataset.findings[1].text


def test_suffixes_in_capitals_are_the_same_files(tmp_path: Path) -> None:
    root = ljspeech(tmp_path)
    expected = corpus("ljspeech", root).manifest().hash
    for path in (root / "LJSpeech-1.1" / "wavs").glob("LJ*.wav"):
        path.rename(path.with_suffix(".WAV"))
    manifest = corpus("ljspeech", root).manifest()
    assert manifest.hash == expected
    assert all(Path(path).is_file() for path in manifest.table["path"])


def test_missing_and_surplus_files_are_counted(tmp_path: Path) -> None:
    root = ljspeech(tmp_path)
    wavs = root / "LJSpeech-1.1" / "wavs"
    (wavs / "LJ001-0002.wav").rename(wavs / "LJ999-0001.wav")
    dataset = corpus("ljspeech", root)
    dataset.manifest()
    found = {found.kind: found for found in dataset.findings}
    assert (found["rows-without-file"].count, found["rows-without-file"].examples) == (1, ("LJ001-0002",))
    assert "LJ999-0001" in found["files-without-row"].examples[0]


def test_a_line_without_its_three_fields_is_refused(tmp_path: Path) -> None:
    root = ljspeech(tmp_path)
    with (root / "LJSpeech-1.1" / "metadata.csv").open("a") as file:
        file.write("LJ050-0278|half a line\n")
    with pytest.raises(ValueError, match=r"1 of 31 rows do not have 3 fields \('LJ050-0278\|half a line'\)"):
        corpus("ljspeech", root).manifest()


def test_a_missing_folder_shows_the_tree_and_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFX_DATA", str(tmp_path))
    with pytest.raises(
        ValueError, match=r"holds nothing.*\n.*metadata\.csv[\s\S]*wavs/LJ001[\s\S]*keithito\.com"
    ):
        corpus("ljspeech", None).manifest()
    ljspeech(tmp_path)
    assert len(corpus("ljspeech", None).manifest()) == 30
