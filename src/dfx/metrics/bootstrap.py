"""Confidence intervals of metrics: what other trials of the same kind would have given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx.metrics.bounds import Interval, interval
from dfx.metrics.counts import IntArray
from dfx.metrics.det import FloatArray, eer
from dfx.metrics.draws import draws
from dfx.metrics.resampled import Resampled
from dfx.metrics.tandem import AsvRates
from dfx.tables.labels import BONAFIDE
from dfx.tables.score_table import ScoreTable

MIN_CLUSTERS = 10  # of each class; a bootstrap of fewer says little
UNKNOWN = ("-", "")  # speakers that are not known


def intervals(
    table: ScoreTable,
    names: Sequence[str],
    threshold: float | None = None,
    cluster: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    rates: AsvRates | None = None,
) -> dict[str, Interval]:
    """Confidence interval of metrics of a table, by resampling its trials.

    `dfx.metrics.draws` says how trials are drawn, `dfx.metrics.bounds` how the interval is made of the resampled
    values. On simulated corpora it holds the truth about as often as it says for what is not chosen on the trials
    themselves; for min_dcf, min_tdcf and min_cllr it is too short where errors are few.

    Args:
        table: the scores.
        names: of metrics: eer, eer_interpolated, auc, min_dcf, act_dcf, min_cllr, accuracy, balanced_accuracy, f1,
            min_tdcf_2019, min_tdcf_revised, cllr, ece, brier.
        threshold: for accuracy, balanced_accuracy and f1, as in `summary`; it is held, not chosen again.
        cluster: column whose trials of one value are drawn together (`cluster_column` proposes one); None: each trial
            by itself. Trials whose value is unknown (`-`) are each a cluster by themselves.
        resamples: how many.
        seed: the same one gives the same intervals.
        confidence: of the interval.
        rates: of speaker verification, for min_tdcf_2019 and min_tdcf_revised; held as well.

    Raises:
        ValueError: if a class is missing, a name or column is unknown, or a metric lacks what it needs.
    """
    is_bonafide, scores = same_trials([table])
    clusters = clusters_of(table, cluster)
    trials = Resampled(scores[0], is_bonafide, names, threshold, rates)
    value = trials.measure([np.ones((1, is_bonafide.size), np.int64)])
    found = trials.measure(draws(is_bonafide, clusters, resamples, seed))
    sizes = _sizes(is_bonafide, clusters)
    return {name: interval(name, float(value[name][0]), found[name], confidence, *sizes) for name in names}


def mean_eer_interval(
    tables: Sequence[ScoreTable],
    cluster: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Confidence interval of the mean EER of several seeds of one system on the same trials.

    It says what other *trials* would have done to the mean of these very detectors; what other seeds would do is told
    by the deviation over the seeds. Arguments as in `intervals`; the cluster column is that of the first table.

    Raises:
        ValueError: if the tables do not hold the same trials.
    """
    is_bonafide, scores = same_trials(tables)
    clusters = clusters_of(tables[0], cluster)
    value = float(np.mean([eer(of_seed[is_bonafide], of_seed[~is_bonafide])[0] for of_seed in scores]))
    found = mean_eers([scores], is_bonafide, clusters, resamples, seed)[0]
    return eer_interval(value, found, is_bonafide, clusters, confidence)


def eer_interval(
    value: float,
    resampled: FloatArray,
    is_bonafide: NDArray[np.bool_],
    clusters: IntArray | None,
    confidence: float = 0.95,
) -> Interval:
    """Confidence interval of a (mean) EER from what `mean_eers` gave of one system, `(resamples,)`."""
    return interval("eer", value, resampled, confidence, *_sizes(is_bonafide, clusters))


def cluster_column(table: ScoreTable) -> str | None:
    """The column by which trials are drawn together: "speaker" where it says something, else None.

    It does where most trials of each class have a known speaker, and each class at least ten of them.
    """
    if "speaker" not in table.table:
        return None
    known = ~table.table["speaker"].isna() & ~table.table["speaker"].isin(UNKNOWN)
    for _, rows in table.table["speaker"].where(known).groupby(table.table["label"]):
        if rows.isna().mean() > 0.5 or rows.nunique() < MIN_CLUSTERS:
            return None
    return "speaker"


