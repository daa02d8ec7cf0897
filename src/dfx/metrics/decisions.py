"""Hard decisions at a threshold: accuracy, balanced accuracy, F1.

Take the threshold from dev: one that was chosen on the scores it is applied to flatters. A score equal to the
threshold is rejected, as at the threshold that `eer` returns.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from dfx.metrics.det import check_scores


def accuracy(bonafide: ArrayLike, spoof: ArrayLike, threshold: float) -> float:
    """Share of all trials on the right side of a threshold: bona fide above it, spoof at or below it.

    >>> accuracy([2.0, 1.0], [1.0, 0.0], threshold=1.0)
    0.75
    """
    accepted, rejected, num_bonafide, num_spoof = _counts(bonafide, spoof, threshold)
    return (accepted + rejected) / (num_bonafide + num_spoof)


def balanced_accuracy(bonafide: ArrayLike, spoof: ArrayLike, threshold: float) -> float:
    """Mean of the shares of bona fide above a threshold and of spoof at or below it.

    Unlike `accuracy` it does not reward a guess at the larger class: whoever accepts everything has 0.5.

    >>> balanced_accuracy([2.0], [1.0, 0.0, 0.0, 3.0], threshold=1.0)
    0.875
    """
    accepted, rejected, num_bonafide, num_spoof = _counts(bonafide, spoof, threshold)
    return (accepted / num_bonafide + rejected / num_spoof) / 2


def f1(bonafide: ArrayLike, spoof: ArrayLike, threshold: float) -> float:
    """F1 at a threshold; *spoof is the positive class*, the one to be found: harmonic mean of its precision and recall.

    It depends on how many trials each class has: compare it on the same trials only.

    >>> f1([2.0, 1.0], [1.0, 0.0], threshold=1.0)
    0.8
    """
    accepted, rejected, num_bonafide, num_spoof = _counts(bonafide, spoof, threshold)
    return 2 * rejected / (rejected + (num_bonafide - accepted) + num_spoof)


def _counts(bonafide: ArrayLike, spoof: ArrayLike, threshold: float) -> tuple[int, int, int, int]:
    """Accepted bona fide, rejected spoof, bona fide and spoof trials."""
    bonafide, spoof = check_scores(bonafide, spoof)
    if math.isnan(threshold):
        raise ValueError(
            "The threshold is NaN, and no score is above or below it: pass the threshold of dev's EER."
        )
    accepted, rejected = np.count_nonzero(bonafide > threshold), np.count_nonzero(spoof <= threshold)
    return int(accepted), int(rejected), bonafide.size, spoof.size
