"""Numbers of the organisers' own code on a published score file of ASVspoof 2019 LA (71,237 trials)."""

from pathlib import Path

import pytest

from dfx.metrics import asv_rates, attack_name, bootstrap_intervals, eer, min_tdcf, summary
from dfx.tables.score_table import ScoreTable

SCORES = Path(__file__).parents[3] / "shared" / "data" / "scores"
needs_scores = pytest.mark.skipif(
    not SCORES.is_dir(), reason="the published score files are not in ../shared/data/scores"
)

ATTACKS = {  # EER in percent
    **{"A07": 0.3667, "A08": 0.1392, "A09": 0.0238, "A10": 1.1816, "A11": 0.3667, "A12": 0.4312},
    **{"A13": 0.6927, "A14": 4.9878, "A15": 5.4360, "A16": 0.2275, "A17": 23.4823, "A18": 0.2037},
    **{"A19": 1.3446},
}


@pytest.fixture(scope="module")
def countermeasure():
    return ScoreTable.read(SCORES / "asvspoof2019_la_eval_cm_softmax.txt")


@needs_scores
def test_summary_of_the_countermeasure(countermeasure):
    metrics = summary(countermeasure)
    golden = {"eer": 0.05057773285300, "eer_interpolated": 0.05057783820530, "threshold": 0.994228482}
    golden |= {"auc": 0.985349166571, "min_dcf": 0.114349047406, "act_dcf": 1.0, "cllr": 0.7921914596}
    assert {name: metrics[name] for name in golden} == pytest.approx(golden, abs=1e-9)


@needs_scores
def test_eer_of_each_attack(countermeasure):
    metrics = summary(countermeasure).items()
    found = {attack_name(key): 100 * value for key, value in metrics if key.startswith("eer/")}
    assert found == pytest.approx(ATTACKS, abs=5e-5)


@pytest.fixture(scope="module")
def verification():
    """Scores of the organisers' speaker verification system: target, nontarget, spoof."""
    groups = {"target": [], "nontarget": [], "spoof": []}
    for line in (SCORES / "asvspoof2019_la_eval_asv.txt").read_text(encoding="utf-8").splitlines():
        _, kind, score = line.split()
        groups[kind].append(float(score))
    return groups


@needs_scores
def test_eer_of_the_speaker_verification_scores(verification):
    rate, threshold = eer(verification["target"], verification["nontarget"])
    assert rate == pytest.approx(0.0245778374, abs=1e-9)
    assert threshold == pytest.approx(-5.680051, abs=1e-9)


@needs_scores
def test_error_rates_of_speaker_verification_at_its_own_threshold(verification):
    rates = asv_rates(**verification)
    assert rates.p_fa == pytest.approx(0.0246046749, abs=1e-9)
    assert rates.p_miss == pytest.approx(0.0245810056, abs=1e-9)
    assert rates.p_fa_spoof == pytest.approx(0.7606524530, abs=1e-9)
    assert 1 - rates.p_fa_spoof == pytest.approx(0.2393475470, abs=1e-9)


@needs_scores
def test_tandem_cost_in_both_forms(countermeasure, verification):
    trials, rates = (countermeasure.bonafide, countermeasure.spoof), asv_rates(**verification)
    assert min_tdcf(*trials, rates, "2019") == pytest.approx(0.120836818418, abs=1e-9)
    assert min_tdcf(*trials, rates, "revised") == pytest.approx(0.175989256106, abs=1e-9)


@needs_scores
def test_intervals_hold_what_the_organisers_report(countermeasure, verification):
    golden = {
        **{"eer": 0.05057773285300, "eer_interpolated": 0.05057783820530, "auc": 0.985349166571},
        **{"min_tdcf_2019": 0.120836818418, "min_tdcf_revised": 0.175989256106, "min_dcf": 0.114349047406},
        **{"cllr": 0.7921914596},
    }
    found = bootstrap_intervals(countermeasure, list(golden), resamples=50, rates=asv_rates(**verification))
    for name, value in golden.items():
        assert 0.9 * value < found[name].low < value < found[name].high < 1.1 * value, name
    assert found["eer"] == pytest.approx((0.0489, 0.0523), abs=0.0005)
