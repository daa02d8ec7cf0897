import librosa
import numpy as np
import torch

from dfx.features import Spectrogram

RATE = 16000


def test_it_is_the_log_power_of_librosas_stft():
    waveform = (np.random.default_rng(0).normal(size=RATE) * np.linspace(0, 0.3, RATE)).astype(np.float32)
    stft = librosa.stft(waveform, n_fft=512, win_length=400, hop_length=160)
    ours = Spectrogram()(torch.from_numpy(waveform)[None])
    assert ours.shape == (1, 1, 257, 101)
    # float32 against float32: power below 1e-6 of the loudest bin differs by rounding in the two FFTs
    np.testing.assert_allclose(ours[0, 0], np.log(np.abs(stft) ** 2 + 1e-9), atol=2e-3)


def test_a_tone_lands_in_its_bin():
    tone = torch.sin(2 * torch.pi * 1000 / RATE * torch.arange(RATE))
    assert (Spectrogram()(tone[None])[0, 0, :, 3:-3].argmax(dim=0) == 1000 * 512 / RATE).all()
