from __future__ import annotations

from pathlib import Path

import pytest
from replicas_open import corpus, fake_or_real

from dfx import audio
from dfx.datasets import FoR


@pytest.mark.parametrize("version", ["norm", "2sec", "original"])
def test_each_version_is_read_with_its_official_splits(tmp_path: Path, version: str) -> None:
    dataset = corpus("for", fake_or_real(tmp_path), version=version)
    manifest = dataset.manifest()
    extra = version == "original"  # file0.WAV beside file0.mp3
    assert manifest.counts().to_numpy().tolist() == [[8, 8 + extra], [8, 8], [8, 8]]
    assert all(audio.probe(path).num_samples for path in manifest.table["path"])
    assert set(manifest.table["version"]) == {version}
    assert any(found.kind == "row-count" for found in dataset.findings) == (version == "2sec")


def test_the_history_of_a_file_is_read_from_its_name(tmp_path: Path) -> None:
    dataset = corpus("for", fake_or_real(tmp_path))
    table = dataset.manifest().table
    mp3 = table["source_format"] == "mp3"
    assert set(table[mp3]["label"]) == {0}
    assert mp3.groupby(table["split"]).sum().to_dict() == {"train": 8, "dev": 8, "eval": 0}
    (found,) = dataset.findings
    assert (found.kind, found.severity) == ("mp3-history", "warning")
    assert "fake in train 100.0%" in found.text
    assert "fake in eval 0.0%" in found.text


def test_two_formats_of_one_name_are_two_recordings(tmp_path: Path) -> None:
    ids = set(corpus("for", fake_or_real(tmp_path), version="original").manifest().table["id"])
    assert {"training/fake/file0.mp3", "training/fake/file0.WAV", "training/real/file0.wav"} <= ids


@pytest.mark.parametrize("place", ["for-2sec", "for-2sec/for-2seconds"])
def test_the_folder_of_the_version_may_be_given(tmp_path: Path, place: str) -> None:
    root = fake_or_real(tmp_path)
    manifest = corpus("for", root / place, version="2sec").manifest()
    assert manifest.hash == corpus("for", root, version="2sec").manifest().hash


def test_a_wrong_version_is_refused(tmp_path: Path) -> None:
    root = fake_or_real(tmp_path)
    with pytest.raises(ValueError, match=r"is the version 2sec of FoR, not norm: use dataset\.version=2sec"):
        corpus("for", root / "for-2sec" / "for-2seconds").manifest()
    with pytest.raises(ValueError, match="got 'normal': use one of them"):
        FoR(version="normal")
    with pytest.raises(ValueError, match=r"for was not found: .* holds 'for-2sec', 'for-norm'"):
        corpus("for", root, version="rerec").manifest()


def test_files_outside_the_splits_are_counted(tmp_path: Path) -> None:
    root = fake_or_real(tmp_path)
    folder = root / "for-norm" / "for-norm"
    (folder / "training" / "real").rename(folder / "training" / "other")
    dataset = corpus("for", root)
    assert dataset.manifest().counts().loc["train"].tolist() == [0, 8]
    (found,) = [found for found in dataset.findings if found.kind == "files-without-row"]
    assert found.count == 8
