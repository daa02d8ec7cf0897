"""The constant-Q transform, and the features that are made of it."""

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.interpolate
import torch

from dfx.features import CQCC, CQT, ChromaCQT, constant_q

RATE = 16000


@pytest.fixture(scope="module")
def noise():
    return (0.2 * np.random.default_rng(0).normal(size=2 * RATE)).astype(np.float32)


def tone(hz, seconds=1.0):
    return torch.sin(2 * torch.pi * hz / RATE * torch.arange(round(seconds * RATE)))[None]


def by_definition(waveform, frequencies, lengths, starts, scaled):
    """Magnitudes (bins, starts): inner products with Hann-windowed tones around the samples `starts`, in float64."""
    magnitudes = np.zeros((len(frequencies), len(starts)))
    for row, (hz, length) in enumerate(zip(frequencies, lengths, strict=True)):
        half = int(length // 2) + 1
        time = np.arange(-half, half + 1)
        window = np.where(np.abs(time) < length / 2, 0.5 + 0.5 * np.cos(2 * np.pi * time / length), 0)
        wavelet = window / window.sum() * np.exp(-2j * np.pi * hz * time / RATE) * (np.sqrt(length) if scaled else 1)
        padded = np.pad(waveform.astype(np.float64), half + 1)
        magnitudes[row] = [abs(padded[start + 1 : start + 2 * half + 2] @ wavelet) for start in starts]
    return magnitudes


@pytest.mark.parametrize(
    ("hop", "bins", "per_octave", "fmin", "gamma", "scale"),
    [(256, 432, 48, 15.0, 0.0, 1.0), (32, 73, 12, 62.5, 13.2, 2.0), (160, 84, 12, 32.7, 0.0, 1.0)],
)
@pytest.mark.parametrize("scaled", [True, False])
def test_power_is_the_definition_in_every_octave_and_at_both_ends(
    noise, hop, bins, per_octave, fmin, gamma, scale, scaled
):
    module = constant_q.ConstantQPower(RATE, hop, bins, per_octave, fmin, gamma, scale, scaled)
    power = module(torch.from_numpy(noise)[None])[0].numpy()
    assert power.shape == (bins, 1 + len(noise) // hop)
    rows = np.arange(0, bins, 11)
    frequencies = fmin * 2 ** (rows / per_octave)
    alpha = (2 ** (2 / per_octave) - 1) / (2 ** (2 / per_octave) + 1)
    lengths = scale * RATE / (alpha * frequencies + gamma)
    frames = np.linspace(0, power.shape[1] - 1, 6).astype(int)
    expected = by_definition(noise, frequencies, lengths, frames * hop, scaled)
    level = np.sqrt(np.mean(expected**2, axis=1, keepdims=True))
    np.testing.assert_allclose(np.sqrt(power[rows][:, frames]) / level, expected / level, atol=1e-3)


def test_magnitudes_are_those_of_librosa_but_for_its_rounding(noise):
    options = {"hop_length": 256, "fmin": 60.0, "bins_per_octave": 24}
    expected = np.abs(librosa.cqt(noise, sr=RATE, n_bins=144, sparsity=0, res_type="soxr_vhq", **options))
    ours = constant_q.ConstantQPower(RATE, 256, 144, 24, 60.0)(torch.from_numpy(noise)[None])[0].sqrt().numpy()
    rows = np.arange(144) % 24 < 20  # librosa's resampling attenuates the top bins of each octave
    difference = (ours - expected)[rows, 30:-30] / np.sqrt(np.mean(expected**2))
    assert np.abs(difference).max() < 0.05


def test_a_tone_lands_in_its_bin():
    for number in (200, 300, 400):
        image = CQT(RATE)(tone(15 * 2 ** (number / 48)))
        assert image.shape == (1, 1, 432, 63)
        assert (image[0, 0, :, 31] - image[0, 0, number, 31]).argmax() == number


@pytest.mark.parametrize("samples", [256, 1600])
def test_clips_shorter_than_a_wavelet_give_a_map(samples):
    clip = torch.randn(2, samples)
    assert CQT(RATE)(clip).isfinite().all()
    assert CQCC(RATE)(clip).isfinite().all()


def test_frequencies_above_half_the_rate_are_refused():
    with pytest.raises(ValueError, match=r"ends below half the sample rate, got 432 .* at 8000 Hz: use fewer"):
        CQT(8000)


@pytest.mark.filterwarnings("ignore:n_fft=512 is too large")  # librosa, of its lowest octaves
def test_chroma_is_that_of_librosa_without_tuning():
    time = np.arange(2 * RATE) / RATE
    waveform = sum(np.sin(2 * np.pi * f * time) for f in (220, 277.2, 659.3)).astype(np.float32) / 3
    expected = librosa.feature.chroma_cqt(y=waveform, sr=RATE, tuning=0.0)
    ours = ChromaCQT(RATE)(torch.from_numpy(waveform)[None])[0, 0]
    assert ours.shape == (12, 63)
    np.testing.assert_allclose(ours[:, 8:-8], expected[:, 8:-8], atol=0.03)  # librosa leaves out 1 % of each wavelet
    assert (ChromaCQT(RATE)(torch.zeros(1, RATE)) == 0).all()
    with pytest.raises(ValueError, match="got 40 bins an octave for 12 classes"):
        ChromaCQT(RATE, bins_per_octave=40)


def test_cqcc_is_the_cosine_transform_of_the_log_power_on_a_linear_scale(noise):
    feature = CQCC(RATE, deltas=False)
    waveform = torch.from_numpy(noise)[None]
    cepstra = feature(waveform)[0, 0]
    assert cepstra.shape == (20, 1 + len(noise) // 32)
    hz = 62.5 * 2 ** (np.arange(73) / 12)
    power = feature.band_power(waveform)[0].double().numpy()
    grid = np.linspace(62.5, 4000, 1009)  # 16 samples in the first octave
    resampled = scipy.interpolate.CubicSpline(hz, np.log(power + 2.0**-52))(grid)
    np.testing.assert_allclose(cepstra, scipy.fft.dct(resampled, axis=0, norm="ortho")[:20], rtol=1e-3, atol=0.02)


def test_the_variants_of_cqcc_have_the_rows_of_the_baselines():
    assert CQCC(RATE).output_shape(1600) == (1, 60, 51)
    assert CQCC(RATE, 96, 15.625, None, 128, 30).output_shape(1600) == (1, 90, 13)
    with pytest.raises(ValueError, match="between 1 and 1009 coefficients, got 2000"):
        CQCC(RATE, num_coefficients=2000)
