"""Metrics of many bootstrap resamples at once; the trials are sorted only once.

A trial that was drawn three times stands for three trials of the same score, so every metric here equals the plain one
on the repeated trials, ties included. Metrics that depend on the order of the scores only are counted in *runs*:
neighbours of one class in the sorted list. A good detector has far fewer runs than trials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from dfx.metrics.accuracy import Decisions
from dfx.metrics.calibration import BINS, calibration_bin, posterior
from dfx.metrics.cllr import min_cllr_of_counts
from dfx.metrics.dcf import bayes_threshold, dcf_weights, normalised_dcf
from dfx.metrics.eer import FloatArray, IntArray, closest_eer_rates, crossing_eer
from dfx.metrics.tandem import FORMS, AsvRates, tdcf_weights

DECISIONS = ("accuracy", "balanced_accuracy", "f1")  # need a threshold
TANDEM = tuple(f"min_tdcf_{form}" for form in FORMS)  # need the error rates of speaker verification
BY_TRIAL = ("cllr", "ece", "brier")  # depend on the scores themselves, not only on their order
NAMES = ("eer", "eer_interpolated", "auc", "min_dcf", "act_dcf", "min_cllr", *DECISIONS, *TANDEM, *BY_TRIAL)


class ResampledMetrics:
    """Metrics of bootstrap resamples of a set of trials.

    Args:
        scores: `(trials,)`.
        is_bonafide: `(trials,)` bool.
        names: metrics, of `NAMES`; another name, or one without what it needs, is a KeyError.
        threshold: threshold for the DECISIONS among them.
        rates: error rates of speaker verification for the TANDEM costs among them.
    """

    def __init__(
        self,
        scores: FloatArray,
        is_bonafide: NDArray[np.bool_],
        names: Sequence[str],
        threshold: float | None = None,
        rates: AsvRates | None = None,
    ) -> None:
        self._order = np.lexsort((~is_bonafide, scores))  # within a tie bona fide goes first
        self._score, self._is_bonafide = scores[self._order], is_bonafide[self._order]
        bayes = int(np.searchsorted(self._score, bayes_threshold()))  # the trials before it are rejected
        decision = 0 if threshold is None else int(np.searchsorted(self._score, threshold, side="right"))
        self._first, self._in_tie = self._runs([bayes, decision])
        bayes, decision = (int(np.searchsorted(self._first, cut)) for cut in (bayes, decision))
        metrics: dict[str, Callable[[_RunCounts], FloatArray]] = {
            "eer": _RunCounts.eer,
            "eer_interpolated": _RunCounts.eer_interpolated,
            "auc": _RunCounts.auc,
            "min_cllr": _RunCounts.min_cllr,
            "min_dcf": partial(_RunCounts.min_cost, weights=dcf_weights()),
            "act_dcf": lambda counts: normalised_dcf(counts.far[:, bayes], counts.frr[:, bayes], *dcf_weights()),
        }
        if threshold is not None:
            metrics |= {
                "accuracy": lambda counts: counts.decisions(decision).accuracy,
                "balanced_accuracy": lambda counts: counts.decisions(decision).balanced_accuracy,
                "f1": lambda counts: counts.decisions(decision).f1,
            }
        if rates is not None:
            for name, form in zip(TANDEM, FORMS, strict=True):
                metrics[name] = partial(_RunCounts.min_cost, weights=tdcf_weights(rates, form))
        self._by_count = {name: metrics[name] for name in names if name not in BY_TRIAL}
        self._by_trial = [name for name in BY_TRIAL if name in names]
        bits = np.logaddexp(0.0, np.where(self._is_bonafide, -self._score, self._score)) / (2 * math.log(2))
        self._bits = np.where(self._is_bonafide, bits, 0.0), np.where(self._is_bonafide, 0.0, bits)
        self._calibrated: tuple[tuple[int, int], FloatArray, NDArray[np.intp]] | None = None

    def measure(self, draws: Iterable[IntArray]) -> dict[str, FloatArray]:
        """Compute each metric for each resample, `(resamples,)`.

        Args:
            draws: arrays `(some resamples, trials)`: how often each trial was drawn, in the order of the scores as
                given; at least one of each class.
        """
        found: dict[str, list[FloatArray]] = {name: [] for name in (*self._by_count, *self._by_trial)}
        for drawn in draws:
            drawn = drawn[:, self._order]
            in_runs = np.add.reduceat(drawn, self._first, axis=1)
            counts = _RunCounts(in_runs, self._is_bonafide[self._first], self._in_tie)
            for name, metric in self._by_count.items():
                found[name].append(metric(counts))
            if self._by_trial:
                sizes = zip(counts.bonafide[:, 0], counts.spoof[:, 0], strict=True)
                rows = [self._measure_scores(row.astype(float), *size) for row, size in zip(drawn, sizes, strict=True)]
                for name in self._by_trial:
                    found[name].append(np.array([row[name] for row in rows]))
        return {name: np.concatenate(values) for name, values in found.items()}

    def _measure_scores(self, drawn: FloatArray, bonafide: int, spoof: int) -> dict[str, float]:
        """Compute the metrics in BY_TRIAL for one resample."""
        found = {}
        if "cllr" in self._by_trial:
            found["cllr"] = float(drawn @ self._bits[0] / bonafide + drawn @ self._bits[1] / spoof)
        if "ece" in self._by_trial or "brier" in self._by_trial:
            if self._calibrated is None or self._calibrated[0] != (bonafide, spoof):
                probability = posterior(self._score, bonafide, spoof)
                distance = probability - self._is_bonafide
                self._calibrated = (bonafide, spoof), distance, calibration_bin(probability, BINS)
            _, distance, bin_number = self._calibrated
            far = drawn * distance
            gap = np.bincount(bin_number, weights=far, minlength=BINS)
            found["ece"] = float(np.abs(gap).sum() / (bonafide + spoof))
            found["brier"] = float(far @ distance / (bonafide + spoof))
        return found

    def _runs(self, cuts: list[int]) -> tuple[IntArray, NDArray[np.bool_]]:
        """Find the first trial of each run, and the runs that end within a tie; cuts end a run too."""
        change = 1 + np.flatnonzero(self._is_bonafide[1:] != self._is_bonafide[:-1])
        # Where the spoof half of a tie of both classes begins.
        tied = change[self._score[change] == self._score[change - 1]]
        ends = [np.searchsorted(self._score, self._score[tied], side) for side in ("left", "right")]
        first = np.unique(np.concatenate([[0], change, *ends, cuts]).astype(np.int64))
        first = first[first < self._score.size]
        return first, np.isin(np.append(first[1:], self._score.size), tied)


class _RunCounts:
    """Counts of drawn trials in each run (neighbours of one class in the sorted list), and metrics from them.

    Args:
        drawn: `(resamples, runs)`, drawn trials of each run.
        is_bonafide: `(runs,)`.
        in_tie: `(runs,)`, whether the run ends within a tie.
    """

    def __init__(self, drawn: IntArray, is_bonafide: NDArray[np.bool_], in_tie: NDArray[np.bool_]) -> None:
        self.drawn, self.is_bonafide, self.in_tie = drawn, is_bonafide, in_tie
        # Rejected trials of each class before all runs and at the end of each.
        zero = np.zeros((len(drawn), 1), np.int64)
        self.rejected_bonafide = np.hstack([zero, np.cumsum(drawn * is_bonafide, axis=1)])
        self.rejected_spoof = np.hstack([zero, np.cumsum(drawn * ~is_bonafide, axis=1)])
        self.bonafide, self.spoof = self.rejected_bonafide[:, -1:], self.rejected_spoof[:, -1:]

    @cached_property
    def frr(self) -> FloatArray:
        """False-rejection rate before the first run and after each run, `(resamples, runs + 1)`."""
        rate: FloatArray = self.rejected_bonafide / self.bonafide
        return rate

    @cached_property
    def far(self) -> FloatArray:
        """False-acceptance rate before the first run and after each run, `(resamples, runs + 1)`."""
        rate: FloatArray = (self.spoof - self.rejected_spoof) / self.spoof
        return rate

    def eer(self) -> FloatArray:
        """Compute the equal error rate with the organisers' definition: every trial is an operating point."""
        # |FRR - FAR| is least beside the crossing: the first point where `progress` reaches `goal`, in integers.
        progress = self.spoof * self.rejected_bonafide + self.bonafide * self.rejected_spoof
        goal = self.bonafide * self.spoof
        run = np.argmax(progress >= goal, axis=1)[:, None] - 1  # the run that crosses
        progress, rejected_bonafide, rejected_spoof = (
            np.take_along_axis(x, run, 1) for x in (progress, self.rejected_bonafide, self.rejected_spoof)
        )
        in_bonafide = self.is_bonafide[run]
        steps = -((progress - goal) // np.where(in_bonafide, self.spoof, self.bonafide))  # rounded up
        steps = np.hstack([steps - 1, steps])
        frr = (rejected_bonafide + steps * in_bonafide) / self.bonafide
        far = (self.spoof - (rejected_spoof + steps * ~in_bonafide)) / self.spoof
        return closest_eer_rates(far, frr)[0]

    def eer_interpolated(self) -> FloatArray:
        """Compute the equal error rate by linear interpolation between thresholds."""
        points = np.append(True, ~self.in_tie)
        return crossing_eer(self.far[:, points], self.frr[:, points])

    def auc(self) -> FloatArray:
        """Compute the area under the ROC curve; a tie counts half."""
        # A bona fide run that ends within a tie is followed by the spoof of this tie.
        tied = np.where(self.in_tie[:-1], self.drawn[:, 1:], 0)
        spoof_below_twice = 2 * self.rejected_spoof[:, 1:]
        spoof_below_twice[:, :-1] += tied
        won = (spoof_below_twice * self.drawn * self.is_bonafide).sum(axis=1)
        area: FloatArray = won / (2 * self.bonafide * self.spoof)[:, 0]
        return area

    def min_cost(self, weights: tuple[float, ...]) -> FloatArray:
        """Compute the minimum of `normalised_dcf` over all thresholds."""
        # Within a run the cost is linear, and within a tie it is above that at one of its ends.
        cost: FloatArray = normalised_dcf(self.far, self.frr, *weights).min(axis=1)
        return cost

    def min_cllr(self) -> FloatArray:
        """Compute Cllr after the best monotone calibration."""
        first = np.flatnonzero(np.append(True, ~self.in_tie[:-1]))  # a tie is one score
        bonafide = np.add.reduceat(self.drawn * self.is_bonafide, first, axis=1).astype(np.float64)
        spoof = np.add.reduceat(self.drawn * ~self.is_bonafide, first, axis=1).astype(np.float64)
        return np.array([min_cllr_of_counts(*pair) for pair in zip(bonafide, spoof, strict=True)])

    def decisions(self, run: int) -> Decisions:
        """Count the decisions at the threshold before a run: all earlier runs are rejected."""
        rejected = self.rejected_bonafide[:, run], self.rejected_spoof[:, run]
        return Decisions(*rejected, self.bonafide[:, 0], self.spoof[:, 0])
