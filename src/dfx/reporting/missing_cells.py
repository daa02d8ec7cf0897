"""Cells of a sweep without a result (failed, skipped or never run), with reason and command."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from dfx.reporting.grid import Axes, Grid, is_grid_run, randomly_drawn_keys
from dfx.tracking.cells import cell_position_tag
from dfx.tracking.runs import RunRecord

KINDS = ("failed", "missing", "interrupted", "running", "skipped")  # in the order of a report
UNCLEAR = "Still running, or killed without a status; repeat the command to resume."


@dataclass(frozen=True)
class MissingCell:
    """Cell of a sweep without a result.

    Attributes:
        cell: its overrides, `feature=lfcc model=lcnn seed=0`, or the name of its run.
        kind: one of KINDS; skipped: the pair cannot work.
        reason: empty if not known.
        command: command of this cell alone; empty if not known, and for a skipped cell.
    """

    cell: str
    kind: str
    reason: str
    command: str

    @classmethod
    def of_run(cls, run: RunRecord, cell: str, command: str = "") -> MissingCell:
        """Make a missing cell from a run without a result; `command` is used if the run has none."""
        if "skipped" in run.tags:
            return cls(cell, "skipped", run.tags["skipped"], "")
        kind = {"RUNNING": "running", "SCHEDULED": "running", "KILLED": "interrupted"}.get(run.status, "failed")
        reason = UNCLEAR if kind == "running" else run.tags.get("error", "")
        return cls(cell, kind, reason, run.tags.get("command") or command)


def find_missing_cells(records: Sequence[RunRecord], parent: RunRecord | None) -> list[MissingCell]:
    """Find the cells of a sweep that have no finished run; without a sweep, all unfinished runs."""
    found = _of_sweep(records, parent) if parent else _of_runs(records)
    return sorted(found, key=lambda one: KINDS.index(one.kind))


def missing_cells_by_place(missing: Sequence[MissingCell], grid: Grid) -> dict[tuple[str, str], str]:
    """Return why each empty place of a grid is empty: the kind of its first missing cell, such as "failed"."""
    found: dict[tuple[str, str], str] = {}
    for row, column in itertools.product(grid.rows, grid.columns):
        wanted = {f"{grid.axes[0]}={row}", f"{grid.axes[1]}={column}"}
        kinds = [cell.kind for cell in missing if wanted <= {word.lstrip("+") for word in cell.cell.split()}]
        if kinds and (row, column) not in grid.cells:
            found[row, column] = kinds[0]
    return found


def sweep_axes(parent: RunRecord | None) -> Axes:
    """Return the axes of a sweep, in the order of its command."""
    given = json.loads(parent.tags.get("axes", "{}")) if parent else {}
    return {axis: [str(value) for value in values] for axis, values in given.items()}


def missing_cell_command(command: str, overrides: str) -> str:
    """Make the command of one cell from the command of its sweep.

    >>> missing_cell_command("python -m dfx.train -m model=lcnn,mlp seed=0,1 patience=3", "model=mlp seed=1")
    'python -m dfx.train patience=3 model=mlp seed=1'
    """
    axes = {override.partition("=")[0].lstrip("+") for override in shlex.split(overrides)}
    words = shlex.split(command)
    kept = [
        word
        for word, following in itertools.zip_longest(words, words[1:])
        if word != "--multirun"
        and not (word == "-m" and following != "dfx.train")  # Hydra's, not Python's
        and word.partition("=")[0].lstrip("+") not in axes
    ]
    return f"{shlex.join(kept)} {overrides}" if kept else ""


def _of_sweep(records: Sequence[RunRecord], parent: RunRecord) -> list[MissingCell]:
    by_cell: dict[frozenset[str], list[RunRecord]] = {}
    for run in records:
        overrides = shlex.split(run.tags.get(cell_position_tag(parent.run_id), ""))
        by_cell.setdefault(frozenset(overrides), []).append(run)
    axes = sweep_axes(parent)
    wanted = [sorted(cell) for cell in by_cell if cell]  # if a sweeper draws values, only the drawn ones
    if axes and not randomly_drawn_keys(axes):
        grid = itertools.product(*axes.values())
        wanted = [[f"{axis}={value}" for axis, value in zip(axes, values, strict=True)] for values in grid]
    found = []
    for overrides in wanted:
        runs = by_cell.get(frozenset(overrides), [])
        if any(run.status == "FINISHED" for run in runs):
            continue
        cell = shlex.join(overrides)
        command = missing_cell_command(parent.tags.get("command", ""), cell)
        found.append(MissingCell.of_run(runs[0], cell, command) if runs else MissingCell(cell, "missing", "", command))
    return found


def _of_runs(records: Sequence[RunRecord]) -> list[MissingCell]:
    runs = [run for run in records if is_grid_run(run)]
    done = {_identity(run) for run in runs if run.status == "FINISHED"}
    unfinished = {_identity(run): run for run in reversed(runs) if _identity(run) not in done}
    return [MissingCell.of_run(run, run.name) for run in unfinished.values()]


def _identity(run: RunRecord) -> str:
    return run.tags.get("config_hash", run.run_id)
