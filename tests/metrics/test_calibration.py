import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from dfx.metrics import act_dcf, auc, brier, cllr, ece, eer, learn_calibration, min_cllr, min_dcf
from dfx.tables.score_table import ScoreTable
from setups import ratios


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


def table(scores, labels):
    ids = np.arange(len(scores)).astype(str)
    return ScoreTable(pd.DataFrame({"id": ids, "attack": "-", "label": labels, "score": scores, "codec": "x"}))


def simulated(seed, distance=2.0, num=(1500, 6000)):
    """Gaussian scores, scaled and shifted: `distance` standard deviations between the classes."""
    labels = np.repeat([1, 0], num)
    scores = np.random.default_rng(seed).normal(size=len(labels)) + distance * labels
    return table(0.01 * scores - 7, labels)


def rates(scored):
    return eer(scored.bonafide, scored.spoof)[0], auc(scored.bonafide, scored.spoof)


def test_calibration_keeps_the_order_and_makes_ratios_of_scores():
    dev, other = simulated(0), simulated(1)
    calibration = learn_calibration(dev)
    on_dev, on_other = calibration.apply(dev), calibration.apply(other)
    assert calibration.findings == ()
    assert rates(on_dev) == rates(dev)
    assert rates(on_other) == rates(other)
    assert cllr(on_dev.bonafide, on_dev.spoof) < cllr(dev.bonafide, dev.spoof)
    for part in (on_dev, on_other):
        assert cllr(part.bonafide, part.spoof) == pytest.approx(min_cllr(part.bonafide, part.spoof), abs=0.02)
        least = min_dcf(part.bonafide, part.spoof)
        assert least <= act_dcf(part.bonafide, part.spoof) < least + 0.03
    # two Gaussians of one deviation: the ratio is a straight line of slope distance / deviation through the middle
    assert calibration.slope == pytest.approx(2 / 0.01, rel=0.05)
    assert -calibration.intercept / calibration.slope == pytest.approx(-7 + 0.01, abs=0.001)
    assert list(on_dev.table["codec"].unique()) == ["x"]


@pytest.mark.parametrize("num_spoof", [1500, 30_000])
def test_the_proportion_of_the_classes_does_not_move_a_ratio(num_spoof):
    calibration = learn_calibration(simulated(0, num=(1500, num_spoof)))
    middle_between_classes = -7 + 0.01
    assert calibration.slope * middle_between_classes + calibration.intercept == pytest.approx(0, abs=0.1)


def test_classes_weigh_the_same_however_few_trials_one_has():
    dev = simulated(0, distance=1.0, num=(12, 1000))
    probability = 1 / (1 + np.exp(-learn_calibration(dev).apply(dev).table["score"]))
    assert probability.groupby(dev.table["label"]).mean().sum() == pytest.approx(1, abs=1e-6)


def test_the_scale_and_the_order_of_the_trials_do_not_matter():
    dev = simulated(0)
    order = np.random.default_rng(5).permutation(len(dev))
    first, again = learn_calibration(dev), learn_calibration(ScoreTable(dev.table.iloc[order]))
    assert (first.slope, first.intercept) == (again.slope, again.intercept)
    scaled = ScoreTable(dev.table.assign(score=dev.table["score"] * 1e6))
    expected = first.apply(dev).table["score"]
    np.testing.assert_allclose(learn_calibration(scaled).apply(scaled).table["score"], expected, atol=1e-6)


def test_a_dev_set_without_errors_is_bounded_and_told():
    labels = np.repeat([1, 0], [20, 50])
    dev = table(labels + np.random.default_rng(0).uniform(0, 0.1, 70), labels)
    calibration = learn_calibration(dev)
    scores = calibration.apply(dev).table["score"]
    assert calibration.slope > 0
    assert np.abs(scores).max() < 1.5 * np.log(51)
    assert [finding.kind for finding in calibration.findings] == ["separated"]
    assert "The 70 dev trials are separated without an error by the system" in calibration.findings[0].text


STEPS = np.linspace(0, 1, 50)


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        (np.r_[STEPS / 2 - 1, STEPS / 2 + 0.5], "AUC of the system on dev .* the wrong way round"),
        (np.ones(100), "All 100 dev scores of the system are alike"),
        (np.r_[STEPS - 0.02, STEPS], "slope of -.*, where the AUC is 0.490 .* dfx does not turn"),
    ],
)
def test_scores_that_do_not_rank_are_not_calibrated(scores, sentence):
    with pytest.raises(ValueError, match=sentence):
        learn_calibration(table(scores, np.repeat([1, 0], 50)))
