import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from dfx.metrics import cllr, min_cllr
from setups import ratios


def test_cllr_by_hand():
    assert cllr([0, 0, 0], [0]) == 1.0  # says nothing
    assert cllr([np.log(3)], [-np.log(3)]) == pytest.approx(np.log2(4 / 3))
    assert cllr([5.0], [-5.0]) < 0.02 < 1 < cllr([-5.0], [5.0])


def test_cllr_is_least_at_calibration():
    bonafide, spoof = ratios()
    assert cllr(bonafide, spoof) < min(cllr(0.5 * bonafide, 0.5 * spoof), cllr(2 * bonafide, 2 * spoof))


def test_cllr_does_not_overflow():
    assert cllr([1e4], [-1e4]) == 0.0
    assert cllr([-1e4], [1e4]) == pytest.approx(1e4 / np.log(2))


@pytest.mark.parametrize("decimals", [0, 1, 12])
def test_min_cllr_is_the_cllr_after_isotonic_regression(decimals):
    bonafide, spoof = (scores.round(decimals) for scores in ratios())
    label = np.repeat([1.0, 0.0], [bonafide.size, spoof.size])
    fitted = IsotonicRegression(y_min=1e-300, y_max=1 - 1e-16).fit_transform(np.concatenate([bonafide, spoof]), label)
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
