import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss

from dfx.metrics import brier, cllr, ece, min_cllr


def ratios(scale: float = 1.0, num_bonafide: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihood ratios, calibrated at scale 1: for unit normals at +-1 the ratio of a value x is 2 x."""
    generator = np.random.default_rng(0)
    return scale * 2 * generator.normal(1, 1, num_bonafide), scale * 2 * generator.normal(-1, 1, 10_000)


def probabilities(bonafide, spoof):
    llr, label = np.concatenate([bonafide, spoof]), np.repeat([1, 0], [len(bonafide), len(spoof)])
    return 1 / (1 + len(spoof) / len(bonafide) * np.exp(-llr)), label


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_ece_and_brier_equal_scikit_learn_at_the_proportion_of_the_trials(scale):
    bonafide, spoof = ratios(scale)
    probability, label = probabilities(bonafide, spoof)
    true, predicted = calibration_curve(label, probability, n_bins=15)
    edges = np.linspace(0, 1, 16)
    share = np.histogram(probability, edges)[0] / label.size
    assert ece(bonafide, spoof) == pytest.approx(share[share > 0] @ np.abs(true - predicted), abs=1e-12)
    assert brier(bonafide, spoof) == pytest.approx(brier_score_loss(label, probability), abs=1e-12)


@pytest.mark.parametrize("num_bonafide", [500, 2000, 20_000])
def test_calibrated_ratios_have_almost_no_error_whatever_the_proportion(num_bonafide):
    assert ece(*ratios(1.0, num_bonafide)) < 0.01
    assert ece(*ratios(4.0, num_bonafide)) > 0.02
    assert brier(*ratios(1.0, num_bonafide)) < min(brier(*ratios(s, num_bonafide)) for s in (0.3, 4.0))


def test_extremes_by_hand():
    assert ece([1e4], [-1e4]) == brier([1e4], [-1e4]) == 0.0
    assert ece([-1e4], [1e4]) == brier([-1e4], [1e4]) == 1.0
    assert brier([0.0], [0.0, 0.0, 0.0]) == pytest.approx(0.25 * 0.75)
    with pytest.raises(ValueError, match="needs bins, got 0"):
        ece([1.0], [0.0], bins=0)


@pytest.mark.parametrize("decimals", [0, 1, 12])
def test_min_cllr_is_the_cllr_after_isotonic_regression(decimals):
    bonafide, spoof = (scores.round(decimals) for scores in ratios())
    label = np.repeat([1.0, 0.0], [bonafide.size, spoof.size])
    fitted = IsotonicRegression(y_min=1e-300, y_max=1 - 1e-16).fit_transform(
        np.concatenate([bonafide, spoof]), label
    )
    llr = np.log(fitted) - np.log1p(-fitted) - np.log(bonafide.size / spoof.size)
    expected = cllr(llr[: bonafide.size], llr[bonafide.size :])
    assert min_cllr(bonafide, spoof) == pytest.approx(expected, abs=1e-9)
    assert min_cllr(bonafide, spoof) <= cllr(bonafide, spoof)
    assert min_cllr(np.exp(bonafide / 9), np.exp(spoof / 9)) == pytest.approx(expected, abs=1e-9)


def test_min_cllr_by_hand():
    assert min_cllr([2, 3], [0, 1]) == 0.0
    assert min_cllr([0, 0, 0], [0]) == 1.0  # ties say nothing
    assert min_cllr([0, 1], [2, 3]) == 1.0  # one pool: the order is wrong
    # Pools {spoof}, {bona fide and spoof tied}, {bona fide}: half of each class costs one bit.
    assert min_cllr([1, 2], [0, 1]) == pytest.approx(0.5)
