"""Scattering of images and of waveforms, against Kymatio's NumPy version, and chunks side by side."""

import numpy as np
import pytest
import torch

from dfx.features import LogMelImage, Scattering, Scattering1D
from dfx.features.scattering import ImageScattering
from dfx.features.scattering1d import WaveformScattering

RATE = 16000
SMALL = {"num_scales": 2, "num_angles": 4, "size": (32, 32)}


@pytest.fixture(scope="module")
def noise():
    return 0.1 * torch.randn(2, RATE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("scales", "angles", "size"),
    [(2, 4, (32, 32)), (3, 2, (48, 32)), (1, 5, (6, 8)), pytest.param(4, 8, (64, 32), marks=pytest.mark.slow)],
)
def test_scattering_of_an_image_is_that_of_kymatio(scales, angles, size):
    from kymatio.scattering2d.frontend.numpy_frontend import ScatteringNumPy2D

    images = torch.randn(2, *size, generator=torch.Generator().manual_seed(0)) - 5
    expected = ScatteringNumPy2D(J=scales, L=angles, shape=size)(images.numpy())
    ours = ImageScattering(scales, angles, *size)(images)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_the_feature_is_the_scattering_of_its_image(noise):
    feature = Scattering(RATE, 1.0, **SMALL)
    expected = ImageScattering(2, 4, 32, 32)(LogMelImage(RATE, size=(32, 32))(noise)[:, 0])
    assert expected.shape == (2, 1 + 8 + 16, 8, 8)
    torch.testing.assert_close(feature(noise), expected)


# Half a step left over, an odd number of samples, and less than Kymatio's padding.
@pytest.mark.parametrize(("scales", "per_octave", "samples"), [(6, 4, RATE), (5, 1, 3215), (7, 8, 4001), (8, 8, 8000)])
def test_scattering_of_a_waveform_is_that_of_kymatio(noise, scales, per_octave, samples):
    from kymatio.scattering1d.frontend.numpy_frontend import ScatteringNumPy1D

    expected = ScatteringNumPy1D(J=scales, Q=per_octave, shape=(samples,))(noise[:, :samples].double().numpy())
    ours = WaveformScattering(scales, per_octave, samples)(noise[:, :samples])
    np.testing.assert_allclose(ours, expected, atol=1e-5 * expected.max())


def test_values_of_a_waveform_are_logarithms(noise):
    feature = Scattering1D(RATE, 1.0, num_scales=6, wavelets_per_octave=4, eps=1e-3)
    expected = (WaveformScattering(6, 4, RATE)(noise).abs() + 1e-3).log()
    torch.testing.assert_close(feature(noise)[:, 0], expected)


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
    with pytest.raises(ValueError, match=r"multiples of 2\^4 and larger, got size=\[200, 256\]"):
        Scattering(RATE, size=(200, 256))
    with pytest.raises(ValueError, match=r"got size=\[16, 256\] with num_scales=4"):
        Scattering(RATE, size=(16, 256))
    with pytest.raises(ValueError, match="7200 samples has no whole number of samples for each of its 29 frames"):
        _ = Scattering1D(RATE, 0.45).hop_samples
