from __future__ import annotations

from pathlib import Path

import pytest
from replicas_open import VOICES, clip, corpus, deep_voice

from dfx import audio


def test_recordings_and_conversions_are_read(tmp_path: Path) -> None:
    dataset = corpus("deep_voice", deep_voice(tmp_path))
    manifest = dataset.manifest()
    assert manifest.counts().to_numpy().tolist() == [[4, 28], [2, 14], [2, 14]]
    row = manifest.table.set_index("id").loc["FAKE/Linus-to-Obama"]
    assert row[["source", "speaker", "attack", "label"]].tolist() == ["linus", "obama", "rvc", 0]
    info = audio.probe(manifest.table["path"][0])
    assert (info.channels, len(audio.read(manifest.table["path"][0], 16000))) == (2, 16000)
    assert [found.kind for found in dataset.findings] == ["shared-voices"]


def test_no_recording_is_on_two_sides_and_shared_voices_are_counted(tmp_path: Path) -> None:
    dataset = corpus("deep_voice", deep_voice(tmp_path))
    table = dataset.manifest().table
    assert table.groupby("source")["split"].nunique().to_dict() == dict.fromkeys(VOICES, 1)
    home = table.drop_duplicates("source").set_index("source")["split"]
    elsewhere = (table["speaker"].map(home) != table["split"]).sum()
    assert elsewhere == 8 * 8 - (4 * 4 + 2 * 2 + 2 * 2)
    assert dataset.findings[0].count == elsewhere


def test_fragments_stay_with_their_recording(tmp_path: Path) -> None:
    for source in VOICES:
        for number in range(3):
            clip(tmp_path / "AUDIO" / "REAL" / f"{source}-original_frag{number}.wav")
            clip(tmp_path / "AUDIO" / "FAKE" / f"{source.title()}-to-Trump_frag{number}.wav", True)
    table = corpus("deep_voice", tmp_path).manifest().table
    assert len(table) == 48
    assert set(table["source"]) == set(VOICES)
    assert (table.groupby("source")["split"].nunique() == 1).all()


def test_a_strange_name_is_told(tmp_path: Path) -> None:
    root = deep_voice(tmp_path)
    clip(root / "KAGGLE" / "AUDIO" / "FAKE" / "clip17.wav", True)
    dataset = corpus("deep_voice", root)
    assert dataset.manifest().table.set_index("id").loc["FAKE/clip17", "source"] == "clip17"
    (found,) = [found for found in dataset.findings if found.kind == "unknown-name"]
    assert found.examples == ("FAKE/clip17.wav",)


def test_another_folder_beside_the_classes_is_refused(tmp_path: Path) -> None:
    root = deep_voice(tmp_path)
    clip(root / "KAGGLE" / "AUDIO" / "MIXED" / "obama-original.wav")
    with pytest.raises(ValueError, match=r"1 of 65 rows of deep_voice have a label .*'MIXED'"):
        corpus("deep_voice", root).manifest()
