"""Warnings about suspicious scores: constant, tied, binary, probabilities, or with reversed polarity."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from dfx.metrics.auc import auc
from dfx.metrics.eer import check_scores
from dfx.tables.findings import Finding, make_finding
from dfx.tables.score_table import ScoreTable

# The organisers refuse fewer: decisions, not scores (eval_wrapper.py of the packages of 2021 and 5).
FEW_VALUES = 3
CROWDED = 0.5  # share of the trials with the same score above which the EER depends on the order of ties
CHANCE_DEVIATIONS = 1.645  # above one half: scores without information pass it in 5 % of cases
DEVIATIONS = 3  # standard deviations of the AUC below one half that count as more than chance


def suspicious_scores(table: ScoreTable) -> list[Finding]:
    """Find properties of scores that make metrics meaningless or misleading.

    The kinds of finding are `constant-scores` (error), `few-values`, `crowded-scores`, `wrong-way` or
    `fake-probabilities` (warnings), and `probabilities` (note).

    Raises:
        ValueError: if the table has no bona fide or no spoof trial.
    """
    bonafide, spoof = check_scores(table.bonafide, table.spoof)
    scores = np.concatenate([bonafide, spoof])
    values, counts = np.unique(scores, return_counts=True)
    if len(values) == 1:
        text = (
            f"All {len(scores)} scores are {values[0]:g}: the detector does not look at its input, and no metric says "
            "anything. Look at its training, or at how the scores were written."
        )
        return [make_finding("constant-scores", "error", text, count=len(scores))]
    found = [*_ties(values, counts), *_direction(bonafide, spoof)]
    if not any(doubt.kind == "fake-probabilities" for doubt in found) and _in_unit_interval(scores):
        text = (
            f"All scores lie between 0 and 1 ({values[0]:g} to {values[-1]:g}) and look like probabilities. Cllr, "
            "actDCF, ECE and Brier score need log-likelihood ratios and mean nothing here: calibrate on dev first."
        )
        found.append(make_finding("probabilities", "note", text, count=len(scores)))
    return found


def scores_are_backwards(bonafide: ArrayLike, spoof: ArrayLike) -> bool:
    """Whether bona fide trials score significantly lower than spoof trials.

    That is: AUC + 3 standard deviations is below one half.

    The deviation is that of the AUC of scores without information; with fewer than seven trials of each class the
    answer is always no.

    Source: Mann and Whitney, Annals of Mathematical Statistics 1947.

    >>> scores_are_backwards([0.1, 0.2, 0.3], [0.6, 0.7, 0.8]), scores_are_backwards(np.arange(9), np.arange(9) + 9)
    (False, True)
    """
    return auc(bonafide, spoof) + DEVIATIONS * _chance_deviation(bonafide, spoof) < 0.5


def scores_tell_nothing(bonafide: ArrayLike, spoof: ArrayLike) -> bool:
    """Whether a detector is at chance: bona fide does not score significantly higher than spoof, at 5 %.

    Source: as `scores_are_backwards`.

    >>> scores_tell_nothing([0.1, 0.6], [0.2, 0.5]), scores_tell_nothing(np.arange(9) + 9, np.arange(9))
    (True, False)
    """
    return auc(bonafide, spoof) - CHANCE_DEVIATIONS * _chance_deviation(bonafide, spoof) <= 0.5


def _chance_deviation(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Return the standard deviation of the AUC of scores without information."""
    first, second = np.size(bonafide), np.size(spoof)
    return math.sqrt((first + second + 1) / (12 * first * second))


def _ties(values: np.ndarray, counts: np.ndarray) -> list[Finding]:
    total, most = int(counts.sum()), int(counts.max())
    if len(values) < FEW_VALUES:
        text = (
            f"The {total} scores have {len(values)} different values ({values[0]:g}, {values[-1]:g}): these are "
            "decisions. An EER needs scores from before the threshold."
        )
        return [make_finding("few-values", "warning", text, count=len(values))]
    if most > CROWDED * total:
        text = (
            f"{most} of {total} scores are {values[counts.argmax()]:g}, and the EER depends on the order of ties. "
            "Write the scores with more digits, or take the logits instead of saturated probabilities."
        )
        return [make_finding("crowded-scores", "warning", text, count=most)]
    return []


def _direction(bonafide: np.ndarray, spoof: np.ndarray) -> list[Finding]:
    if not scores_are_backwards(bonafide, spoof):
        return []
    area = auc(bonafide, spoof)
    trials = bonafide.size + spoof.size
    if _in_unit_interval(bonafide) and _in_unit_interval(spoof):
        text = (
            f"The AUC is {area:.3f} and all scores lie between 0 and 1: they look like probabilities of fake, while "
            "dfx and the challenges take a higher score for more bona fide. If they are, write 1 - score; dfx does not."
        )
        return [make_finding("fake-probabilities", "warning", text, count=trials)]
    text = (
        f"The AUC is {area:.3f}, well below 0.5: the scores rank the trials the wrong way round. A higher score "
        "must mean more bona fide: check what the scores and the labels mean. The scores are kept as they are."
    )
    return [make_finding("wrong-way", "warning", text, count=trials)]


def _in_unit_interval(scores: np.ndarray) -> bool:
    return bool(scores.min() >= 0 and scores.max() <= 1)
