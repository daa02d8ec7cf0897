"""Metrics that depend on the order of scores alone, of many resamples at once.

They are read from *runs*, neighbours of one class in the sorted list: only the numbers of drawn trials in a run
matter, and a detector that is any good has far fewer runs than trials.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dfx.metrics.cllr import min_cllr_of_counts
from dfx.metrics.dcf import dcf_weights
from dfx.metrics.det import FloatArray

IntArray = NDArray[np.int64]


class Counts:
    """How many trials of each run some resamples drew, and what the metrics are of it; each metric is `(resamples,)`.

    Args:
        drawn: `(resamples, runs)`, trials drawn of each run.
        is_bonafide: `(runs,)`.
        in_tie: `(runs,)`, whether the run ends within a tie.
    """

    def __init__(self, drawn: IntArray, is_bonafide: NDArray[np.bool_], in_tie: NDArray[np.bool_]) -> None:
        self.is_bonafide, self.in_tie = is_bonafide, in_tie
        self.drawn = drawn
        # Rejected trials of each class at the end of each run, and at the start of all.
        zero = np.zeros((len(drawn), 1), np.int64)
        self.rejected_bonafide = np.hstack([zero, np.cumsum(drawn * is_bonafide, axis=1)])
        self.rejected_spoof = np.hstack([zero, np.cumsum(drawn * ~is_bonafide, axis=1)])
        self.bonafide, self.spoof = self.rejected_bonafide[:, -1:], self.rejected_spoof[:, -1:]

    @cached_property
    def frr(self) -> FloatArray:
        """False-rejection rate at the start of all runs and at the end of each, `(resamples, runs + 1)`."""
        rate: FloatArray = self.rejected_bonafide / self.bonafide
        return rate

    @cached_property
    def far(self) -> FloatArray:
        """False-acceptance rate at the same points."""
        rate: FloatArray = (self.spoof - self.rejected_spoof) / self.spoof
        return rate

    def eer(self) -> FloatArray:
        """The organisers' EER. Each trial of a run is an operating point; both error rates are linear within."""
        # |FRR - FAR| is least beside the crossing, which is the first point where this reaches `goal`, in integers.
        walked = self.spoof * self.rejected_bonafide + self.bonafide * self.rejected_spoof
        goal = self.bonafide * self.spoof
        run = np.argmax(walked >= goal, axis=1)[:, None] - 1  # the run that crosses
        before = [
            np.take_along_axis(x, run, 1) for x in (walked, self.rejected_bonafide, self.rejected_spoof)
        ]
        bonafide_run = self.is_bonafide[run]
        steps = -((before[0] - goal) // np.where(bonafide_run, self.spoof, self.bonafide))  # rounded up
        points = []
        for taken in (steps - 1, steps):
            frr = (before[1] + taken * bonafide_run) / self.bonafide
            far = (self.spoof - (before[2] + taken * ~bonafide_run)) / self.spoof
            points.append((np.abs(frr - far), (frr + far) / 2))
        (near, rate), (near_after, rate_after) = points
        nearest: FloatArray = np.where(near <= near_after, rate, rate_after)[:, 0]
        return nearest

    def eer_interpolated(self) -> FloatArray:
        """EER where straight lines between unique thresholds cross FAR = FRR."""
        points = np.append(True, ~self.in_tie)
        far, frr = self.far[:, points], self.frr[:, points]
        gap = far - frr
        after = np.argmax(gap <= 0, axis=1)[:, None]
        gap_before, gap_after = (np.take_along_axis(gap, place, 1) for place in (after - 1, after))
        far_before, far_after = (np.take_along_axis(far, place, 1) for place in (after - 1, after))
        crossing: FloatArray = far_before + gap_before / (gap_before - gap_after) * (far_after - far_before)
        return crossing[:, 0]

    def auc(self) -> FloatArray:
        """Area under the ROC curve; a tie counts half."""
        # A bona fide run that ends within a tie is followed by the spoof of this tie.
        tied = np.where(self.in_tie[:-1], self.drawn[:, 1:], 0)
        spoof_below_twice = 2 * self.rejected_spoof[:, 1:]
        spoof_below_twice[:, :-1] += tied
        won = (spoof_below_twice * self.drawn * self.is_bonafide).sum(axis=1)
        area: FloatArray = won / (2 * self.bonafide * self.spoof)[:, 0]
        return area

    def min_cost(self, weights: tuple[float, float, float]) -> FloatArray:
        """Least of constant, FRR and FAR in these weights, over that of a detector that gives one answer to all."""
        constant, miss, fa = weights
        # Within a run the cost is linear, and within a tie it is above that at one of its ends.
        cost: FloatArray = np.min(constant + miss * self.frr + fa * self.far, axis=1)
        return cost / (constant + min(miss, fa))

    def min_cllr(self) -> FloatArray:
        """Cllr after the best monotone calibration."""
        first = np.flatnonzero(np.append(True, ~self.in_tie[:-1]))  # a tie is one score
        bonafide = np.add.reduceat(self.drawn * self.is_bonafide, first, axis=1).astype(np.float64)
        spoof = np.add.reduceat(self.drawn * ~self.is_bonafide, first, axis=1).astype(np.float64)
        return np.array([min_cllr_of_counts(*pair) for pair in zip(bonafide, spoof, strict=True)])

    def act_dcf(self, run: int) -> FloatArray:
        """Cost at the threshold that rejects the runs before `run`."""
        miss, fa = dcf_weights()
        return (miss * self.frr[:, run] + fa * self.far[:, run]) / min(miss, fa)

    def accuracy(self, run: int) -> FloatArray:
        """Share of trials on the right side of the threshold that rejects the runs before `run`."""
        right = self.bonafide[:, 0] - self.rejected_bonafide[:, run] + self.rejected_spoof[:, run]
        share: FloatArray = right / (self.bonafide + self.spoof)[:, 0]
        return share

    def balanced_accuracy(self, run: int) -> FloatArray:
        """Mean over the classes of the share on the right side."""
        return (1 - self.frr[:, run] + 1 - self.far[:, run]) / 2

    def f1(self, run: int) -> FloatArray:
        """F1 at that threshold; spoof is the positive class."""
        found = self.rejected_spoof[:, run]
        mean: FloatArray = 2 * found / (found + self.rejected_bonafide[:, run] + self.spoof[:, 0])
        return mean
