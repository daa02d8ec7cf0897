"""Accuracy, balanced accuracy and F1 score at a decision threshold.

Take the threshold from dev: one that was chosen on the trials it is applied to makes the detector look better than it
is. A score equal to the threshold is rejected, as at the threshold that `eer` returns.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfx.metrics.eer import FloatArray, IntArray, check_scores


def accuracy(bonafide: ArrayLike, spoof: ArrayLike, threshold: float) -> float:
    """Compute the accuracy at a threshold: share of all trials that are classified correctly.

    A score above the threshold means bona fide; at or below it, spoof.

    >>> accuracy([2.0, 1.0], [1.0, 0.0], threshold=1.0)
    0.75
    """
    return float(_decide(bonafide, spoof, threshold).accuracy)


def balanced_accuracy(bonafide: ArrayLike, spoof: ArrayLike, threshold: float) -> float:
    """Compute the balanced accuracy at a threshold: mean of the accuracies of the two classes.

    Unlike `accuracy` it does not reward a guess at the larger class: a detector that accepts everything has 0.5.

    >>> balanced_accuracy([2.0], [1.0, 0.0, 0.0, 3.0], threshold=1.0)
    0.875
    """
    return float(_decide(bonafide, spoof, threshold).balanced_accuracy)


def f1(bonafide: ArrayLike, spoof: ArrayLike, threshold: float) -> float:
    """Compute the F1 score at a threshold; *spoof is the positive class*.

    It depends on how many trials each class has: compare it on the same trials only.

    >>> f1([2.0, 1.0], [1.0, 0.0], threshold=1.0)
    0.8
    """
    return float(_decide(bonafide, spoof, threshold).f1)


class Decisions(NamedTuple):
    """Counts of rejected trials and of all trials of each class, at one threshold."""

    rejected_bonafide: IntArray
    rejected_spoof: IntArray
    bonafide: IntArray
    spoof: IntArray

    @property
    def accuracy(self) -> FloatArray:
        """Share of all trials that are classified correctly."""
        correct = self.bonafide - self.rejected_bonafide + self.rejected_spoof
        return correct / (self.bonafide + self.spoof)

    @property
    def balanced_accuracy(self) -> FloatArray:
        """Mean of the accuracies of the two classes."""
        accepted = (self.bonafide - self.rejected_bonafide) / self.bonafide
        return (accepted + self.rejected_spoof / self.spoof) / 2

    @property
    def f1(self) -> FloatArray:
        """F1 score with spoof as the positive class."""
        return 2 * self.rejected_spoof / (self.rejected_spoof + self.rejected_bonafide + self.spoof)


def _decide(bonafide: ArrayLike, spoof: ArrayLike, threshold: float) -> Decisions:
    bonafide, spoof = check_scores(bonafide, spoof)
    if math.isnan(threshold):
        raise ValueError("The threshold is NaN, and no score is above or below it: pass the threshold of dev's EER.")
    numbers = np.sum(bonafide <= threshold), np.sum(spoof <= threshold), bonafide.size, spoof.size
    return Decisions(*map(np.asarray, numbers))
