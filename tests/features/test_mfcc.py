import librosa
import numpy as np
import pytest
import torch

from dfx.features import MFCC

RATE = 16000


@pytest.mark.parametrize(("n_fft", "hop", "bands", "kept"), [(512, 160, 80, 20), (2048, 512, 128, 13)])
def test_cepstra_are_those_of_librosa(n_fft, hop, bands, kept):
    waveform = (np.random.default_rng(0).normal(size=RATE) * np.linspace(0, 0.3, RATE)).astype(np.float32)
    feature = MFCC(RATE, kept, deltas=False, n_fft=n_fft, win_length=n_fft, hop_length=hop, num_bands=bands)
    expected = librosa.feature.mfcc(y=waveform, sr=RATE, n_mfcc=kept, n_fft=n_fft, hop_length=hop, n_mels=bands)
    np.testing.assert_allclose(feature(torch.from_numpy(waveform)[None])[0, 0], expected, atol=2e-3)


def test_deltas_are_appended():
    waveform = torch.randn(2, RATE)
    plain, full = MFCC(RATE, deltas=False)(waveform), MFCC(RATE)(waveform)
    assert full.shape == (2, 1, 60, 101)
    torch.testing.assert_close(full[:, :, :20], plain)
    torch.testing.assert_close(full[:, :, 20:40, 1:-1], plain[..., 2:] - plain[..., :-2])
    torch.testing.assert_close(full[:, :, 40:, 2:-2], plain[..., 4:] - 2 * plain[..., 2:-2] + plain[..., :-4])


def test_more_coefficients_than_bands_are_refused():
    with pytest.raises(ValueError, match="between 1 and num_bands=13 coefficients, got 20"):
        MFCC(RATE, num_bands=13)