def same_trials(tables: Sequence[ScoreTable]) -> tuple[NDArray[np.bool_], list[FloatArray]]:
    """Which trials are bona fide `(trials,)`, and the scores of each table in the order of the first.

    Raises:
        ValueError: if there is no table, a class is missing, or the tables differ in their trials or labels.
    """
    if not tables:
        raise ValueError("There is nothing to measure, got no score table: pass one for each seed.")
    first = tables[0].table
    is_bonafide = first["label"].to_numpy() == BONAFIDE
    if is_bonafide.all() or not is_bonafide.any():
        name = "spoof" if is_bonafide.all() else "bona fide"
        raise ValueError(f"There are no {name} scores, got 0: a metric needs trials of both classes.")
    ids = pd.Index(first["id"])
    scores = []
    for table in tables:
        place = pd.Index(table.table["id"]).get_indexer(ids)
        missing = int((place < 0).sum())
        if missing or len(table) != len(first):
            raise ValueError(
                f"The score tables hold different trials, got {len(first)} and {len(table)} of which "
                f"{len(first) - missing} are the same: score the same files with all systems, or keep what they share."
            )
        if (table.table["label"].to_numpy()[place] != first["label"].to_numpy()).any():
            raise ValueError(
                "The score tables give the same trials different labels, got both bona fide and spoof for one id: use "
                "the same key for all systems."
            )
        scores.append(table.table["score"].to_numpy()[place])
    return is_bonafide, scores


def clusters_of(table: ScoreTable, column: str | None) -> IntArray | None:
    """Number of the cluster of each trial `(trials,)`, from 0 on; None without a column.

    Raises:
        ValueError: if there is no such column, or a class is one trial or one cluster.
    """
    labels = table.table["label"].to_numpy()
    if column is None:
        if min(np.count_nonzero(labels == BONAFIDE), np.count_nonzero(labels != BONAFIDE)) < 2:
            raise ValueError(
                "A class with a single trial cannot be resampled, got 1: nothing says how others would have done. "
                "Measure on more trials."
            )
        return None
    if column not in table.table:
        raise ValueError(
            f"Trials cannot be drawn by {column!r}, got a table with the columns {', '.join(map(str, table.table))}: "
            "choose one of them, or no cluster."
        )
    values = table.table[column].astype("str")
    alone = table.table[column].isna() | values.isin(UNKNOWN)
    number = pd.factorize(values)[0].astype(np.int64)
    number[alone.to_numpy()] = number.max() + 1 + np.arange(int(alone.sum()))
    number = np.unique(number, return_inverse=True)[1]
    for label, name in ((BONAFIDE, "bona fide"), (1 - BONAFIDE, "spoof")):
        of_class = labels == label
        if np.unique(number[of_class]).size < 2:
            raise ValueError(
                f"All {name} trials have the same {column}, got {values[of_class].iloc[0]!r}: nothing varies when it "
                "is drawn. Choose another column, or no cluster."
            )
    return number


def mean_eers(
    systems: Sequence[Sequence[FloatArray]],
    is_bonafide: NDArray[np.bool_],
    clusters: IntArray | None,
    resamples: int,
    seed: int,
) -> FloatArray:
    """Mean EER over the seeds of each system on the same draws of trials, `(systems, resamples)`."""
    measured = [
        [Resampled(seed_scores, is_bonafide, ["eer"]) for seed_scores in scores] for scores in systems
    ]
    means = [
        [np.mean([trials.measure([drawn])["eer"] for trials in seeds], axis=0) for seeds in measured]
        for drawn in draws(is_bonafide, clusters, resamples, seed)
    ]
    return np.concatenate(means, axis=1)


def _sizes(is_bonafide: NDArray[np.bool_], clusters: IntArray | None) -> tuple[int, int]:
    """Trials and clusters of the class that has fewer."""
    num_trials = min(int(is_bonafide.sum()), int((~is_bonafide).sum()))
    if clusters is None:
        return num_trials, num_trials
    return num_trials, min(np.unique(clusters[of_class]).size for of_class in (is_bonafide, ~is_bonafide))
