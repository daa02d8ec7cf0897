import librosa
import numpy as np
import pytest
import torch

from dfx.features import Chroma

RATE = 16000


def notes(*hz):
    time = np.arange(RATE) / RATE
    return sum(np.sin(2 * np.pi * f * time) for f in hz).astype(np.float32) / len(hz)


@pytest.mark.parametrize("n_fft", [1024, 2048])
def test_chroma_is_that_of_librosa_without_tuning(n_fft):
    waveform = notes(220, 277.2, 1000) + 0.01 * np.random.default_rng(0).normal(size=RATE).astype(np.float32)
    expected = librosa.feature.chroma_stft(y=waveform, sr=RATE, n_fft=n_fft, hop_length=512, tuning=0.0)
    ours = Chroma(RATE, n_fft, n_fft)(torch.from_numpy(waveform)[None])
    assert ours.shape == (1, 1, 12, 32)
    np.testing.assert_allclose(ours[0, 0], expected, atol=1e-5)


def test_a_note_lands_in_its_class_in_every_octave():
    for hz in (220, 440, 1760):
        assert (Chroma(RATE)(torch.from_numpy(notes(hz))[None])[0, 0].argmax(dim=0) == 9).all()  # A


def test_silence_has_no_pitch_class():
    assert (Chroma(RATE)(torch.zeros(1, RATE)) == 0).all()
