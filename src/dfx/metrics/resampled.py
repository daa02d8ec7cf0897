"""Metrics of resampled trials: sorted once, then read from how often each trial was drawn.

A trial drawn three times stands for three trials of the same score, so every metric here equals the plain one on the
repeated trials, the organisers' EER and its ties included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dfx.metrics.calibration import BINS, bin_of, posterior
from dfx.metrics.counts import Counts, IntArray
from dfx.metrics.dcf import bayes_threshold, dcf_weights
from dfx.metrics.det import FloatArray
from dfx.metrics.tandem import FORMS, AsvRates, tdcf_weights

DECISIONS = ("accuracy", "balanced_accuracy", "f1")  # need a threshold
TANDEM = tuple(f"min_tdcf_{form}" for form in FORMS)  # need the error rates of speaker verification
BY_TRIAL = ("cllr", "ece", "brier")  # depend on the scores themselves, not only on their order
NAMES = ("eer", "eer_interpolated", "auc", "min_dcf", "act_dcf", "min_cllr", *DECISIONS, *TANDEM, *BY_TRIAL)


class Resampled:
    """Trials sorted by score, ready to be measured under any draw; within a tie bona fide goes first.

    Args:
        scores: `(trials,)`.
        is_bonafide: `(trials,)` bool.
        names: metrics, of `NAMES`.
        threshold: for the DECISIONS among them.
        rates: for the TANDEM costs among them.

    Raises:
        ValueError: if a name is unknown, or what it needs is missing.
    """

    def __init__(
        self,
        scores: FloatArray,
        is_bonafide: NDArray[np.bool_],
        names: Sequence[str],
        threshold: float | None = None,
        rates: AsvRates | None = None,
    ) -> None:
        _check(names, threshold, rates)
        self.order = np.lexsort((~is_bonafide, scores))
        self.score, self.is_bonafide = scores[self.order], is_bonafide[self.order]
        bayes = int(np.searchsorted(self.score, bayes_threshold()))  # what lies before it is rejected
        decision = 0 if threshold is None else int(np.searchsorted(self.score, threshold, side="right"))
        self._first, self._in_tie = self._runs([bayes, decision])
        bayes, decision = (int(np.searchsorted(self._first, cut)) for cut in (bayes, decision))
        metrics: dict[str, Callable[[Counts], FloatArray]] = {
            "eer": Counts.eer,
            "eer_interpolated": Counts.eer_interpolated,
            "auc": Counts.auc,
            "min_dcf": partial(Counts.min_cost, weights=(0.0, *dcf_weights())),
            "act_dcf": partial(Counts.act_dcf, run=bayes),
            "min_cllr": Counts.min_cllr,
            "accuracy": partial(Counts.accuracy, run=decision),
            "balanced_accuracy": partial(Counts.balanced_accuracy, run=decision),
            "f1": partial(Counts.f1, run=decision),
        }
        if rates is not None:
            for name, form in zip(TANDEM, FORMS, strict=True):
                metrics[name] = partial(Counts.min_cost, weights=tdcf_weights(rates, form))
        self._by_count = {name: metrics[name] for name in names if name not in BY_TRIAL}
        self._by_trial = [name for name in BY_TRIAL if name in names]
        bits = np.logaddexp(0.0, np.where(self.is_bonafide, -self.score, self.score)) / (2 * math.log(2))
        self._bits = np.where(self.is_bonafide, bits, 0.0), np.where(self.is_bonafide, 0.0, bits)
        self._calibrated: tuple[tuple[int, int], FloatArray, NDArray[np.intp]] | None = None

    def measure(self, draws: Iterable[IntArray]) -> dict[str, FloatArray]:
        """Each metric of each resample, `(resamples,)`.

        Args:
            draws: `(some resamples, trials)` each: how often a trial was drawn, in the order of the scores as given;
                at least one of each class.
        """
        found: dict[str, list[FloatArray]] = {name: [] for name in (*self._by_count, *self._by_trial)}
        for drawn in draws:
            drawn = drawn[:, self.order]
            of_runs = np.add.reduceat(drawn, self._first, axis=1)
            counts = Counts(of_runs, self.is_bonafide[self._first], self._in_tie)
            for name, metric in self._by_count.items():
                found[name].append(metric(counts))
            if self._by_trial:
                sizes = zip(counts.bonafide[:, 0], counts.spoof[:, 0], strict=True)
                rows = [
                    self._of_trials(row.astype(float), *size) for row, size in zip(drawn, sizes, strict=True)
                ]
                for name in self._by_trial:
                    found[name].append(np.array([row[name] for row in rows]))
        return {name: np.concatenate(values) for name, values in found.items()}

    def _of_trials(self, drawn: FloatArray, bonafide: int, spoof: int) -> dict[str, float]:
        """What depends on the scores themselves, of one resample."""
        found = {}
        if "cllr" in self._by_trial:
            found["cllr"] = float(drawn @ self._bits[0] / bonafide + drawn @ self._bits[1] / spoof)
        if "ece" in self._by_trial or "brier" in self._by_trial:
            if self._calibrated is None or self._calibrated[0] != (bonafide, spoof):
                probability = posterior(self.score, bonafide, spoof)
                self._calibrated = (
                    (bonafide, spoof),
                    probability - self.is_bonafide,
                    bin_of(probability, BINS),
                )
            _, distance, bin_number = self._calibrated
            far = drawn * distance
            gap = np.bincount(bin_number, weights=far, minlength=BINS)
            found["ece"] = float(np.abs(gap).sum() / (bonafide + spoof))
            found["brier"] = float(far @ distance / (bonafide + spoof))
        return found

    def _runs(self, cuts: list[int]) -> tuple[IntArray, NDArray[np.bool_]]:
        """First trial of each run, and whether the run ends within a tie; a run also ends before the cuts."""
        change = 1 + np.flatnonzero(self.is_bonafide[1:] != self.is_bonafide[:-1])
        tied = change[
            self.score[change] == self.score[change - 1]
        ]  # here the spoof half of a mixed tie begins
        ends = [np.searchsorted(self.score, self.score[tied], side) for side in ("left", "right")]
        first = np.unique(np.concatenate([[0], change, *ends, cuts]).astype(np.int64))
        first = first[first < self.score.size]
        return first, np.isin(np.append(first[1:], self.score.size), tied)


def _check(names: Sequence[str], threshold: float | None, rates: AsvRates | None) -> None:
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ValueError(
            f"There is no confidence interval of {', '.join(unknown)}, got {', '.join(names)}: choose from "
            f"{', '.join(NAMES)}."
        )
    if threshold is None or math.isnan(threshold):
        _refuse(names, DECISIONS, f"a threshold, got {threshold}: pass the one of dev's EER")
    if rates is None:
        _refuse(names, TANDEM, "the error rates of speaker verification, got none: pass those of `asv_rates`")


def _refuse(names: Sequence[str], needy: Sequence[str], what: str) -> None:
    found = [name for name in names if name in needy]
    if found:
        raise ValueError(f"{', '.join(found)} cannot be resampled without {what}, or leave the metric out.")
