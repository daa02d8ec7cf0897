import numpy as np
import pytest

from dfx import metrics
from dfx.metrics import accuracy, decision_threshold, det_curve, eer, interpolated_eer


def rounded_scores(seed, decimals):
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


def test_eer_by_counting_at_every_threshold():
    bonafide, spoof = rounded_scores(seed=1, decimals=12)
    rates = [((bonafide <= t).mean(), (spoof > t).mean()) for t in np.sort(np.concatenate([bonafide, spoof]))]
    frr, far = min(rates, key=lambda pair: abs(pair[0] - pair[1]))
    assert eer(bonafide, spoof)[0] == (frr + far) / 2


def test_det_curve_goes_from_accepting_to_rejecting_everything():
    far, frr, thresholds = (values.tolist() for values in det_curve([2.0, 3.0], [1.0, 2.0]))
    assert far == [1, 0.5, 0.5, 0, 0]
    assert frr == [0, 0, 0.5, 0.5, 1]  # at the tie, bona fide goes first
    assert thresholds == [0.999, 1, 2, 2, 3]
    merged = (values.tolist() for values in det_curve([2.0, 3.0], [1.0, 2.0], merge_ties=True))
    assert list(merged) == [[1, 0.5, 0, 0], [0, 0, 0.5, 1], [0.999, 1, 2, 3]]


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


def test_float32_scores_are_judged_in_float64():
    bonafide, spoof = rounded_scores(seed=6, decimals=3)
    single = bonafide.astype(np.float32), spoof.astype(np.float32)
    assert eer(*single)[0] == eer(bonafide, spoof)[0]


METRICS = ["eer", "interpolated_eer", "auc", "det_curve", "min_dcf", "act_dcf", "cllr", "min_cllr", "ece"]
AT_THRESHOLD = ["accuracy", "balanced_accuracy", "f1"]


@pytest.mark.parametrize("name", [*METRICS, "brier", *AT_THRESHOLD])
@pytest.mark.parametrize(
    ("bonafide", "spoof", "sentence"),
    [
        ([], [1.0], "There are no bona fide scores"),
        ([1.0], [], "There are no spoof scores"),
        ([1.0, np.nan], [0.0], "1 of 2 bona fide scores are not finite numbers, got nan at position 1"),
        ([1.0], [0.0, np.inf, 0.0], "1 of 3 spoof scores are not finite numbers, got inf at position 1"),
        ([1.0], [-np.inf], "1 of 1 spoof scores are not finite numbers, got -inf at position 0"),
        ([[1.0], [2.0]], [0.0], r"shape \(2, 1\)"),
    ],
)
def test_a_missing_class_and_scores_that_are_not_numbers_are_errors(name, bonafide, spoof, sentence):
    options = {"threshold": 0.0} if name in AT_THRESHOLD else {}
    with pytest.raises(ValueError, match=sentence):
        getattr(metrics, name)(bonafide, spoof, **options)


def test_the_threshold_for_decisions_is_in_the_middle_of_those_that_decide_alike():
    generator = np.random.default_rng(0)
    for bonafide, spoof in ((generator.normal(2, 1, 90), generator.normal(0, 1, 70)), ([8.0, 9.0], [0.0, 1.0])):
        _, organisers = eer(bonafide, spoof)
        threshold = decision_threshold(bonafide, spoof)
        assert accuracy(bonafide, spoof, threshold) == accuracy(bonafide, spoof, organisers)
        above = min(score for score in (*bonafide, *spoof) if score > organisers)
        assert threshold == pytest.approx((organisers + above) / 2)
    assert decision_threshold([1.0, 1.0], [1.0]) == 1.0  # a constant score
    assert decision_threshold([np.nextafter(1.0, 2)], [1.0]) == 1.0  # nothing lies between
