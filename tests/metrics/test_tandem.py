import numpy as np
import pytest

from dfx.metrics import ASVSPOOF5_RATES, AsvRates, asv_rates, min_adcf, min_dcf, min_tdcf

RATES = AsvRates(p_miss=0.02, p_fa=0.03, p_fa_spoof=0.5)


def test_rates_accept_a_score_at_the_threshold():
    # The EER of these is 1/2 at the threshold 1, the second score of the tie-free list.
    assert asv_rates([1.0, 3.0], [0.0, 2.0], [1.0, 0.5, 9.0, 0.0]) == AsvRates(0.0, 0.5, 0.5)


def test_tandem_cost_by_hand():
    # One of four bona fide lies below all spoof.
    c0 = 0.9405 * 0.02 + 0.0095 * 10 * 0.03
    c1, c2 = 0.9405 - c0, 0.05 * 10 * 0.5
    assert min_tdcf([0, 5, 6, 7], [1, 2], RATES) == pytest.approx((c1 / 4) / c2)
    assert min_tdcf([0, 5, 6, 7], [1, 2], RATES, "revised") == pytest.approx((c0 + c1 / 4) / (c0 + c2))
    assert min_tdcf([0, 1], [2, 3], RATES) == 1.0  # no worse than without a countermeasure


def test_a_perfect_countermeasure_keeps_the_cost_of_verification_in_the_revised_form():
    assert min_tdcf([2, 3], [0, 1], RATES, "2019") == 0.0
    assert min_tdcf([2, 3], [0, 1], RATES, "revised") == pytest.approx(0.02166 / (0.02166 + 0.25))


def test_rates_of_asvspoof5_are_those_of_its_package():
    c0 = 0.9405 * 0.01880141010575793 + 0.095 * 0.01881016557566423
    assert min_tdcf([1], [0], ASVSPOOF5_RATES, "revised") == pytest.approx(c0 / (c0 + 0.5 * 0.4607082907604729))


@pytest.mark.parametrize(
    "rates",
    [
        *(AsvRates(0.02, 0.03, 0.0), AsvRates(0.95, 0.95, 0.5)),
        *(AsvRates(2.0, 3.0, 50.0), AsvRates(float("nan"), 0.1, 0.5)),  # percent, and nothing
    ],
)
def test_a_cost_without_meaning_is_refused(rates):
    with pytest.raises(ValueError, match="cannot lower the cost"):
        min_tdcf([1.0], [0.0], rates)


def test_there_are_two_forms():
    with pytest.raises(KeyError, match="2021"):
        min_tdcf([1.0], [0.0], RATES, "2021")


def test_a_dcf_by_hand():
    # Accepting all costs .5 + 1 = 1.5, rejecting all .9. Below 2 lie one target, and all of the others.
    assert min_adcf([1, 2, 3, 4], [0, 1.5], [0, 1.5]) == pytest.approx(0.25)
    # One of two non-targets lies above all: accepted at .25, else everything is rejected.
    assert min_adcf([1, 2], [0, 3], [0]) == pytest.approx(0.25 / 0.9)
    assert min_adcf([0, 1], [2], [3]) == 1.0


def test_a_dcf_by_counting_at_every_threshold():
    generator = np.random.default_rng(0)
    target, nontarget, spoof = (generator.normal(m, 1, n) for m, n in ((1, 40), (-1, 60), (0, 50)))
    thresholds = np.concatenate([[-9], target, nontarget, spoof])
    costs = [0.9 * (target <= t).mean() + 0.5 * (nontarget > t).mean() + 1.0 * (spoof > t).mean() for t in thresholds]
    assert min_adcf(target, nontarget, spoof) == pytest.approx(min(costs) / 0.9, abs=1e-12)


def test_without_other_speakers_a_dcf_is_the_dcf():
    generator = np.random.default_rng(1)
    target, spoof = generator.normal(1, 1, 50), generator.normal(-1, 1, 60)
    least = min_adcf(target, spoof, spoof, p_nontarget=0.02, p_spoof=0.03, c_fa_nontarget=10, c_fa_spoof=10)
    assert least == pytest.approx(min_dcf(target, spoof, p_spoof=0.05), abs=1e-12)


def test_ties_go_to_the_cost_of_the_target_first():
    assert min_adcf([0.0], [0.0], [0.0]) == 1.0


def test_groups_and_costs_are_checked():
    with pytest.raises(ValueError, match="no nontarget scores"):
        min_adcf([1.0], [], [0.0])
    with pytest.raises(ValueError, match="no target scores"):
        asv_rates([], [0.0], [0.0])
    with pytest.raises(ValueError, match=r"p_spoof=1\.0"):
        min_adcf([1.0], [0.0], [0.0], p_spoof=1.0)
