from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dfx.metrics.doubts import doubts, scores_are_backwards
from dfx.tables.score_table import ScoreTable

NORMAL = np.random.default_rng(0).normal(size=(2, 200))
ONES = np.ones(50)


def table_of(bonafide: np.ndarray, spoof: np.ndarray) -> ScoreTable:
    scores = np.concatenate([bonafide, spoof])
    labels = [1] * len(bonafide) + [0] * len(spoof)
    ids = [f"u{number}" for number in range(len(scores))]
    return ScoreTable(pd.DataFrame({"id": ids, "attack": "-", "label": labels, "score": scores}))


def probability(ratios: np.ndarray) -> np.ndarray:
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
def test_suspicious_scores_give_a_finding(bonafide: np.ndarray, spoof: np.ndarray, kind: str, sentence: str) -> None:
    found = doubts(table_of(bonafide, spoof))
    assert found[0].kind == kind
    assert sentence in found[0].text


def test_ordinary_scores_give_none() -> None:
    assert doubts(table_of(NORMAL[0] + 1, NORMAL[1] - 1)) == []
    assert doubts(table_of(NORMAL[0], NORMAL[1])) == []  # an AUC of one half is not the wrong way
    assert not scores_are_backwards([0.0, 0.1], [0.5, 2.0])  # one order in six: too few trials to say
