"""Runs sorted into the cells of a table: one run a seed, and nothing averaged that is not the same."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dfx.config.identity import BOOKKEEPING
from dfx.config.schema import closest
from dfx.tracking.runs import RunRecord

OPTIONS = (
    *("dataset", "conditioning", "feature", "model", "loss", "augment"),
    *("optimizer", "schedule", "trainer", "manifest_hash"),
)
NOT_SET = "(not set)"
Key = TypeVar("Key")


@dataclass(frozen=True)
class Cell:
    """The finished runs of one place in the table, one a seed, in the order of the seeds."""

    row: str
    column: str
    runs: tuple[RunRecord, ...]

    @property
    def name(self) -> str:
        """Row and column: `lfcc · lcnn`."""
        return f"{self.row} · {self.column}"

    def values(self, metric: str) -> NDArray[np.float64]:
        """A metric of each run that has it, `(runs,)`."""
        return np.array([run.metrics[metric] for run in self.runs if metric in run.metrics])

    def mean(self, metric: str) -> float:
        """Mean over the seeds; NaN where no run has the metric."""
        values = self.values(metric)
        return float(values.mean()) if values.size else float("nan")

    def deviation(self, metric: str) -> float:
        """Sample deviation over the seeds; NaN for one seed."""
        values = self.values(metric)
        return float(values.std(ddof=1)) if values.size > 1 else float("nan")


@dataclass(frozen=True)
class Grid:
    """Cells by row and column, with what a reader must know of how they were sorted.

    Attributes:
        axes: names of what rows and columns are.
        rows: labels, in the order of the table.
        columns: labels, in the order of the table.
        cells: by (row, column); what has no finished run is not there.
        notes: sentences.
    """

    axes: tuple[str, str]
    rows: list[str]
    columns: list[str]
    cells: dict[tuple[str, str], Cell]
    notes: list[str]

    def by_dev(self, metric: str) -> list[Cell]:
        """Cells that have a metric of dev, the lowest mean first."""
        known = [cell for cell in self.cells.values() if cell.values(metric).size]
        return sorted(known, key=lambda cell: cell.mean(metric))


def is_cell(run: RunRecord) -> bool:
    """Whether a run is one of `dfx.train`, or a cell that a sweep could not start."""
    return "kind" not in run.tags and (
        "config_hash" in run.tags or any(tag.startswith("sweep.") for tag in run.tags)
    )


def value(run: RunRecord, key: str) -> str:
    """A tag, or else a parameter."""
    return run.tags.get(key) or run.params.get(key, NOT_SET)


def grid(
    records: Iterable[RunRecord], rows: str, columns: str, order: dict[str, list[str]] | None = None
) -> Grid:
    """Sort finished runs into a table.

    Runs of one place that differ in more than the seed are not averaged: the settings that differ become part of the
    label. Of several runs of one place and seed the newest counts.

    Args:
        records: runs, of which only the finished ones are taken.
        rows: tag or parameter.
        columns: tag or parameter.
        order: values of an axis in the order that was typed.

    Raises:
        ValueError: if no run is finished, or none has such a tag or parameter.
    """
    finished = [run for run in records if run.status == "FINISHED" and is_cell(run)]
    if not finished:
        raise ValueError(
            "There is no finished run to report, got none: let dfx.train finish one, or name another sweep, "
            "experiment_name or query."
        )
    for axis in (rows, columns):
        _check_axis(axis, finished)
    extra = _differing(finished, rows, columns)

    def label(run: RunRecord, axis: str, keys: list[str]) -> str:
        known = [(key, value(run, key)) for key in keys]
        return ", ".join([value(run, axis), *(f"{_short(k)}={_brief(v)}" for k, v in known if v != NOT_SET)])

    of_columns = [key for key in extra if key.split(".")[0] == columns]
    of_rows = [key for key in extra if key not in of_columns]
    places = _grouped(finished, lambda run: (label(run, rows, of_rows), label(run, columns, of_columns)))
    notes = _split_notes(extra, rows, columns)
    cells, repeated = {}, 0
    for place, runs in places.items():
        newest: dict[str, RunRecord] = {}
        for run in sorted(runs, key=lambda run: run.start_ms):
            newest[value(run, "seed")] = run
        repeated += len(runs) - len(newest)
        cells[place] = Cell(*place, tuple(newest[seed] for seed in sorted(newest, key=_natural)))
    if repeated:
        few = "1 finished run repeats" if repeated == 1 else f"{repeated} finished runs repeat"
        notes.append(f"{few} a cell and a seed that a newer run has; the newest of each is taken.")
    commits = {run.tags.get("git_commit", "") for cell in cells.values() for run in cell.runs}
    if len(commits) > 1:
        notes.append(f"The runs come from {len(commits)} versions of the code (tag git_commit).")
    order = order or {}
    return Grid(
        (rows, columns),
        _ordered({row for row, _ in cells}, order.get(rows, [])),
        _ordered({column for _, column in cells}, order.get(columns, [])),
        cells,
        notes,
    )


def _check_axis(axis: str, runs: Sequence[RunRecord]) -> None:
    known = sorted({key for run in runs for key in (*run.tags, *run.params) if not key.startswith("mlflow.")})
    if axis not in known:
        raise ValueError(
            f"No run has a tag or parameter {axis!r}: {closest(axis, known) or 'use feature, model, loss …'}"
        )


def _differing(runs: Sequence[RunRecord], rows: str, columns: str) -> list[str]:
    """Settings in which runs of one place differ: options first, then what these do not explain."""
    params = sorted({key for run in runs for key in run.params})
    keys = [key for key in OPTIONS if key not in (rows, columns)]
    keys += [key for key in params if not _is_bookkeeping(key) and key not in (rows, columns, *OPTIONS)]
    keys = [key for key in keys if len({value(run, key) for run in runs}) > 1]
    found: list[str] = []
    groups = list(_grouped(runs, lambda run: (value(run, rows), value(run, columns))).values())
    for key in keys:
        split = [list(_grouped(group, functools.partial(value, key=key)).values()) for group in groups]
        if all(len(parts) == 1 for parts in split) or _is_seed(key, runs):
            continue
        found.append(key)
        groups = [part for parts in split for part in parts]
    return found


def _is_bookkeeping(key: str) -> bool:
    return key == "seed" or key in BOOKKEEPING or f"dataset.{key.rpartition('.')[2]}" in BOOKKEEPING


def _is_seed(key: str, runs: Sequence[RunRecord]) -> bool:
    return all(value(run, key) in (NOT_SET, value(run, "seed")) for run in runs)


def _split_notes(extra: list[str], rows: str, columns: str) -> list[str]:
    if not extra:
        return []
    listed = ", ".join(extra[:6]) + (f" and {len(extra) - 6} more" if len(extra) > 6 else "")
    return [
        f"Runs of one {rows} and {columns} differ in {listed}: they stand apart, since their mean would say nothing."
    ]


def _grouped(runs: Iterable[RunRecord], key: Callable[[RunRecord], Key]) -> dict[Key, list[RunRecord]]:
    groups: dict[Key, list[RunRecord]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return dict(groups)


def _short(key: str) -> str:
    return "corpus" if key == "manifest_hash" else key.rpartition(".")[2]


def _brief(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"


def _natural(text: str) -> list[tuple[int, float, str]]:
    """Sorts 2 before 10, and 0.0003 before 0.001."""
    parts = re.split(r"(\d+(?:\.\d+)?(?:e-?\d+)?)", text)
    return [(0, float(part), "") if number % 2 else (1, 0.0, part) for number, part in enumerate(parts)]


def _ordered(labels: set[str], typed: list[str]) -> list[str]:
    """In the order that was typed, also what has no run yet; what is not of it by name at the end."""
    known = {label.partition(", ")[0] for label in labels}
    place = {label: number for number, label in enumerate(typed)}
    first = {label: place.get(label.partition(", ")[0], len(place)) for label in labels}
    first |= {label: number for label, number in place.items() if label not in known}
    return sorted(first, key=lambda label: (first[label], _natural(label)))
