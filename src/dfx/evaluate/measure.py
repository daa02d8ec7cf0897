"""Results measured: every metric, for all trials and for parts of them, as rows of one long table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from dfx import metrics
from dfx.evaluate.result import Result
from dfx.tables.labels import BONAFIDE, SPOOF
from dfx.tables.score_table import UNKNOWN_ATTACK, ScoreTable

ATTACK = "attack"
RESAMPLES = 1000
MOST_RESAMPLED = 100_000  # trials, where the user does not say whether to resample: what takes seconds
NOT_RESAMPLED = ("threshold", "dev_threshold", "min_adcf")
OF_PARTS = ("eer", "auc", "min_dcf")  # metrics of a breakdown


class Row(NamedTuple):
    """A number and what it is of; `results.csv` has these columns.

    Attributes:
        system: name of the system.
        corpus: name of the corpus.
        by: column that the trials were divided by; empty for all of them.
        part: value in that column.
        metric: its name.
        value: its value.
        low: of its 95 % interval; NaN where trials were not resampled.
        high: of its 95 % interval.
        bonafide: bona fide trials.
        spoof: spoof trials.
        trials_hash: of these trials.
        crop: what of an utterance the system heard.
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


class Settings(NamedTuple):
    """How to measure.

    Attributes:
        by: columns to break down by.
        bootstrap: resamples; 0: no intervals; None: as the number of trials allows.
        rates: of speaker verification, for t-DCF.
        seed: of the resamples.
    """

    by: tuple[str, ...] = (ATTACK,)
    bootstrap: int | None = None
    rates: metrics.AsvRates | None = None
    seed: int = 0

    def resamples(self, result: Result) -> int:
        """How often the trials of a result, and of its parts, are resampled."""
        if self.bootstrap is None:
            return RESAMPLES if len(result.table) <= MOST_RESAMPLED else 0
        return self.bootstrap


def whole(result: Result, settings: Settings) -> list[Row]:
    """Every metric of a result on all its trials. Accuracy and the like only at a threshold from dev."""
    table, dev = result.table, result.dev
    threshold = None if dev is None else metrics.eer(dev.bonafide, dev.spoof)[1]
    values = {
        name: value
        for name, value in metrics.summary(table, threshold).items()
        if not name.startswith("eer/")
    }
    if threshold is not None:
        values["dev_threshold"] = threshold
    if result.llr is False:
        values = {name: value for name, value in values.items() if name not in metrics.NEED_LLR}
    if settings.rates:
        for form in ("2019", "revised"):
            values[f"min_tdcf_{form}"] = metrics.min_tdcf(table.bonafide, table.spoof, settings.rates, form)
    if result.sasv:
        values["min_adcf"] = metrics.min_adcf(*result.sasv)
    return _rows(result, table, values, settings, threshold)


def parts(result: Result, by: str, settings: Settings) -> tuple[list[Row], list[str]]:
    """Rows of each value of a column, and a sentence for what has none.

    An attack is measured against all bona fide trials; for any other column both classes are those of the value.
    """
    if by not in result.table.table:
        known = [str(name) for name in result.table.table if name not in ("id", "label", "score")]
        return [], [f"{result.name}: there is no column {by!r}; it has {', '.join(known)}."]
    rows: list[Row] = []
    lacking: dict[str, list[str]] = {"bona fide": [], "spoof": []}
    for value, table in _divided(result.table.table, by):
        labels = set(table["label"])
        for label, word in ((BONAFIDE, "bona fide"), (SPOOF, "spoof")):
            if label not in labels:
                lacking[word].append(value)
        if len(labels) > 1:
            rows += _rows(result, ScoreTable(table), None, settings, None, by, value)
    notes = [
        f"{result.name}: {by}={', '.join(values[:5])}{', …' if len(values) > 5 else ''} ({len(values)} in all) has no "
        f"{word} trial, so no error rate."
        for word, values in lacking.items()
        if values
    ]
    return rows, notes


def _divided(table: pd.DataFrame, by: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Value and trials of each part."""
    values = table[by].astype(object).where(table[by].notna(), UNKNOWN_ATTACK).astype(str)
    if by == ATTACK:
        bonafide = table[table["label"] == BONAFIDE]
        spoof = table[table["label"] == SPOOF]
        for value, part in spoof.groupby(values[spoof.index], sort=True):
            yield str(value), pd.concat([bonafide, part])
        return
    for value, part in table.groupby(values, sort=True):
        yield str(value), part


def _rows(
    result: Result,
    table: ScoreTable,
    values: dict[str, float] | None,
    settings: Settings,
    threshold: float | None,
    by: str = "",
    part: str = "",
) -> list[Row]:
    if values is None:
        bonafide, spoof = np.sort(table.bonafide), np.sort(table.spoof)
        measures = (
            metrics.eer(bonafide, spoof)[0],
            metrics.auc(bonafide, spoof),
            metrics.min_dcf(bonafide, spoof),
        )
        values = dict(zip(OF_PARTS, measures, strict=True))
    found: dict[str, metrics.Interval] = {}
    counts = len(table.bonafide), len(table.spoof)
    resamples = settings.resamples(result)
    if resamples and min(counts) > 1:  # nothing says how others than a single trial would have done
        names = [name for name in values if name not in NOT_RESAMPLED]
        cluster = metrics.cluster_column(table)
        found = metrics.intervals(
            table, names, threshold, cluster, resamples, settings.seed, rates=settings.rates
        )
    nothing = metrics.Interval(np.nan, np.nan)
    trials_hash = table.trials_hash
    return [
        Row(
            *(result.system, result.corpus, by, part, name, value),
            *found.get(name, nothing),
            *counts,
            trials_hash,
            result.crop,
        )
        for name, value in values.items()
    ]
