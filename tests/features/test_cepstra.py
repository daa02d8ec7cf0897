"""Options that all cepstral features share: deltas and normalisation of each clip."""

import pytest
import scipy.fft
import torch
import torchaudio

from dfx.features import CQCC, LFCC, MFCC, dsp

RATE = 16000
CLASSES = [CQCC, LFCC, MFCC]


@pytest.fixture(scope="module")
def waveform():
    return torch.randn(3, RATE, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.01, 1, RATE)


@pytest.mark.parametrize("feature", CLASSES)
def test_regression_deltas_are_those_of_torchaudio(feature, waveform):
    plain = feature(RATE, deltas=False)(waveform)
    first = torchaudio.functional.compute_deltas(plain, win_length=5)
    second = torchaudio.functional.compute_deltas(first, win_length=5)
    full = feature(RATE, deltas="regression")(waveform)
    torch.testing.assert_close(full, torch.cat([plain, first, second], dim=2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("feature", CLASSES)
def test_each_clip_is_normalised_by_itself(feature, waveform):
    plain = feature(RATE)(waveform)
    mean, both = feature(RATE, normalize="mean")(waveform), feature(RATE, normalize="mean_variance")(waveform)
    torch.testing.assert_close(mean, plain - plain.mean(dim=3, keepdim=True))
    torch.testing.assert_close(both.mean(dim=3), torch.zeros(both.shape[:3]), rtol=0, atol=1e-4)
    torch.testing.assert_close(both.std(dim=3, correction=0), torch.ones(both.shape[:3]), rtol=0, atol=2e-2)
    torch.testing.assert_close(both[1:2], feature(RATE, normalize="mean_variance")(waveform[1:2]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("feature", CLASSES)
def test_silence_is_normalised_to_zero_with_finite_gradients(feature):
    silence = torch.zeros(1, RATE, requires_grad=True)
    result = feature(RATE, normalize="mean_variance")(silence)
    assert result.abs().max() < 0.2  # the rounding of a mean of equal numbers, divided by the floor
    result.sum().backward()
    assert silence.grad.isfinite().all()


@pytest.mark.parametrize("feature", CLASSES)
def test_unknown_options_are_named(feature):
    with pytest.raises(ValueError, match="deltas=true, false or regression, got 'htk'"):
        feature(RATE, deltas="htk")
    with pytest.raises(ValueError, match="normalize=null, mean or mean_variance, got 'cmvn'"):
        feature(RATE, normalize="cmvn")


def test_the_lfcc_of_s2_is_the_cepstrum_of_a_linear_bank(waveform):
    feature = LFCC(RATE, 2048, 2048, 512, 40, None, False, None, 13, 0.0, False, 1e-6)
    bank = dsp.linear_bank(40, 2048, RATE, RATE / 2)
    window = torch.hamming_window(2048)
    stft = torch.stft(waveform, 2048, 512, window=window, pad_mode="constant", return_complex=True)
    expected = scipy.fft.dct(torch.log10(bank @ stft.abs() ** 2 + 1e-6).numpy(), axis=1, norm="ortho")[:, :13]
    torch.testing.assert_close(feature(waveform)[:, 0], torch.from_numpy(expected), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="between 1 and num_filters=20 coefficients, got 21"):
        LFCC(RATE, num_coefficients=21)
