import numpy as np
import pytest

from dfx.metrics import act_dcf, min_dcf
from setups import ratios


def test_min_dcf_by_hand():
    # One of four bona fide lies below all spoof. Rejecting it costs .95 / 4, normalised by .5; accepting one
    # of two spoof costs .5 / 2, normalised: .475 < .5.
    assert min_dcf([0, 5, 6, 7], [1, 2]) == pytest.approx(0.475)
    assert min_dcf([3, 4], [1, 2]) == 0.0
    assert min_dcf([1, 2], [3, 4]) == 1.0  # no worse than rejecting everything


def test_act_dcf_uses_the_bayes_threshold():
    threshold = np.log(10 * 0.05 / (1 * 0.95))  # -0.641854
    assert threshold == pytest.approx(-0.641854, abs=1e-6)
    assert act_dcf([threshold + 0.01], [threshold - 0.01]) == 0.0
    assert act_dcf([threshold - 0.01], [threshold - 0.02]) == pytest.approx(1.9)  # every miss: .95 / .5
    assert act_dcf([1.0], [threshold + 0.01]) == pytest.approx(1.0)  # every spoof accepted: .5 / .5


def test_calibrated_scores_have_equal_actual_and_minimum_cost():
    bonafide, spoof = ratios(num_bonafide=50_000)
    assert act_dcf(bonafide, spoof) == pytest.approx(min_dcf(bonafide, spoof), abs=0.01)
    assert act_dcf(bonafide + 3, spoof + 3) > 1.5 * act_dcf(bonafide, spoof)
    assert min_dcf(bonafide + 3, spoof + 3) == pytest.approx(min_dcf(bonafide, spoof))


def test_costs_and_prior_change_the_cost():
    # With equal costs and prior: half of one bona fide in four, normalised by a half.
    assert min_dcf([0, 5, 6, 7], [1, 2], p_spoof=0.5, c_fa=1.0) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="prior between 0 and 1"):
        min_dcf(*ratios(), p_spoof=0.0)
    with pytest.raises(ValueError, match="c_miss=-1"):
        act_dcf(*ratios(), c_miss=-1)
