import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, roc_auc_score

from dfx.metrics import s3_score


def test_the_score_of_voices_equals_its_parts_from_scikit_learn():
    generator = np.random.default_rng(0)
    labels = (generator.random((500, 2)) < [0.3, 0.6]).astype(int)
    probabilities = generator.beta(1 + 2 * labels, 2)
    parts = []
    for label, probability in zip(labels.T, probabilities.T, strict=True):
        true, predicted = calibration_curve(label, probability, n_bins=10)
        share = np.histogram(probability, np.linspace(0, 1, 11))[0] / label.size
        error = share[share > 0] @ np.abs(true - predicted)
        brier = brier_score_loss(label, probability)
        parts.append(0.5 * (1 - roc_auc_score(label, probability)) + 0.25 * brier + 0.25 * error)
    assert s3_score(labels, probabilities) == pytest.approx(np.mean(parts), abs=1e-12)


def test_ends_of_the_scale():
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    assert s3_score(labels, labels) == 0.0
    assert s3_score(labels, 1 - labels) == 1.0
    assert s3_score(labels, np.full((4, 2), 0.5)) == pytest.approx(0.5 * 0.5 + 0.25 * 0.25)


@pytest.mark.parametrize(
    ("labels", "probabilities", "sentence"),
    [
        ([1, 0], [0.1, 0.2], r"got \(2,\) and \(2,\)"),
        ([[1, 0]], [[0.1, 0.2], [0.1, 0.2]], r"got \(1, 2\) and \(2, 2\)"),
        ([[1], [0]], [[1.5], [0.0]], r"lies in \[0, 1\], got values from 0 to 1.5"),
        ([[1], [0]], [[np.nan], [0.0]], "NaN"),
        ([[2], [0]], [[0.5], [0.0]], r"A label is 0 or 1, got \[0.0, 2.0\]"),
        ([[1], [1]], [[0.5], [0.0]], "with and without the voice, got 2 and 0"),
    ],
)
def test_what_cannot_be_judged_is_refused(labels, probabilities, sentence):
    with pytest.raises(ValueError, match=sentence):
        s3_score(labels, probabilities)
