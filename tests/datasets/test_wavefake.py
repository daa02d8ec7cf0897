import pytest

from replicas import clip, corpus, found


def test_fakes_and_recordings_are_read(replica):
    dataset = corpus("wavefake", replica("wavefake"))
    table = dataset.manifest().table
    assert len(table) == 35 + 85
    spoof = table[table["label"] == 0]
    counts = spoof.groupby(["source", "attack"]).size().to_dict()
    assert counts == {
        ("ljspeech", "melgan"): 20,
        ("ljspeech", "hifiGAN"): 20,
        ("ljspeech", "waveglow"): 20,
        ("jsut", "multi_band_melgan"): 15,
        ("common_voices", "conformer_fastspeech2_pwg"): 10,
    }
    assert set(table.groupby("source")["language"].unique().map(tuple)) == {("en",), ("ja",)}
    copies = found(dataset)["copied-files"]
    assert copies.count == 10
    assert "/generated/" in copies.examples[0]
    together = table[table["utterance"] == "LJ001-0007"]
    assert sorted(together["attack"]) == ["-", "hifiGAN", "melgan", "waveglow"]
    speech = table[table["source"] == "common_voices"]
    assert not set(speech["utterance"]) & set(table[table["source"] == "ljspeech"]["utterance"])


def test_recordings_may_lie_elsewhere(changed, tmp_path, monkeypatch):
    root = changed("wavefake")
    expected = set(corpus("wavefake", root).manifest().table["id"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("LJSpeech-1.1", "jsut_ver1.1"):
        (root / name).rename(elsewhere / name)
    monkeypatch.delenv("DFX_DATA", raising=False)
    dataset = corpus("wavefake", root)
    assert (dataset.manifest().table["label"] == 0).all()
    missing = [finding.text for finding in dataset.findings if finding.kind == "no-bonafide"]
    assert "dataset.ljspeech_root=DIR" in missing[0]
    assert "dataset.jsut_root=DIR" in missing[1]
    given = {"ljspeech_root": str(elsewhere / "LJSpeech-1.1"), "jsut_root": str(elsewhere)}
    assert set(corpus("wavefake", root, **given).manifest().table["id"]) == expected
    monkeypatch.setenv("DFX_DATA", str(elsewhere))
    assert set(corpus("wavefake", root).manifest().table["id"]) == expected


def test_a_wrong_place_for_the_recordings_is_refused(replica, tmp_path):
    with pytest.raises(
        ValueError, match=r"dataset\.ljspeech_root=.* has no wavs/LJ\*: give the folder of LJSpeech-1\.1"
    ):
        corpus("wavefake", replica("wavefake"), ljspeech_root=str(tmp_path)).manifest()


def test_one_vocoder_is_enough_and_recordings_below_are_no_vocoder(tmp_path):
    for number in range(6):
        clip(tmp_path / "jsut_parallel_wavegan" / f"BASIC5000_000{number}_gen.wav", True)
        clip(tmp_path / "jsut_ver1.1" / "basic5000" / "wav" / f"BASIC5000_000{number}.wav")
    table = corpus("wavefake", tmp_path).manifest().table
    assert table["attack"].value_counts().to_dict() == {"parallel_wavegan": 6, "-": 6}


def test_empty_vocoder_folders_are_explained(tmp_path):
    (tmp_path / "ljspeech_melgan").mkdir()
    with pytest.raises(ValueError, match=r"no audio in a folder <corpus>_<vocoder>"):
        corpus("wavefake", tmp_path).manifest()
