import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from dfx.metrics import accuracy, balanced_accuracy, eer, f1


@pytest.mark.parametrize("threshold", [-9.0, -0.5, 0.0, 1.0, 9.0])
def test_decisions_equal_scikit_learn_with_spoof_as_the_positive_class(threshold):
    generator = np.random.default_rng(0)
    bonafide, spoof = generator.normal(1, 1, 30).round(1), generator.normal(-1, 1, 70).round(1)
    is_spoof = np.repeat([0, 1], [30, 70])
    called_spoof = np.concatenate([bonafide, spoof]) <= threshold  # a score at the threshold is rejected
    for ours, theirs in ((accuracy, accuracy_score), (balanced_accuracy, balanced_accuracy_score), (f1, f1_score)):
        assert ours(bonafide, spoof, threshold) == pytest.approx(theirs(is_spoof, called_spoof))


def test_a_guess_at_the_larger_class_is_not_rewarded():
    bonafide, spoof = np.ones(10), np.ones(990)
    assert accuracy(bonafide, spoof, threshold=1.0) == 0.99  # all rejected
    assert balanced_accuracy(bonafide, spoof, threshold=1.0) == 0.5
    assert f1(bonafide, spoof, threshold=0.0) == 0.0  # all accepted: no spoof found


@pytest.mark.parametrize(("metric", "num_spoof"), [(balanced_accuracy, 700), (accuracy, 300)])
def test_accuracy_at_the_eer_threshold_is_one_minus_the_eer(metric, num_spoof):
    generator = np.random.default_rng(5)
    bonafide, spoof = generator.normal(1, 1, 300), generator.normal(-1, 1, num_spoof)
    rate, threshold = eer(bonafide, spoof)
    assert metric(bonafide, spoof, threshold) == pytest.approx(1 - rate, abs=1e-12)


@pytest.mark.parametrize("metric", [accuracy, balanced_accuracy, f1])
def test_a_nan_threshold_is_an_error(metric):
    with pytest.raises(ValueError, match="threshold is NaN"):
        metric([1.0], [0.0], np.nan)
