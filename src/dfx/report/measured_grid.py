"""Confidence intervals of the cells, and significance tests against the cell that is best on dev."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dfx.metrics import ConfidenceInterval, Difference, PairedEers, attack_name, cluster_column, drawn_speakers_text
from dfx.report import run_scores
from dfx.reporting import metric_names
from dfx.reporting.document_parts import listed
from dfx.reporting.grid import Grid, GridCell
from dfx.tables.labels import BONAFIDE
from dfx.tables.score_table import ScoreTable

LEVEL = 0.05  # significance level of the tests, over all cells together
# Resamples for each comparison: the smallest p-value is 2 / resamples, and Holm multiplies it by the comparisons.
LEAST, WANTED = 50, 400
BUDGET = 400_000_000  # trials of all files times resamples: seconds
CHOSEN, AS_GOOD, BETTER, WORSE, UNTESTED = "chosen on dev", "not worse", "better", "worse", ""


@dataclass(frozen=True)
class MeasuredCell:
    """Results of one cell: mean over seeds, confidence interval, and test against the chosen cell.

    The chosen cell is the best one on dev.

    Attributes:
        deviation: sample deviation over the seeds; NaN for one.
        interval: 95 % confidence interval of the mean; None if it cannot be computed.
        trials: hash of the trials that all its runs scored; None if there are no score files, or they differ.
        difference: to the cell chosen on dev, on the same trials.
        p_value: p-value of this difference, with Holm's correction over all cells.
        mark: outcome of the test, one of CHOSEN, AS_GOOD, BETTER, WORSE, UNTESTED.
    """

    cell: GridCell
    mean: float
    deviation: float
    seeds: int
    interval: ConfidenceInterval | None = None
    trials: str | None = None
    difference: Difference | None = None
    p_value: float | None = None
    mark: str = UNTESTED

    def bounds(self, metric: str) -> str:
        """Format the confidence interval: `[10.91, 14.02]`; return "" if there is none."""
        return metric_names.metric_interval(self.interval, metric)


@dataclass(frozen=True)
class MeasuredGrid:
    """Results of all cells, with their score tables and notes for the reader.

    Attributes:
        drawn: what was resampled: "speakers", "trials" or, on several lists of trials, both.
    """

    metric: str
    cells: dict[tuple[str, str], MeasuredCell]
    tables: dict[str, ScoreTable]
    drawn: str
    resamples: int
    notes: list[str]

    @property
    def most_seeds(self) -> int:
        """Largest number of seeds in a cell."""
        return max(one.seeds for one in self.cells.values())


def measure_grid(grid: Grid, metric: str, resamples: int | None = None, cache: str | None = None) -> MeasuredGrid:
    """Compute mean, deviation and interval of each cell, and test it against the best cell on dev.

    Interval and test are for the EER, by resampling trials; another metric has only mean and deviation. Cells are
    compared if they scored the same trials.

    Args:
        grid: the cells.
        metric: `eval/eer`, `eval/eer/A07` …
        resamples: number of resamples of the trials; None: as many as the number of comparisons needs.
        cache: folder for score files that are fetched; the default one if None.

    Raises:
        ValueError: if no run has the metric, or its direction is not known.
    """
    metric_names.higher_is_better(metric)  # refuses a metric without a direction
    plain = {
        place: MeasuredCell(cell, cell.mean(metric), cell.deviation(metric), len(values))
        for place, cell in grid.cells.items()
        if len(values := cell.values(metric))
    }
    if not plain:
        names = sorted({key for cell in grid.cells.values() for run in cell.runs for key in run.metrics})
        shown = [key for key in names if key.count("/") == 1 and not key.startswith(("epoch/", "system/"))]
        raise ValueError(f"No run has the metric {metric!r}: they have {', '.join(shown)}.")
    split = metric.partition("/")[0]
    records = (run for cell in grid.cells.values() for run in cell.runs)
    tables, notes = run_scores.read_run_scores(records, split, cache)
    notes = notes[:5] + ([f"… and {len(notes) - 5} more such files."] if len(notes) > 5 else [])
    judged = {run_id: part for run_id, table in tables.items() if (part := _part(table, metric)) is not None}
    if not judged:
        return MeasuredGrid(metric, plain, tables, "", 0, notes)
    known = {place: _with_trials(one, judged) for place, one in plain.items()}
    resamples = resamples or _resamples(len(known), judged)
    drawn: set[str] = set()
    ways: list[str] = []
    for trials in sorted({one.trials for one in known.values() if one.trials}):
        group = {place: one for place, one in known.items() if one.trials == trials}
        table = judged[next(iter(group.values())).cell.runs[0].run_id]
        cluster = cluster_column(table)
        known |= _compared(group, judged, cluster, resamples)
        drawn.add(f"{cluster}s" if cluster else "trials")
        if cluster:
            ways.append(f"95 % intervals by {resamples:,} draws of {drawn_speakers_text(table)}.")
    notes += [*_notes(known.values(), resamples), *dict.fromkeys(ways)]
    return MeasuredGrid(metric, _corrected(known), tables, " or ".join(sorted(drawn)), resamples, notes)


def holm_correction(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for multiple comparisons by Holm's method; the order is kept.

    Source: Holm, Scandinavian Journal of Statistics 1979.

    >>> holm_correction([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    corrected = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    result = np.empty(len(p_values))
    result[order] = np.minimum(np.maximum.accumulate(corrected), 1)
    return [float(value) for value in result]


def _part(table: ScoreTable, metric: str) -> ScoreTable | None:
    """Select the trials of an EER metric: all, or those of one attack; None if they cannot be resampled."""
    name = metric.partition("/")[2]
    if name != "eer" and not name.startswith("eer/"):
        return None
    rows = table.table
    if name != "eer":
        rows = rows[(rows["label"] == BONAFIDE) | (rows["attack"] == attack_name(name))]
    part = table if name == "eer" else ScoreTable(rows)
    return part if min(part.bonafide.size, part.spoof.size) > 1 else None


def _with_trials(one: MeasuredCell, judged: Mapping[str, ScoreTable]) -> MeasuredCell:
    tables = [judged[run.run_id] for run in one.cell.runs if run.run_id in judged]
    hashes = {table.trials_hash for table in tables}
    same = len(tables) == len(one.cell.runs) and len(hashes) == 1
    return replace(one, trials=hashes.pop()) if same else one


def _resamples(cells: int, judged: Mapping[str, ScoreTable]) -> int:
    """Compute the number of bootstrap resamples: at least as many as Holm's correction needs."""
    trials = sum(map(len, judged.values()))
    return max(LEAST * cells, min(WANTED * cells, BUDGET // trials), 1000)


def _compared(
    group: Mapping[tuple[str, str], MeasuredCell],
    judged: Mapping[str, ScoreTable],
    cluster: str | None,
    resamples: int,
) -> dict[tuple[str, str], MeasuredCell]:
    """Compute intervals of cells from the same draws of trials, and test each against the best cell on dev."""
    systems = [[judged[run.run_id] for run in one.cell.runs] for one in group.values()]
    eers = PairedEers(systems, cluster, resamples)
    result = {place: replace(one, interval=eers.interval(number)) for number, (place, one) in enumerate(group.items())}
    best = _chosen(group)
    if len(group) < 2 or best is None:
        return result
    chosen = list(group).index(best)
    for number, (place, one) in enumerate(result.items()):
        gap = eers.difference(number, chosen)
        result[place] = replace(one, mark=CHOSEN) if place == best else replace(one, difference=gap)
    return result


def _chosen(group: Mapping[tuple[str, str], MeasuredCell]) -> tuple[str, str] | None:
    """Choose the cell with the lowest mean EER on dev; one with several seeds if there is any."""
    on_dev = {place: mean for place, one in group.items() if not math.isnan(mean := one.cell.mean("dev/eer"))}
    several = [place for place in on_dev if group[place].seeds > 1]
    return min(several or on_dev, key=lambda place: on_dev[place], default=None)


def _corrected(measured: Mapping[tuple[str, str], MeasuredCell]) -> dict[tuple[str, str], MeasuredCell]:
    gaps = {place: one.difference for place, one in measured.items() if one.difference}
    result = dict(measured)
    corrected = holm_correction([gap.p_value for gap in gaps.values()])
    for (place, gap), p_value in zip(gaps.items(), corrected, strict=True):
        mark = AS_GOOD if p_value >= LEVEL else WORSE if gap.value > 0 else BETTER
        result[place] = replace(measured[place], p_value=p_value, mark=mark)
    return result


def _notes(measured: Iterable[MeasuredCell], resamples: int) -> list[str]:
    measured = list(measured)
    notes = []
    tests = sum(one.difference is not None for one in measured)
    if 2 * tests >= LEVEL * (resamples + 1):  # the smallest possible p-value after Holm's correction is above the level
        notes.append(
            f"{resamples:,} resamples are too few for any of {tests} differences to be significant, so everything is "
            f"bold: use resamples={LEAST * (tests + 1)} at least, or leave it out."
        )
    without = [one.cell.name for one in measured if one.trials is None]
    if without:
        notes.append(
            f"No interval and no test for {listed(without)}: a score file is missing, the seeds scored different "
            "trials, or a class has a single trial."
        )
    groups = Counter(one.trials for one in measured if one.trials)
    if len(groups) > 1:
        lists = ", ".join(f"{trials[:8]} ({count} cells)" for trials, count in groups.most_common(6))
        notes.append(
            f"The cells were measured on {len(groups)} different lists of trials: {lists}. Only cells of the "
            "same list are compared, and each list has its own choice."
        )
    return notes
