"""Measurements of an evaluation: metrics with intervals, breakdowns by column, comparisons of systems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from dfx import metrics
from dfx.evaluate.compare import MeasuredPair, compare_systems
from dfx.evaluate.result import Result
from dfx.tables.labels import BONAFIDE, SPOOF
from dfx.tables.score_table import UNKNOWN_ATTACK, ScoreTable

ATTACK = "attack"
WITHOUT_INTERVAL = ("threshold", "dev_threshold", "min_adcf")
BREAKDOWN_METRICS = ("eer", "auc", "min_dcf")


class MeasuredRow(NamedTuple):
    """Value of one metric for one system and corpus; a row of `results.csv`.

    Attributes:
        by: column that the trials are divided by; empty for all trials.
        part: value in that column.
        low: lower end of the 95 % interval of `value`; NaN where trials were not resampled.
        high: its upper end.
        bonafide: number of bona fide trials.
        spoof: number of spoof trials.
        crop: which part of an utterance the system scores.
    """

    system: str
    corpus: str
    by: str
    part: str
    metric: str
    value: float
    low: float
    high: float
    bonafide: int
    spoof: int
    trials_hash: str
    crop: str


class Measurements(NamedTuple):
    """All measurements of an evaluation.

    Attributes:
        rows: every number.
        notes: sentences on what is missing and why.
    """

    results: Sequence[Result]
    rows: list[MeasuredRow]
    pairs: list[MeasuredPair]
    notes: list[str]

    @property
    def corpora(self) -> list[str]:
        """Names of the corpora."""
        return list(dict.fromkeys(result.corpus for result in self.results))

    @property
    def uncalibrated(self) -> list[Result]:
        """Results that are not calibrated: calibrated scores rank the trials in the same order."""
        return [result for result in self.results if not result.calibrated]

    @property
    def by(self) -> list[str]:
        """Names of the columns that the trials are divided by."""
        return list(dict.fromkeys(row.by for row in self.rows if row.by))


def measure_results(results: Sequence[Result], cfg: DictConfig) -> Measurements:
    """Measure the results and compare their systems.

    Args:
        results: the scores of each system on each corpus.
        cfg: configuration of the command: `by`, `bootstrap`, `compare` and `seed`.

    Raises:
        ValueError: if two results have one name, no result has a column to break down by, or a comparison is asked for
            and not possible.
    """
    names = [result.file_name for result in results]
    twice = [result.name for result in results if names.count(result.file_name) > 1]
    if twice:
        raise ValueError(
            f"Results need different names, also as file names, got {', '.join(twice)}: name the "
            "systems, model={NAME: FILE, …} or scores={NAME: FILE, …}, and corpora so that letters and digits differ."
        )
    uncalibrated = [result for result in results if not result.calibrated]
    rows = [row for result in results for row in _all_trials(result, cfg)]
    notes: list[str] = []
    for by in cfg.by:
        if not any(by in result.table.table for result in results):
            raise ValueError(f"by={by}: there is no such column; {results[0].name} has {_columns(results[0])}.")
        for result in uncalibrated:
            found, lacking = _breakdown(result, by, cfg)
            rows += found
            notes += lacking
    pairs, not_compared = compare_systems(uncalibrated, cfg)
    notes += [*_notes_on_intervals(results, cfg), *_notes_on_missing(results), *not_compared]
    return Measurements(results, rows, pairs, notes)


def _all_trials(result: Result, cfg: DictConfig) -> list[MeasuredRow]:
    """Compute every metric of a result on all its trials; those with a threshold need dev."""
    table, dev = result.table, result.dev
    threshold = None if dev is None else metrics.decision_threshold(dev.bonafide, dev.spoof)
    values = metrics.summary(table, threshold)
    values = {name: value for name, value in values.items() if not name.startswith("eer/")}
    if threshold is not None:
        values["dev_threshold"] = threshold
    if result.llr is False:
        values = {name: value for name, value in values.items() if name not in metrics.NEED_LLR}
    if result.asv:
        for form in ("2019", "revised"):
            values[f"min_tdcf_{form}"] = metrics.min_tdcf(table.bonafide, table.spoof, result.asv, form)
    if result.sasv:
        values["min_adcf"] = metrics.min_adcf(*result.sasv)
    return _rows(result, table, values, cfg, threshold)


def _breakdown(result: Result, by: str, cfg: DictConfig) -> tuple[list[MeasuredRow], list[str]]:
    """Compute metrics for each value of a column, and a sentence about values with one class only."""
    if by not in result.table.table:
        return [], [f"{result.name}: there is no column {by!r}; it has {_columns(result)}."]
    rows: list[MeasuredRow] = []
    lacking: dict[str, list[str]] = {"bona fide": [], "spoof": []}
    for part, trials in _divide(result.table.table, by):
        labels = set(trials["label"])
        if len(labels) == 1:
            lacking["spoof" if BONAFIDE in labels else "bona fide"].append(part)
            continue
        table = ScoreTable(trials)
        bonafide, spoof = np.sort(table.bonafide), np.sort(table.spoof)
        values = {
            "eer": metrics.eer(bonafide, spoof)[0],
            "auc": metrics.auc(bonafide, spoof),
            "min_dcf": metrics.min_dcf(bonafide, spoof),
        }
        rows += _rows(result, table, values, cfg, by=by, part=part)
    notes = [
        f"{result.name}: {by}={', '.join(parts[:5])}{', …' if len(parts) > 5 else ''} ({len(parts)} in all) has no "
        f"{word} trial, so no error rate."
        for word, parts in lacking.items()
        if parts
    ]
    return rows, notes


def _divide(table: pd.DataFrame, by: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Group trials by the values of a column; the group of an attack also gets all bona fide trials."""
    values = table[by].astype(object).where(table[by].notna(), UNKNOWN_ATTACK).astype(str)
    bonafide = table[table["label"] == BONAFIDE]
    divided = table[table["label"] == SPOOF] if by == ATTACK else table
    for value, part in divided.groupby(values[divided.index], sort=True):
        yield str(value), pd.concat([bonafide, part]) if by == ATTACK else part


