import pytest

from dfx import audio
from replicas import VOICES, clip, corpus, found


def test_recordings_and_conversions_are_read(replica):
    dataset = corpus("deep_voice", replica("deep_voice"))
    table = dataset.manifest().table
    row = table.set_index("id").loc["FAKE/Linus-to-Obama"]
    assert row[["source", "speaker", "attack", "label"]].tolist() == ["linus", "obama", "rvc", 0]
    assert audio.probe_audio(table["path"][0]).channels == 2
    assert len(audio.read_audio(table["path"][0], 16000)) == 16000
    home = table.drop_duplicates("source").set_index("source")["split"]
    elsewhere = (table["speaker"].map(home) != table["split"]).sum()
    assert elsewhere == 8 * 8 - (4 * 4 + 2 * 2 + 2 * 2)
    assert found(dataset)["shared-voices"].count == elsewhere


def test_fragments_stay_with_their_recording(tmp_path):
    for source in VOICES:
        for number in range(3):
            clip(tmp_path / "AUDIO" / "REAL" / f"{source}-original_frag{number}.wav")
            clip(tmp_path / "AUDIO" / "FAKE" / f"{source.title()}-to-Trump_frag{number}.wav", True)
    table = corpus("deep_voice", tmp_path).manifest().table
    assert len(table) == 48
    assert set(table["source"]) == set(VOICES)
    assert (table.groupby("source")["split"].nunique() == 1).all()


def test_a_strange_name_is_a_finding_and_a_strange_folder_an_error(changed):
    root = changed("deep_voice")
    clip(root / "KAGGLE" / "AUDIO" / "FAKE" / "clip17.wav", True)
    dataset = corpus("deep_voice", root)
    assert dataset.manifest().table.set_index("id").loc["FAKE/clip17", "source"] == "clip17"
    assert found(dataset)["unknown-name"].examples == ("FAKE/clip17.wav",)
    clip(root / "KAGGLE" / "AUDIO" / "MIXED" / "obama-original.wav")
    with pytest.raises(ValueError, match=r"1 of 66 rows of deep_voice have a label .*'MIXED'"):
        corpus("deep_voice", root).manifest()
