"""Metrics of resampled trials equal the plain ones on the trials repeated, bit for bit where they count."""

import numpy as np
import pytest

from dfx import metrics
from dfx.metrics.resampled import NAMES, ResampledMetrics

RATES = metrics.AsvRates(p_miss=0.02, p_fa=0.03, p_fa_spoof=0.5)
PLAIN = {
    "eer": lambda b, s, t: metrics.eer(b, s)[0],
    "eer_interpolated": lambda b, s, t: metrics.interpolated_eer(b, s),
    "auc": lambda b, s, t: metrics.auc(b, s),
    "min_dcf": lambda b, s, t: metrics.min_dcf(b, s),
    "act_dcf": lambda b, s, t: metrics.act_dcf(b, s),
    "min_cllr": lambda b, s, t: metrics.min_cllr(b, s),
    "accuracy": metrics.accuracy,
    "balanced_accuracy": metrics.balanced_accuracy,
    "f1": metrics.f1,
    "min_tdcf_2019": lambda b, s, t: metrics.min_tdcf(b, s, RATES, "2019"),
    "min_tdcf_revised": lambda b, s, t: metrics.min_tdcf(b, s, RATES, "revised"),
    "cllr": lambda b, s, t: metrics.cllr(b, s),
    "ece": lambda b, s, t: metrics.ece(b, s),
    "brier": lambda b, s, t: metrics.brier(b, s),
}


def trials(generator, decimals):
    """Scores of a small corpus in any order, and which are bona fide; few decimals make many ties."""
    is_bonafide = generator.random(generator.integers(2, 60)) < generator.choice([0.1, 0.5, 0.9])
    is_bonafide[:2] = True, False
    scores = generator.normal(np.where(is_bonafide, 1, -1) * generator.choice([-1, 0, 0.7, 4])).round(decimals)
    return scores + 0.0, is_bonafide  # no negative zero


def test_each_metric_is_covered():
    assert set(PLAIN) == set(NAMES)


@pytest.mark.parametrize("decimals", [-1, 0, 1, 12])
def test_a_trial_drawn_three_times_counts_as_three(decimals):
    generator = np.random.default_rng(10 + decimals)
    for _ in range(60):
        scores, is_bonafide = trials(generator, decimals)
        threshold = float(generator.choice(scores))
        drawn = generator.poisson(generator.choice([0.5, 1, 3]), (4, scores.size))
        drawn[:, :2] += 1  # both classes are there
        drawn[0] = 1  # the trials themselves
        metrics_of = ResampledMetrics(scores, is_bonafide, NAMES, threshold, RATES)
        measured = metrics_of.measure([drawn[:3], drawn[3:]])
        for row, times in enumerate(drawn):
            bonafide, spoof = (np.repeat(scores[of], times[of]) for of in (is_bonafide, ~is_bonafide))
            assert measured["eer"][row] == metrics.eer(bonafide, spoof)[0]
            expected = {name: plain(bonafide, spoof, threshold) for name, plain in PLAIN.items()}
            assert {name: measured[name][row] for name in NAMES} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("names", "wrong"), [(["EER"], "EER"), (["eer", "f1"], "f1"), (["min_tdcf_2019"], "min_tdcf_2019")]
)
def test_an_unknown_name_and_a_metric_that_lacks_something_are_errors(names, wrong):
    with pytest.raises(KeyError, match=wrong):
        ResampledMetrics(np.array([1.0, 0.0]), np.array([True, False]), names)
