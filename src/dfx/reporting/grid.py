"""Results of a sweep as a grid, such as feature × model; each cell holds one run for each seed."""

from __future__ import annotations

import functools
import itertools
import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dfx.config.identity import INIT
from dfx.config.schema import did_you_mean
from dfx.reporting import metric_names
from dfx.reporting.document_parts import counted, listed
from dfx.reporting.document_table import DocumentCell as TableCell
from dfx.reporting.document_table import DocumentTable
from dfx.tracking.cells import cell_position_tag
from dfx.tracking.runs import RunRecord

OPTIONS = (
    *("dataset", "conditioning", "feature", "model", "loss", "augment"),
    *("optimizer", "schedule", "trainer", "manifest_hash", "init_sha256"),
)
NOT_SET = "(not set)"
SEED = "seed"  # the axis that is averaged over
Axes = Mapping[str, Sequence[str]]  # values of each key that a sweep varies, in the order of its command
Key = TypeVar("Key")


@dataclass(frozen=True)
class GridCell:
    """Cell of the grid: its finished runs, one for each seed, in the order of the seeds."""

    row: str
    column: str
    runs: tuple[RunRecord, ...]

    @property
    def name(self) -> str:
        """Name of the cell from its row and column: `lfcc · lcnn`."""
        return f"{self.row} · {self.column}"

    def values(self, metric: str) -> NDArray[np.float64]:
        """Return the values of a metric, `(runs,)`; runs without the metric are left out."""
        return np.array([run.metrics[metric] for run in self.runs if metric in run.metrics])

    def mean(self, metric: str) -> float:
        """Compute the mean of a metric over the seeds; NaN if no run has the metric."""
        values = self.values(metric)
        return float(values.mean()) if values.size else float("nan")

    def deviation(self, metric: str) -> float:
        """Compute the sample standard deviation of a metric over the seeds; NaN for one seed."""
        values = self.values(metric)
        return float(values.std(ddof=1)) if values.size > 1 else float("nan")

    def text(self, metric: str) -> str:
        """Format the mean and deviation of a metric: `12.34 ± 1.20`."""
        return metric_names.metric_spread(self.mean(metric), self.deviation(metric), metric)


@dataclass(frozen=True)
class Grid:
    """Grid of results: cells by row and column.

    Attributes:
        axes: names of the row axis and the column axis; the second is empty if there is one column.
        rows: labels, in the order of the table.
        columns: labels, in the order of the table.
        cells: (row, column) -> cell; a place without a finished run is missing.
        why_empty: (row, column) -> why a place has no result: "failed", "skipped" …
        notes: sentences about how runs were sorted.
    """

    axes: tuple[str, str]
    rows: list[str]
    columns: list[str]
    cells: dict[tuple[str, str], GridCell]
    why_empty: dict[tuple[str, str], str]
    notes: list[str]

    @property
    def head(self) -> list[str]:
        """Column names of the grid as a table."""
        corner = " \\ ".join(name for name in self.axes if name)
        return [corner, *self.columns]

    def by_dev(self) -> list[GridCell]:
        """Sort the cells by their mean EER on dev, lowest first; cells without one are left out."""
        known = [cell for cell in self.cells.values() if cell.values("dev/eer").size]
        return sorted(known, key=lambda cell: cell.mean("dev/eer"))

    def best_on_dev(self) -> GridCell | None:
        """Return the cell with the lowest mean EER on dev; cells with several seeds come before those with one."""
        ranked = self.by_dev()
        several = [cell for cell in ranked if cell.values("dev/eer").size > 1]
        return next(iter(several or ranked), None)

    def empty(self, row: str, column: str) -> TableCell:
        """Make the table cell for a missing result: a word with the reason, or a dash."""
        return TableCell(self.why_empty.get((row, column), "–"), looks="empty")

    def table(self, metric: str, seeds: int) -> DocumentTable:
        """Make the table of a metric: mean ± sample standard deviation over the seeds of each cell.

        A mean over fewer than `seeds` runs is shown with their number.

        Args:
            metric: `eval/eer`.
            seeds: number of seeds of a complete cell.
        """
        rows = []
        for row in self.rows:
            line: list[str | TableCell] = [row]
            for column in self.columns:
                cell = self.cells.get((row, column))
                size = cell.values(metric).size if cell else 0
                fewer = f"({size})" if size < seeds else ""
                line.append(TableCell(cell.text(metric), fewer) if cell and size else self.empty(row, column))
            rows.append(line)
        over = f", mean ± deviation over {seeds} seeds" if seeds > 1 else ""
        return DocumentTable(f"{metric_names.metric_heading(metric)}{over}", self.head, rows, grid=True)


