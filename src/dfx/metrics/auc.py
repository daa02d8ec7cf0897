"""AUC (area under the ROC curve) and its standard deviation by DeLong's method."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from dfx.metrics.eer import FloatArray, IntArray, check_scores


def auc(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute the AUC: probability that a bona fide trial scores higher than a spoof trial; a tie counts half.

    >>> auc([1.0, 2.0], [0.0, 1.0])
    0.875
    """
    bonafide, spoof = check_scores(bonafide, spoof)
    # Sorting these too keeps the searches in the cache: five times as fast at a million trials.
    twice_below = _twice_below(np.sort(bonafide), spoof)
    return float(twice_below.sum() / (2 * bonafide.size * spoof.size))


def auc_placements(bonafide: ArrayLike, spoof: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Compute for each trial which share of the other class is on the correct side of its score.

    A tie counts half.

    The mean of either is the AUC.
    """
    bonafide, spoof = np.asarray(bonafide, np.float64), np.asarray(spoof, np.float64)
    above_spoof = _twice_below(bonafide, spoof) / (2 * spoof.size)
    return above_spoof, 1 - _twice_below(spoof, bonafide) / (2 * bonafide.size)


def delong_auc_deviation(by_bonafide: FloatArray, by_spoof: FloatArray) -> float:
    """Compute DeLong's standard deviation of an AUC from its `auc_placements`.

    Of differences of placements, it is the standard deviation of the difference of two AUCs.

    Trials are taken as independent. A class with a single trial adds nothing.

    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 1988; by ranks as in Sun and Xu, IEEE SPL 2014.
    """
    return math.sqrt(sum(np.var(part, ddof=1) / part.size for part in (by_bonafide, by_spoof) if part.size > 1))


def _twice_below(scores: FloatArray, others: FloatArray) -> IntArray:
    """Count for each score twice the number of `others` below it; an equal score counts once."""
    others = np.sort(others)
    below: IntArray = np.searchsorted(others, scores, "left") + np.searchsorted(others, scores, "right")
    return below
