import librosa
import numpy as np
import pytest
import torch

from dfx.features import LogMel

RATE = 16000


@pytest.fixture(scope="module")
def waveform():
    rng = np.random.default_rng(0)
    t = np.arange(3 * RATE) / RATE
    voiced = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 40)) * (np.sin(2 * np.pi * 1.5 * t) > 0)
    return (0.1 * voiced + 1e-4 * rng.normal(size=len(t))).astype(np.float32)


@pytest.mark.parametrize(("fmin", "fmax"), [(0.0, 8000.0), (50.0, 7600.0)])
def test_logmel_is_the_logarithm_of_librosas_melspectrogram(waveform, fmin, fmax):
    frames = {"n_fft": 512, "win_length": 400, "hop_length": 160}
    mel = librosa.feature.melspectrogram(y=waveform, sr=RATE, **frames, n_mels=80, fmin=fmin, fmax=fmax)
    ours = LogMel(RATE, **frames, fmin_hz=fmin, fmax_hz=fmax)(torch.from_numpy(waveform)[None])[0, 0]
    # float32 against float32: power below 1e-6 of the loudest bin differs by rounding in the two FFTs
    np.testing.assert_allclose(ours, np.log(mel + 1e-9), atol=1e-3)


@pytest.mark.parametrize(("bands", "top_db"), [(40, 80.0), (128, 80.0), (128, None)])
def test_s1_settings_are_librosas_defaults(waveform, bands, top_db):
    frames = {"n_fft": 2048, "win_length": 2048, "hop_length": 512}
    feature = LogMel(RATE, **frames, num_bands=bands, scale="db", eps=1e-10, top_db=top_db)
    for clip in (waveform, waveform * np.float32(1e-3), np.zeros_like(waveform)):
        expected = librosa.power_to_db(librosa.feature.melspectrogram(y=clip, sr=RATE, n_mels=bands), top_db=top_db)
        np.testing.assert_allclose(feature(torch.from_numpy(clip)[None])[0, 0], expected, atol=1e-3)


def test_the_floor_of_decibels_is_that_of_each_clip(waveform):
    feature = LogMel(RATE, scale="db", eps=1e-10, top_db=20)
    loud_and_quiet = torch.from_numpy(np.stack([waveform, waveform * np.float32(1e-3)]))
    maps = feature(loud_and_quiet)
    torch.testing.assert_close(maps.amax((1, 2, 3)) - maps.amin((1, 2, 3)), torch.tensor([20.0, 20.0]))


def test_impossible_scales_are_named():
    with pytest.raises(ValueError, match="got scale='dB'"):
        LogMel(RATE, scale="dB")
    with pytest.raises(ValueError, match=r"got scale='log' with top_db=80\.0: choose"):
        LogMel(RATE, top_db=80.0)
