from __future__ import annotations

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch

from dfx.features import dsp

RATE = 16000


@pytest.mark.parametrize(
    ("n_fft", "bands", "fmin", "fmax"), [(512, 80, 0, 8000), (2048, 40, 0, 8000), (1024, 64, 50, 7600)]
)
def test_mel_bank_is_the_one_of_librosa(n_fft: int, bands: int, fmin: float, fmax: float) -> None:
    expected = librosa.filters.mel(sr=RATE, n_fft=n_fft, n_mels=bands, fmin=fmin, fmax=fmax)
    np.testing.assert_allclose(dsp.mel_bank(bands, n_fft, RATE, fmin, fmax), expected, rtol=1e-5, atol=1e-8)


def test_linear_bank_weighs_every_bin_once_between_the_outer_centres() -> None:
    bank = dsp.linear_bank(20, 512, RATE, 8000)
    hz = torch.linspace(0, 8000, 257)
    inside = (hz >= 8000 / 21) & (hz <= 8000 * 20 / 21)
    torch.testing.assert_close(bank.sum(0)[inside], torch.ones(int(inside.sum())))
    assert bank.shape == (20, 257)
    assert bank[:, [0, -1]].abs().max() < 1e-6


def test_linear_bank_of_half_the_band_keeps_the_bins_of_the_2021_baseline() -> None:
    assert dsp.linear_bank(20, 1024, RATE, 4000).shape == (20, 256)


@pytest.mark.parametrize(("size", "kept"), [(20, 20), (80, 13)])
def test_dct_is_the_orthonormal_one(size: int, kept: int) -> None:
    x = np.random.default_rng(0).normal(size=(size, 5))
    expected = scipy.fft.dct(x, type=2, norm="ortho", axis=0)[:kept]
    np.testing.assert_allclose(dsp.dct_matrix(kept, size).double() @ torch.from_numpy(x), expected, atol=1e-6)


def test_deltas_of_a_ramp_are_two_inside_and_one_at_the_edges() -> None:
    ramp = torch.arange(6.0).expand(2, 3, 6)
    assert dsp.deltas(ramp)[1, 2].tolist() == [1, 2, 2, 2, 2, 1]


def test_pre_emphasis_is_the_filter_and_keeps_the_first_sample() -> None:
    x = np.random.default_rng(0).normal(size=(2, 50)).astype(np.float32)
    expected = scipy.signal.lfilter([1, -0.97], [1], x)
    np.testing.assert_allclose(dsp.pre_emphasis(torch.from_numpy(x), 0.97), expected, atol=1e-6)


@pytest.mark.parametrize("top_db", [None, 30.0])
def test_decibels_are_those_of_librosa_for_each_clip(top_db: float | None) -> None:
    power = np.random.default_rng(0).gamma(0.1, size=(3, 40, 20)).astype(np.float32) * np.float32(
        [[[1]], [[1e-6]], [[0]]]
    )
    expected = np.stack([librosa.power_to_db(clip, top_db=top_db) for clip in power])
    np.testing.assert_allclose(dsp.power_to_db(torch.from_numpy(power), top_db=top_db), expected, atol=2e-5)


def test_band_power_of_a_tone_lies_in_its_band() -> None:
    hz = 1000.0
    tone = torch.sin(2 * torch.pi * hz * torch.arange(RATE) / RATE)[None]
    bank = dsp.linear_bank(31, 512, RATE, 8000)  # centres 250 Hz apart
    power = dsp.BandPower(torch.hann_window(400), 512, 160, bank)(tone)
    assert (power[0, :, 5:-5].argmax(dim=0) == 3).all()


def test_band_power_is_the_sum_over_windowed_frames() -> None:
    x = np.random.default_rng(0).normal(size=1000)
    bank = np.random.default_rng(1).random((23, 65))
    window = np.zeros(128)
    window[14:114] = scipy.signal.get_window("hann", 100)
    padded = np.pad(x, 64)
    frames = np.stack([padded[start : start + 128] * window for start in range(0, 1001, 50)])
    expected = bank @ (np.abs(np.fft.rfft(frames)) ** 2).T
    module = dsp.BandPower(torch.hann_window(100), 128, 50, torch.from_numpy(bank).float())
    np.testing.assert_allclose(module(torch.from_numpy(x).float()[None])[0], expected, rtol=1e-4)


def test_band_power_of_slices_equals_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    module = dsp.BandPower(torch.hann_window(400), 512, 160, dsp.mel_bank(40, 512, RATE, 0, 8000))
    waveform = torch.randn(7, 3000)
    whole = module(waveform)
    monkeypatch.setattr(dsp, "SLICE_SAMPLES", 9000)
    torch.testing.assert_close(module(waveform), whole)


def test_band_power_has_the_gradient_of_its_definition() -> None:
    bank = dsp.mel_bank(40, 512, RATE, 0, 8000)
    waveform = torch.randn(2, 2000, requires_grad=True)
    dsp.BandPower(torch.hann_window(400), 512, 160, bank)(waveform).add_(1e-3).log_().sum().backward()
    plain = waveform.detach().clone().requires_grad_()
    spectrum = torch.stft(plain, 512, 160, 400, torch.hann_window(400), pad_mode="constant", return_complex=True)
    (bank @ spectrum.abs() ** 2 + 1e-3).log().sum().backward()
    torch.testing.assert_close(waveform.grad, plain.grad, rtol=1e-3, atol=1e-4)


def test_impossible_options_are_named() -> None:
    with pytest.raises(ValueError, match=r"got 0 to 9000 Hz at 16000 Hz: lower"):
        dsp.mel_bank(40, 512, RATE, 0, 9000)
    with pytest.raises(ValueError, match=r"hold an FFT bin, got \d+ of 256 .* use fewer bands or a larger n_fft"):
        dsp.mel_bank(256, 512, RATE, 0, 8000)
    with pytest.raises(ValueError, match="win_length=600 with n_fft=512: lower win_length"):
        dsp.BandPower(torch.hann_window(600), 512, 160, torch.ones(1, 257))
