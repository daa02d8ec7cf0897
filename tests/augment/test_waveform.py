"""What every waveform augmentation keeps, and what each is for."""

import numpy as np
import pytest

from dfx.augment import RawBoost

RATE = 16000
AUGMENTATIONS = {
    "rawboost": RawBoost(RATE),
    "rawboost, stationary": RawBoost(RATE, convolutive=False, impulsive=False, stationary=True),
}


def speechlike(samples=RATE, seed=0):
    return (0.2 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


@pytest.mark.parametrize("augment", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
class TestEvery:
    def test_length_type_and_range_are_kept(self, augment):
        for samples in (1, 100, 1601, RATE):
            out = augment(5 * speechlike(samples), np.random.default_rng(1))
            assert out.shape == (samples,)
            assert out.dtype == np.float32
            assert np.abs(out).max() <= 1.0

    def test_the_generator_decides(self, augment):
        waveform = speechlike()
        one, same, other = (augment(waveform, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert np.array_equal(one, same)
        assert not np.allclose(one, other, atol=1e-3)

    def test_the_input_is_left_alone(self, augment):
        waveform = speechlike()
        augment(waveform, np.random.default_rng(0))
        assert np.array_equal(waveform, speechlike())

    def test_silence_stays_finite(self, augment):
        assert np.isfinite(augment(np.zeros(RATE, dtype=np.float32), np.random.default_rng(0))).all()


def test_stationary_noise_has_the_ratio_asked_for():
    boost = RawBoost(RATE, convolutive=False, impulsive=False, stationary=True, min_snr_db=20.0, max_snr_db=20.0)
    waveform = speechlike() * 0.5
    noise = boost(waveform, np.random.default_rng(0)) - waveform
    assert 20 * np.log10(waveform.std() / noise.std()) == pytest.approx(20.0, abs=0.5)


def test_impulses_hit_at_most_the_share_asked_for():
    boost = RawBoost(RATE, convolutive=False, impulsive=True, max_impulsive_percent=10.0)
    waveform = 0.1 * speechlike()
    changed = boost(waveform, np.random.default_rng(0)) != waveform
    assert 0 < changed.mean() < 0.1


def test_the_filters_do_not_delay() -> None:
    boost = RawBoost(RATE, impulsive=False)
    for at in (2000, 3990):
        impulse = np.zeros(4000, dtype=np.float32)
        impulse[at] = 1.0
        out = boost(impulse, np.random.default_rng(3))
        out = out - out[0]  # the mean is removed
        near = min(at, 3999 - at)
        before, after = out[at - near : at], out[at + 1 : at + 1 + near]
        assert np.abs(out[at]) > 0.01
        np.testing.assert_allclose(before[::-1], after, atol=1e-6)
