import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dfx.metrics import accuracy, auc, det_curve, eer, interpolated_eer


def rounded_scores(seed: int, decimals: int) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping classes; few decimals make many ties."""
    generator = np.random.default_rng(seed)
    return generator.normal(1, 1, 300).round(decimals), generator.normal(-1, 1, 700).round(decimals)


@pytest.mark.parametrize(
    ("bonafide", "spoof", "expected"),
    [
        ([2, 3], [0, 1], 0.0),  # perfect
        ([0, 1], [2, 3], 1.0),  # reversed
        ([0.5] * 7, [0.5] * 3, 1.0),  # constant: within the tie bona fide is rejected first
        ([0.1], [0.1], 1.0),  # a single tied pair
        ([1, 1, 0], [0, 0, 1], 1 / 3),
        ([0.9, 0.8, 0.4, 0.3], [0.7, 0.2, 0.1, 0.35], 0.25),
    ],
)
def test_eer_of_small_cases_follows_the_organisers(bonafide, spoof, expected):
    assert eer(bonafide, spoof)[0] == pytest.approx(expected, abs=1e-15)


def test_eer_threshold_is_the_score_rejected_last():
    assert eer([0.9, 0.8, 0.4, 0.3], [0.7, 0.2, 0.1, 0.35]) == (0.25, 0.35)


def test_eer_by_counting_at_every_threshold():
    bonafide, spoof = rounded_scores(seed=1, decimals=12)
    rates = [((bonafide <= t).mean(), (spoof > t).mean()) for t in np.sort(np.concatenate([bonafide, spoof]))]
    frr, far = min(rates, key=lambda pair: abs(pair[0] - pair[1]))
    assert eer(bonafide, spoof)[0] == (frr + far) / 2


def test_det_curve_walks_from_accepting_to_rejecting_everything():
    far, frr, thresholds = det_curve([2.0, 3.0], [1.0, 2.0])
    assert far.tolist() == [1, 0.5, 0.5, 0, 0]
    assert frr.tolist() == [0, 0, 0.5, 0.5, 1]  # at the tie, bona fide goes first
    assert thresholds.tolist() == [0.999, 1, 2, 2, 3]


def test_merged_ties_leave_one_point_for_each_threshold():
    far, frr, thresholds = det_curve([2.0, 3.0], [1.0, 2.0], merge_ties=True)
    assert thresholds.tolist() == [0.999, 1, 2, 3]
    assert far.tolist() == [1, 0.5, 0, 0]
    assert frr.tolist() == [0, 0, 0.5, 1]


def test_eers_do_not_change_under_a_monotone_map_or_the_order_of_trials():
    bonafide, spoof = rounded_scores(seed=2, decimals=1)
    assert eer(np.exp(bonafide), np.exp(spoof))[0] == eer(bonafide, spoof)[0]
    assert eer(bonafide[::-1], np.sort(spoof)) == eer(bonafide, spoof)
    assert interpolated_eer(3 * bonafide, 3 * spoof) == interpolated_eer(bonafide, spoof)


def test_interpolated_eer_differs_on_ties_and_agrees_without():
    assert interpolated_eer([0.5] * 7, [0.5] * 3) == 0.5
    assert interpolated_eer([2, 3], [0, 1]) == 0.0
    assert interpolated_eer([0, 1], [2, 3]) == 1.0
    # Thresholds 0 and 1: (FAR, FRR) goes (1, 0), (1/3, 1/3), (0, 1); official and interpolated meet.
    assert interpolated_eer([1, 1, 0], [0, 0, 1]) == pytest.approx(1 / 3)
    # (FAR, FRR) goes (1, 0), (1/2, 0), (0, 1/3), ...: the line meets FAR = FRR at x = 1/2 - 3/2 x.
    assert interpolated_eer([2, 3, 4], [1, 2]) == pytest.approx(1 / 5)
    bonafide, spoof = rounded_scores(seed=3, decimals=12)
    assert interpolated_eer(bonafide, spoof) == pytest.approx(eer(bonafide, spoof)[0], abs=1 / 300)


@pytest.mark.parametrize("decimals", [0, 1, 12])
def test_auc_equals_scikit_learn_with_and_without_ties(decimals):
    bonafide, spoof = rounded_scores(seed=4, decimals=decimals)
    labels = np.concatenate([np.ones(bonafide.size), np.zeros(spoof.size)])
    expected = roc_auc_score(labels, np.concatenate([bonafide, spoof]))
    assert auc(bonafide, spoof) == pytest.approx(expected, abs=1e-12)
    assert auc(spoof, bonafide) == pytest.approx(1 - expected, abs=1e-12)


def test_accuracy_rejects_a_score_at_the_threshold():
    assert accuracy([1.0], [0.0], threshold=1.0) == 0.5
    assert accuracy([1.0], [0.0], threshold=0.0) == 1.0
    assert accuracy([1, 2, 3], [9], threshold=0) == 0.75  # of all trials, not the mean of the classes


def test_accuracy_at_its_own_eer_threshold_is_one_minus_the_eer():
    bonafide, spoof = rounded_scores(seed=5, decimals=12)
    rate, threshold = eer(bonafide, spoof[:300])
    assert accuracy(bonafide, spoof[:300], threshold) == pytest.approx(1 - rate, abs=1e-12)


def test_float32_scores_are_judged_in_float64():
    bonafide, spoof = rounded_scores(seed=6, decimals=3)
    single = bonafide.astype(np.float32), spoof.astype(np.float32)
    assert eer(*single)[0] == eer(bonafide, spoof)[0]


@pytest.mark.parametrize("metric", [eer, interpolated_eer, auc, det_curve])
def test_a_missing_class_is_named(metric):
    with pytest.raises(ValueError, match="no bona fide scores"):
        metric([], [1.0])
    with pytest.raises(ValueError, match="no spoof scores"):
        metric([1.0], [])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_refused(bad):
    with pytest.raises(ValueError, match=r"1 of 3 spoof scores are not finite numbers, got .* at position 1"):
        eer([1.0], [0.0, bad, 0.0])


def test_wrong_shapes_and_a_nan_threshold_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 1\)"):
        auc([[1.0], [2.0]], [0.0])
    with pytest.raises(ValueError, match="threshold is NaN"):
        accuracy([1.0], [0.0], threshold=np.nan)
