import numpy as np
import pandas as pd
import soundfile
import soxr

from dfx import audio
from dfx.audit import duplicates
from dfx.audit.corpus_measures import measure_corpus
from dfx.tables.manifest import Manifest

RATE = 16000


def found(tmp_path, clips, rates=None):
    rows = []
    for name, clip in clips.items():
        path = tmp_path / (name if "." in name else f"{name}.wav")
        if path.suffix == ".mp3":
            soundfile.write(path, clip, RATE, format="MP3")
        else:
            audio.write_audio(path, clip, (rates or {}).get(name, RATE))
        rows.append((name, str(path), 1, "train"))
    manifest = Manifest(pd.DataFrame(rows, columns=["id", "path", "label", "split"]))
    measures = measure_corpus(manifest, RATE, tmp_path / "cache", num_workers=0, progress=False)
    return duplicates.find_duplicates(measures, np.ones(len(rows), bool))


def test_copies_at_another_gain_rate_shift_and_codec_are_found(tmp_path, babble):
    clip = babble(24000, 1)
    clips = {
        "original": clip,
        "soft": 0.1 * clip,
        "inverted": -0.8 * clip,
        "telephone": soxr.resample(clip, RATE, 8000),
        "studio": soxr.resample(clip, RATE, 44100),
        "later": np.concatenate([np.zeros(800), clip]),
        "coded.mp3": clip,
        "other": babble(24000, 2),
        "another": babble(24000, 3),
    }
    group = found(tmp_path, clips, {"telephone": 8000, "studio": 44100}).near
    assert len(set(group[:7])) == 1
    assert group[0] >= 0
    assert group[7:].tolist() == [-1, -1]


def test_equal_samples_are_exact_at_whatever_rate(tmp_path, babble):
    clip = babble(24000, 1)
    result = found(tmp_path, {"a": clip, "b": babble(24000, 2), "c.flac": clip})
    assert result.exact[0] == result.exact[2] >= 0
    assert result.exact[1] == -1
    assert result.near[0] == result.near[2]


def test_a_vocoded_twin_is_another_recording(tmp_path, babble):
    clip = babble(24000, 1)
    bins = np.fft.rfft(clip.reshape(-1, 80), axis=1)  # the same energies, other phases
    phase = np.exp(2j * np.pi * np.random.default_rng(0).random(bins.shape))
    twin = np.fft.irfft(np.abs(bins) * phase, 80, axis=1).ravel()
    assert found(tmp_path, {"recording": clip, "twin": twin}).near.tolist() == [-1, -1]


def test_silence_and_no_clips_match_nothing(tmp_path):
    result = found(tmp_path, {"a": np.zeros(8000), "b": np.zeros(8000)})
    assert result.near.tolist() == [-1, -1]


def test_limits_are_said(tmp_path, babble, monkeypatch):
    monkeypatch.setattr(duplicates, "MAX_NEIGHBOURS", 3)
    monkeypatch.setattr(duplicates, "MAX_PAIRS", 2)
    clip = babble(16000, 1)
    limits = found(tmp_path, {f"c{n}": (0.5 + n / 20) * clip for n in range(8)}).limits
    assert "more than 3 clips have one length" in limits
    assert "the waveforms of 2 were compared" in limits


def test_only_so_many_candidates_stay_in_memory(tmp_path, babble, monkeypatch):
    monkeypatch.setattr(duplicates, "MAX_CANDIDATES", 8)
    monkeypatch.setattr(duplicates, "COLUMNS", 2)
    monkeypatch.setattr(duplicates, "MAX_PAIRS", 1)
    clip = babble(16000, 1)
    limits = found(tmp_path, {f"c{n}": (0.5 + n / 20) * clip for n in range(8)}).limits
    pairs = int(limits.split("of ")[1].split()[0])
    assert pairs <= 8 < 8 * 7 / 2


def test_blocks_do_not_matter(tmp_path, babble, monkeypatch):
    clips = {f"c{n}": babble(16000 + 10 * n, n // 2) for n in range(10)}
    whole = found(tmp_path, clips).near
    monkeypatch.setattr(duplicates, "BLOCK", 2)
    monkeypatch.setattr(duplicates, "COLUMNS", 3)
    np.testing.assert_array_equal(whole, found(tmp_path, clips).near)
