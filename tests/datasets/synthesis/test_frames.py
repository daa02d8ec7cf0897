import numpy as np
import pytest

from dfx.datasets.synthesis.frames import (
    cut_frames,
    filter_frames,
    hann_window,
    istft,
    minimum_phase,
    smooth_track,
    stft,
)


@pytest.mark.parametrize("num_samples", [1, 127, 128, 129, 5000])
def test_istft_inverts_stft(num_samples):
    x = np.random.default_rng(0).standard_normal(num_samples).astype(np.float32)
    y = istft(stft(x, 512, 128, hann_window(512)), 512, 128, hann_window(512), num_samples)
    np.testing.assert_allclose(y, x, atol=2e-6)


def test_frames_are_centred():
    x = np.arange(1, 11, dtype=np.float32)
    assert cut_frames(x, 4, 2)[:, 2].tolist() == [1, 3, 5, 7, 9, 0]


def test_a_constant_filter_is_convolution():
    rng = np.random.default_rng(0)
    x, taps = rng.standard_normal(1000).astype(np.float32), rng.standard_normal(100)
    response = np.broadcast_to(np.fft.rfft(taps, 512), (20, 257))
    np.testing.assert_allclose(filter_frames([(x, response)], 64, 512), np.convolve(x, taps)[:1000], atol=1e-4)


def test_minimum_phase_keeps_the_magnitude_and_comes_first():
    log_magnitude = np.cos(np.linspace(0, 6 * np.pi, 513))[None]
    response = minimum_phase(log_magnitude)
    np.testing.assert_allclose(np.abs(response), np.exp(log_magnitude), rtol=1e-5)
    impulse = np.fft.irfft(response[0])
    assert np.sum(impulse[:100] ** 2) > 0.99 * np.sum(impulse**2)


def test_smoothing_keeps_constants_and_length():
    np.testing.assert_allclose(smooth_track(np.full((7, 2), 3.0), 12), 3.0)
