import numpy as np
import pytest

from dfx.metrics.suspicious_scores import scores_are_backwards, suspicious_scores
from setups import score_table

NORMAL = np.random.default_rng(0).normal(size=(2, 200))
ONES = np.ones(50)


def probability(ratios):
    return 1 / (1 + np.exp(-ratios))


@pytest.mark.parametrize(
    ("bonafide", "spoof", "kind", "sentence"),
    [
        (ONES, ONES, "constant-scores", "All 100 scores are 1"),
        (ONES, np.r_[np.zeros(49), 1], "few-values", "have 2 different values"),
        (np.r_[ONES[1:], 0.5, 2], np.r_[np.zeros(9), ONES[:20]], "crowded-scores", "69 of 80 scores are 1"),
        (NORMAL[0] - 1, NORMAL[1] + 1, "wrong-way", "well below 0.5"),
        (probability(NORMAL[0] - 2), probability(NORMAL[1] + 2), "fake-probabilities", "1 - score"),
        (probability(NORMAL[0] + 2), probability(NORMAL[1] - 2), "probabilities", "need log-likelihood"),
    ],
)
def test_suspicious_scores_give_a_finding(bonafide, spoof, kind, sentence):
    found = suspicious_scores(score_table(bonafide, spoof))
    assert found[0].kind == kind
    assert sentence in found[0].text


def test_ordinary_scores_give_none():
    assert suspicious_scores(score_table(NORMAL[0] + 1, NORMAL[1] - 1)) == []
    assert suspicious_scores(score_table(NORMAL[0], NORMAL[1])) == []  # an AUC of one half is not the wrong way
    assert not scores_are_backwards([0.0, 0.1], [0.5, 2.0])  # one order in six: too few trials to say