def is_grid_run(run: RunRecord) -> bool:
    """Whether a run comes from `dfx.train`, or is a cell that a sweep could not start."""
    return "kind" not in run.tags and ("config_hash" in run.tags or any(tag.startswith("sweep.") for tag in run.tags))


def _value(run: RunRecord, key: str) -> str:
    return run.tags.get(key) or run.params.get(key, NOT_SET)


def randomly_drawn_keys(axes: Axes) -> set[str]:
    """Return the keys of a sweep whose values the sweeper draws at random."""
    return {key for key, values in axes.items() if values[0].startswith("interval(")}


def _place(run: RunRecord, parent: str) -> dict[str, str]:
    words = shlex.split(run.tags[cell_position_tag(parent)])
    return {key: text for key, _, text in (word.partition("=") for word in words)}


def grid_of_sweep(runs: Sequence[RunRecord], parent: str, axes: Axes) -> Grid:
    """Build the grid of a sweep: its first axis gives the rows, its second axis the columns.

    Further axes give more rows.

    Seeds are averaged. An axis whose values are drawn at random gives rows.

    Args:
        runs: runs of the sweep, also those without a result.
        parent: run id of the sweep.
        axes: axes of the sweep.
    """
    shown = [
        key for key, values in axes.items() if key != SEED and (len(values) > 1 or key in randomly_drawn_keys(axes))
    ]
    across = next((key for key in shown[1:] if key not in randomly_drawn_keys(axes)), None)
    down = [key for key in shown if key != across]
    columns = list(axes[across]) if across else ["EER"]

    def row_of(run: RunRecord) -> str:
        return ", ".join(_place(run, parent).get(key, "") for key in down) or "all"

    whole = [] if randomly_drawn_keys(axes) & set(down) else list(itertools.product(*(axes[key] for key in down)))
    rows = [", ".join(values) or "all" for values in whole]
    rows += [row for row in reversed(dict.fromkeys(map(row_of, runs))) if row not in rows]
    cells, why_empty = {}, {}
    groups = _grouped(runs, lambda run: (row_of(run), _place(run, parent).get(across or "", columns[0])))
    for at, found in groups.items():
        finished = tuple(run for run in found if run.status == "FINISHED")
        if finished:
            cells[at] = GridCell(*at, finished)
        else:
            why_empty[at] = "skipped" if all("skipped" in run.tags for run in found) else "failed"
    return Grid((", ".join(down), across or ""), rows, columns, cells, why_empty, [])