def _rows(
    result: Result,
    table: ScoreTable,
    values: dict[str, float],
    cfg: DictConfig,
    threshold: float | None = None,
    by: str = "",
    part: str = "",
) -> list[MeasuredRow]:
    intervals: dict[str, metrics.ConfidenceInterval] = {}
    counts = len(table.bonafide), len(table.spoof)
    resamples = result.num_resamples(cfg.bootstrap)
    if resamples and min(counts) > 1:  # a single trial says nothing about the spread
        names = [name for name in values if name not in WITHOUT_INTERVAL]
        cluster = metrics.cluster_column(table)
        intervals = metrics.bootstrap_intervals(table, names, threshold, cluster, resamples, cfg.seed, result.asv)
    none, trials_hash = metrics.ConfidenceInterval(np.nan, np.nan), table.trials_hash
    return [
        MeasuredRow(
            *(result.system, result.corpus, by, part, name, value),
            *intervals.get(name, none),
            *counts,
            trials_hash,
            result.crop,
        )
        for name, value in values.items()
    ]


def _notes_on_intervals(results: Sequence[Result], cfg: DictConfig) -> list[str]:
    """Write a sentence for each way in which confidence intervals of a corpus were resampled.

    The systems are named if those of one corpus were resampled in several ways. Intervals that were not computed, as of
    a class with a single trial, have no sentence.
    """
    systems: dict[tuple[str, str], list[str]] = {}
    for result in results:
        resamples = result.num_resamples(cfg.bootstrap)
        if not resamples or min(len(result.table.bonafide), len(result.table.spoof)) < 2:
            continue
        if metrics.cluster_column(result.table):
            drawn = metrics.drawn_speakers_text(result.table)
        else:
            drawn = (
                "single trials, since fewer than two speakers of a class are known: where trials of a speaker resemble "
                "each other, they are too short"
            )
        way = f"95 % intervals by {resamples:,} draws of {drawn}."
        systems.setdefault((result.corpus, way), []).append(result.system)
    ways = Counter(corpus for corpus, _ in systems)
    return [
        f"{corpus} ({', '.join(names)}): {way}" if ways[corpus] > 1 else f"{corpus}: {way}"
        for (corpus, way), names in systems.items()
    ]


def _notes_on_missing(results: Sequence[Result]) -> list[str]:
    notes = []
    without_dev: dict[str, list[str]] = {}
    for result in results:
        if result.dev is None:
            without_dev.setdefault(result.corpus, []).append(result.system)
    for corpus, systems in without_dev.items():
        notes.append(
            f"{corpus}: accuracy, balanced accuracy and F1 are left out for {', '.join(systems)}: they need a "
            "threshold from dev, because one from eval flatters. Give dev_scores=FILE dev_key=FILE."
        )
    if unknown := [result.name for result in results if result.llr is None]:
        notes.append(
            f"actDCF, Cllr, ECE and Brier score take scores for log-likelihood ratios. Whether those of "
            f"{', '.join(unknown)} are is not known: say llr=true or llr=false, or convert them with calibrate=true."
        )
    for result in results:
        if bad := len(result.bad):
            first = ", ".join(result.bad["id"].head(3)) + (", …" if bad > 3 else "")
            notes.append(
                f"{result.name}: {bad:,} of {bad + len(result.table):,} trials {'have' if bad > 1 else 'has'} no score "
                f"because the file cannot be read: {first}. bad_files.csv gives the reasons."
            )
    return notes


def _columns(result: Result) -> str:
    return ", ".join(str(name) for name in result.table.table if name not in ("id", "label", "score"))
