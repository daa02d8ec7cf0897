"""Scattering of images and of waveforms, against Kymatio's NumPy version, and chunks side by side."""

import numpy as np
import pytest
import torch

from dfx.features import LogMelImage, Scattering, Scattering1D

RATE = 16000
SMALL = {"num_scales": 2, "num_angles": 4, "size": (32, 32)}


@pytest.fixture(scope="module")
def noise():
    return 0.1 * torch.randn(2, RATE, generator=torch.Generator().manual_seed(0))


def test_scattering_is_that_of_kymatio_on_the_image(noise):
    from kymatio.scattering2d.frontend.numpy_frontend import ScatteringNumPy2D

    image = LogMelImage(RATE, size=(32, 32))(noise)[:, 0].double().numpy()
    expected = ScatteringNumPy2D(J=2, L=4, shape=(32, 32))(image)
    ours = Scattering(RATE, 1.0, **SMALL)(noise)
    assert ours.shape == (2, 1 + 8 + 16, 8, 8)
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3)  # decibels, float32 against float64


def test_scattering_of_a_waveform_is_the_log_of_kymatios(noise):
    from kymatio.scattering1d.frontend.numpy_frontend import ScatteringNumPy1D

    expected = ScatteringNumPy1D(J=6, Q=4, shape=(RATE,))(noise.double().numpy())
    ours = Scattering1D(RATE, 1.0, num_scales=6, wavelets_per_octave=4, eps=1e-3)(noise)
    np.testing.assert_allclose(ours[:, 0], np.log(np.abs(expected) + 1e-3), atol=1e-3)


@pytest.mark.slow
def test_the_shapes_are_those_of_s4_and_of_kymatio():
    assert Scattering(RATE, 3.0).output_shape(3 * RATE) == (417, 16, 16)
    assert Scattering1D(RATE, 4.0).output_shape(4 * RATE) == (1, 234, 250)


@pytest.mark.parametrize(
    ("feature", "frames"),
    [(Scattering(RATE, 0.2, **SMALL), 8), (Scattering1D(RATE, 0.2, 6, 4), 50)],
    ids=["scattering", "scattering1d"],
)
def test_chunks_stand_side_by_side_and_the_rest_is_left_out(noise, feature, frames):
    parts = [feature(noise[:, start : start + 3200]) for start in (0, 3200, 6400)]
    torch.testing.assert_close(feature(noise[:, : 3 * 3200 + 3000]), torch.cat(parts, dim=3), rtol=1e-4, atol=1e-3)
    assert parts[0].shape[3] == frames
    assert feature.chunk_frames * feature.hop_samples == feature.min_samples == 3200
    with pytest.raises(ValueError, match="takes chunks of 3200 samples, got 3199: use longer segments"):
        feature(noise[:, :3199])


def test_what_cannot_be_is_named():
    with pytest.raises(ValueError, match=r"multiples of 2\^4, got size=\[200, 256\]"):
        Scattering(RATE, size=(200, 256))
    with pytest.raises(ValueError, match="7200 samples has no whole number of samples for each of its 29 frames"):
        _ = Scattering1D(RATE, 0.45).hop_samples