def grid_of_runs(records: Iterable[RunRecord], rows: str, columns: str, order: Axes | None = None) -> Grid:
    """Build a grid from finished runs, with two tags or parameters as rows and columns.

    Runs of one place that differ in more than the seed are not averaged: the settings that differ become part of the
    label. If several runs have the same place and seed, the newest is used.

    Args:
        records: runs, of which only the finished ones are taken.
        rows: tag or parameter.
        columns: tag or parameter.
        order: values of an axis in the order of the sweep's command.

    Raises:
        ValueError: if no run is finished, or none has such a tag or parameter.
    """
    finished = [run for run in records if run.status == "FINISHED" and is_grid_run(run)]
    if not finished:
        raise ValueError(
            "There is no finished run to report, got none: let dfx.train finish one, or name another sweep, "
            "experiment_name or query."
        )
    keys = {key for run in finished for key in (*run.tags, *run.params)}
    known = sorted(key for key in keys if not key.startswith("mlflow."))
    for axis in (rows, columns):
        if axis not in known:
            raise ValueError(
                f"No run has a tag or parameter {axis!r}: {did_you_mean(axis, known) or 'use feature, model, loss …'}"
            )
    extra = _differing(finished, rows, columns)

    def label(run: RunRecord, axis: str, keys: list[str]) -> str:
        known = [(key, _value(run, key)) for key in keys]
        return ", ".join([_value(run, axis), *(f"{_short(k)}={_brief(v)}" for k, v in known if v != NOT_SET)])

    of_columns = [key for key in extra if key.split(".")[0] == columns]
    of_rows = [key for key in extra if key not in of_columns]
    places = _grouped(finished, lambda run: (label(run, rows, of_rows), label(run, columns, of_columns)))
    notes = []
    if extra:
        notes.append(
            f"Runs of one {rows} and {columns} differ in {listed(extra)}: they have separate rows, since their mean "
            "would say nothing."
        )
    cells, repeated = {}, 0
    for at, runs in places.items():
        newest = {_value(run, SEED): run for run in sorted(runs, key=lambda run: run.start_ms)}
        repeated += len(runs) - len(newest)
        cells[at] = GridCell(*at, tuple(newest[seed] for seed in sorted(newest, key=_natural)))
    if repeated:
        repeat = f"{counted(repeated, 'finished run')} {'repeats' if repeated == 1 else 'repeat'}"
        notes.append(f"{repeat} a cell and a seed that a newer run has; the newest of each is taken.")
    commits = {run.tags.get("git_commit", "") for cell in cells.values() for run in cell.runs}
    if len(commits) > 1:
        notes.append(f"The runs come from {len(commits)} versions of the code (tag git_commit).")
    order = order or {}
    typed = {key.lstrip("+"): values for key, values in order.items() if key not in randomly_drawn_keys(order)}
    row_labels = _ordered({row for row, _ in cells}, typed.get(rows, []))
    column_labels = _ordered({column for _, column in cells}, typed.get(columns, []))
    return Grid((rows, columns), row_labels, column_labels, cells, {}, notes)


def _differing(runs: Sequence[RunRecord], rows: str, columns: str) -> list[str]:
    """Find the settings that differ between runs of the same cell: options, then other parameters."""
    params = sorted({key for run in runs for key in run.params})
    keys = [key for key in OPTIONS if key not in (rows, columns)]
    keys += [key for key in params if key not in (SEED, rows, columns, *OPTIONS, *INIT)]
    keys = [key for key in keys if len({_value(run, key) for run in runs}) > 1]
    found: list[str] = []
    groups = list(_grouped(runs, lambda run: (_value(run, rows), _value(run, columns))).values())
    for key in keys:
        split = [list(_grouped(group, functools.partial(_value, key=key)).values()) for group in groups]
        if all(len(parts) == 1 for parts in split) or _is_seed(key, runs):
            continue
        found.append(key)
        groups = [part for parts in split for part in parts]
    return found


def _is_seed(key: str, runs: Sequence[RunRecord]) -> bool:
    return all(_value(run, key) in (NOT_SET, _value(run, SEED)) for run in runs)


def _grouped(runs: Iterable[RunRecord], key: Callable[[RunRecord], Key]) -> dict[Key, list[RunRecord]]:
    groups: dict[Key, list[RunRecord]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return dict(groups)


def _short(key: str) -> str:
    return {"manifest_hash": "corpus", "init_sha256": "init"}.get(key, key.rpartition(".")[2])


def _brief(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"


def _natural(text: str) -> list[tuple[int, float, str]]:
    """Make a sort key for numbers in text: 2 comes before 10, and 0.0003 before 0.001."""
    parts = re.split(r"(\d+(?:\.\d+)?(?:e-?\d+)?)", text)
    return [(0, float(part), "") if number % 2 else (1, 0.0, part) for number, part in enumerate(parts)]


def _ordered(labels: set[str], typed: Sequence[str]) -> list[str]:
    """Sort labels as the command of the sweep lists them; labels that it does not have are at the end."""
    known = {label.partition(", ")[0] for label in labels}
    position = {label: number for number, label in enumerate(typed)}
    first = {label: position.get(label.partition(", ")[0], len(position)) for label in labels}
    first |= {label: number for label, number in position.items() if label not in known}
    return sorted(first, key=lambda label: (first[label], _natural(label)))
