"""Bootstrap confidence intervals of metrics; trials or whole speakers are drawn with replacement.

*Draws.* Trials of one speaker resemble each other, so a corpus of 20 speakers and 10,000 trials says less than 10,000
independent trials. Where a cluster (a speaker, a recording) is drawn, all of its trials are drawn, of both classes. The
number of drawn clusters is fixed in each of three groups (with bona fide only, with spoof only, with both), so a class
is never empty. Where each trial is a cluster by itself, this is the two-sample bootstrap.

*Intervals.* Percentiles of the resampled values are too narrow where errors are few, which is the case for good
detectors: at an EER of 0.5 % on 100 bona fide and 400 spoof trials a "95 %" interval holds the true value in 67 of
100 corpora. The standard error of a share depends on the share, which Wilson's interval takes into account. The
bootstrap gives the effective number of independent trials (a share of n trials has the variance p (1 - p) / n), the
rest is Wilson's formula, and Student's t allows for few clusters. The least value over all thresholds and a sum of
absolute gaps are biased: the mean of the resamples shows by how much, and the interval is moved by that.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, sections 8.3 (two samples) and 10.2 (bias);
Bisani and Ney, ICASSP 2004 (speakers are drawn, not utterances); Wu, Martin, Greenberg and Kacker, IEEE TIFS 2017 (two
samples, by set); Wilson, JASA 1927; Korn and Graubard, Survey Methodology 1998 (effective number of trials, t).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from dfx.metrics.dcf import dcf_weights
from dfx.metrics.eer import FloatArray, IntArray, check_scores
from dfx.metrics.resampled import ResampledMetrics
from dfx.metrics.tandem import AsvRates
from dfx.tables.labels import BONAFIDE, SPOOF
from dfx.tables.score_table import ScoreTable

MIN_CLUSTERS = 2  # speakers of each class; Student's t makes intervals from few of them as long as they must be
FEW_CLUSTERS = 5  # speakers of a class; with fewer, an interval may hold nearly every value
UNKNOWN = ("-", "")  # names that mean an unknown speaker
CHUNK = 1 << 18  # numbers in memory, if a resample is not larger by itself: 2 MiB, which the processor's cache holds
_TOP = {"cllr": math.inf, "act_dcf": sum(dcf_weights()) / min(dcf_weights())}  # largest value, where it is not 1
_BIASED = ("min_dcf", "min_tdcf_2019", "min_tdcf_revised", "min_cllr", "ece")


class ConfidenceInterval(NamedTuple):
    """Lower and upper end of a confidence interval."""

    low: float
    high: float


def bootstrap_intervals(
    table: ScoreTable,
    names: Sequence[str],
    threshold: float | None = None,
    cluster: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    rates: AsvRates | None = None,
) -> dict[str, ConfidenceInterval]:
    """Compute 95 % bootstrap confidence intervals of metrics of a score table.

    On simulated corpora they hold the true value about as often as stated, except for min_dcf, min_tdcf and min_cllr,
    whose threshold or calibration is chosen on the trials themselves: these are too short where errors are few.

    Args:
        table: the scores.
        names: names of metrics, from `dfx.metrics.resampled.NAMES`: eer, auc, min_dcf, cllr, min_tdcf_2019 …
        threshold: for accuracy, balanced_accuracy and f1, as in `summary`; it is the same for all resamples.
        cluster: column whose trials of one value are drawn together (`cluster_column` proposes one); None: each trial
            by itself. Trials whose value is unknown (`-`) are each a cluster by themselves.
        resamples: number of resamples.
        seed: the same seed gives the same intervals.
        rates: error rates of speaker verification, for min_tdcf_2019 and min_tdcf_revised; the same for all resamples.

    Raises:
        ValueError: if a class is missing, or the column is unknown.
        KeyError: if a name is unknown, or a metric lacks what it needs.
    """
    bootstrap = Bootstrap(table, cluster)
    metrics = ResampledMetrics(table.table["score"].to_numpy(), bootstrap.is_bonafide, names, threshold, rates)
    value = metrics.measure([np.ones((1, len(table)), np.int64)])
    found = metrics.measure(bootstrap.draw(resamples, seed))
    return {name: bootstrap.interval(name, float(value[name][0]), found[name]) for name in names}


def cluster_column(table: ScoreTable) -> str | None:
    """Return the column whose trials are drawn together: "speaker", or None if speakers are not known.

    Most trials of each class must have a known speaker, and each class must have at least two speakers.
    """
    if "speaker" not in table.table:
        return None
    for _, rows in _known_speakers(table).groupby(table.table["label"]):
        if rows.isna().mean() > 0.5 or rows.nunique() < MIN_CLUSTERS:
            return None
    return "speaker"


def drawn_speakers_text(table: ScoreTable) -> str:
    """Describe the speakers whose trials are drawn together, and say if they are too few for a useful interval.

    Unknown speakers do not count: each of their trials is drawn by itself.
    """
    speakers = _known_speakers(table)
    of_class = speakers.groupby(table.table["label"]).nunique()
    unknown = int(speakers.isna().sum())
    text = f"whole speakers ({of_class[BONAFIDE]} with bona fide, {of_class[SPOOF]} with spoof trials"
    text += f"; {unknown:,} trials of unknown speakers one by one)" if unknown else ")"
    if of_class.min() < FEW_CLUSTERS:
        text += (
            f". These are too few speakers for a useful interval: from fewer than {FEW_CLUSTERS} it can reach "
            "over most of the scale. Measure on more speakers"
        )
    return text


def _known_speakers(table: ScoreTable) -> pd.Series:
    """Return the speaker of each trial, with NaN where it is unknown."""
    speakers: pd.Series = table.table["speaker"]
    return speakers.mask(speakers.isna() | speakers.isin(UNKNOWN))


class Bootstrap:
    """Bootstrap of a score table: draws trials with replacement and computes confidence intervals.

    Attributes:
        is_bonafide: `(trials,)` bool.
        cluster: `(trials,)`, number of the cluster of each trial; None: each trial by itself.
        num_trials: trials of the class that has fewer.
        num_clusters: clusters of the class that has fewer; `num_trials` where each trial is by itself.

    Raises:
        ValueError: if a class is missing or has a single trial or cluster, or there is no such column.
    """

    def __init__(self, table: ScoreTable, cluster: str | None = None) -> None:
        check_scores(table.bonafide, table.spoof)
        self.is_bonafide = table.table["label"].to_numpy() == BONAFIDE
        self.cluster = None if cluster is None else _cluster_numbers(table.table, cluster)
        self.num_trials = min(len(table.bonafide), len(table.spoof))
        self.num_clusters = self.num_trials
        if self.cluster is not None:
            self.num_clusters = min(
                np.unique(self.cluster[of_class]).size for of_class in (self.is_bonafide, ~self.is_bonafide)
            )
        elif self.num_trials < 2:
            raise ValueError(
                "A class with a single trial cannot be resampled, got 1: nothing says how others would have done. "
                "Measure on more trials."
            )

    def draw(self, resamples: int, seed: int) -> Iterator[IntArray]:
        """Yield resamples in chunks, `(some resamples, trials)`: how often each trial is drawn."""
        generator = np.random.default_rng(seed)
        if self.cluster is None:
            kind = 2 - self.is_bonafide.astype(np.int64)
        else:  # 1: the cluster has bona fide, 2: spoof, 3: both
            has_bonafide, has_spoof = (
                np.bincount(self.cluster[of_class], minlength=int(self.cluster.max()) + 1) > 0
                for of_class in (self.is_bonafide, ~self.is_bonafide)
            )
            kind = has_bonafide + 2 * has_spoof
        groups = [np.flatnonzero(kind == value) for value in np.unique(kind)]
        step = max(1, CHUNK // self.is_bonafide.size)
        for start in range(0, resamples, step):
            rows = min(step, resamples - start)
            drawn = np.empty((rows, kind.size), np.int64)
            for group in groups:
                chosen = generator.integers(group.size, size=(rows, group.size))
                chosen += group.size * np.arange(rows)[:, None]
                counts = np.bincount(chosen.ravel(), minlength=rows * group.size)
                drawn[:, group] = counts.reshape(rows, group.size)
            yield drawn if self.cluster is None else drawn[:, self.cluster]

    def interval(self, name: str, value: float, resampled: FloatArray) -> ConfidenceInterval:
        """Compute the 95 % confidence interval of a metric from its values on resamples.

        The metric must be bounded, from 0 to its largest value.

        Args:
            name: name of the metric.
            value: its value on the trials.
            resampled: `(resamples,)`, its values on resamples of these trials.

        Raises:
            ValueError: if there are fewer than two resamples.
        """
        from scipy.special import stdtrit

        if resampled.size < 2:
            raise ValueError(f"A confidence interval needs two resamples, got {resampled.size}: 1000 is usual.")
        top = _TOP.get(name, 1.0)
        deviation = float(stdtrit(self.num_clusters - 1, 0.975)) * math.sqrt(
            self.num_clusters / (self.num_clusters - 1)
        )
        spread = value * (1 - value / top)  # the variance of one trial
        # Without an error (or a hit) resamples do not vary: then each trial counts as independent.
        one_by = float(np.var(resampled, ddof=1)) / spread if spread > 0 else 1 / self.num_trials
        reach = deviation**2 * one_by
        centre = value - (float(np.mean(resampled)) - value) * (name in _BIASED)
        centre = min(max(centre, 0.0), top)
        # The ends solve (centre - end)^2 = reach end (1 - end / top).
        middle, scale = 2 * centre + reach, 2 * (1 + reach / top)
        root = math.sqrt(max(middle**2 - 2 * scale * centre**2, 0.0))
        return ConfidenceInterval(max(middle - root, 0.0) / scale, min((middle + root) / scale, top))


def _cluster_numbers(table: pd.DataFrame, column: str) -> IntArray:
    """Number the clusters of trials from 0 and return the cluster of each trial, `(trials,)`."""
    if column not in table:
        raise ValueError(
            f"Trials cannot be drawn by {column!r}, got a table with the columns {', '.join(map(str, table))}: "
            "choose one of them, or no cluster."
        )
    values = table[column].astype("str")
    alone = table[column].isna() | values.isin(UNKNOWN)
    number = pd.factorize(values)[0].astype(np.int64)
    number[alone.to_numpy()] = number.max() + 1 + np.arange(int(alone.sum()))
    number = np.unique(number, return_inverse=True)[1]
    for label, name in ((BONAFIDE, "bona fide"), (1 - BONAFIDE, "spoof")):
        of_class = table["label"].to_numpy() == label
        if np.unique(number[of_class]).size < 2:
            raise ValueError(
                f"All {name} trials have the same {column}, got {values[of_class].iloc[0]!r}: nothing varies when it "
                "is drawn. Choose another column, or no cluster."
            )
    return number
