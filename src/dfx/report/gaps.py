"""What is missing from a table: cells that failed, were skipped or never ran, each with what to type."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from dfx.report.collect import is_cell
from dfx.tracking.runs import RunRecord

ORDER = ("failed", "missing", "interrupted", "running", "skipped")


@dataclass(frozen=True)
class Gap:
    """A cell without a result.

    Attributes:
        cell: its overrides, `feature=lfcc model=lcnn seed=0`, or the name of its run.
        kind: failed, missing, interrupted, running, or skipped because the pair cannot work.
        sentence: why, where it is known.
        command: what to type; empty where nobody can say, and for cells that are skipped.
    """

    cell: str
    kind: str
    sentence: str
    command: str


def find(records: Sequence[RunRecord], parent: RunRecord | None) -> list[Gap]:
    """Cells without a finished run: those of a sweep by its axes, or else the runs that have no finished twin."""
    gaps = _of_sweep(records, parent) if parent else _of_runs(records)
    return sorted(gaps, key=lambda gap: ORDER.index(gap.kind))


def axes(parent: RunRecord | None) -> dict[str, list[str]]:
    """The axes of a sweep, in the order that was typed."""
    given = json.loads(parent.tags.get("axes", "{}")) if parent else {}
    return {axis: [str(value) for value in values] for axis, values in given.items()}


def single(command: str, overrides: str) -> str:
    """The command of one cell, from the command of its sweep.

    >>> single("python -m dfx.train -m model=lcnn,mlp seed=0,1 patience=3", "model=mlp seed=1")
    'python -m dfx.train patience=3 model=mlp seed=1'
    """
    axes = {override.partition("=")[0] for override in shlex.split(overrides)}
    words = shlex.split(command)
    kept = [
        word
        for word, following in itertools.zip_longest(words, words[1:])
        if word != "--multirun"
        and not (word == "-m" and following != "dfx.train")  # Hydra's, not Python's
        and word.partition("=")[0].lstrip("+") not in axes
    ]
    return f"{shlex.join(kept)} {overrides}" if kept else ""


def _of_sweep(records: Sequence[RunRecord], parent: RunRecord) -> list[Gap]:
    tag = f"sweep.{parent.run_id}"
    by_cell: dict[frozenset[str], list[RunRecord]] = {}
    for run in records:
        by_cell.setdefault(frozenset(shlex.split(run.tags.get(tag, ""))), []).append(run)
    typed = axes(parent)
    gaps = []
    for values in itertools.product(*typed.values()) if typed else ():
        overrides = [f"{axis}={value}" for axis, value in zip(typed, values, strict=True)]
        runs = by_cell.get(frozenset(overrides), [])
        if any(run.status == "FINISHED" for run in runs):
            continue
        cell = shlex.join(overrides)
        command = single(parent.tags.get("command", ""), cell)
        gaps.append(_gap(runs[0], cell, command) if runs else Gap(cell, "missing", "", command))
    return gaps


def _of_runs(records: Sequence[RunRecord]) -> list[Gap]:
    runs = [run for run in records if is_cell(run)]
    done = {_identity(run) for run in runs if run.status == "FINISHED"}
    unfinished = {_identity(run): run for run in reversed(runs) if _identity(run) not in done}
    return [_gap(run, run.name, "") for run in unfinished.values()]


def _identity(run: RunRecord) -> str:
    return run.tags.get("config_hash", run.run_id)


def _gap(run: RunRecord, cell: str, command: str) -> Gap:
    if "skipped" in run.tags:
        return Gap(cell, "skipped", run.tags["skipped"], "")
    kind = {"RUNNING": "running", "SCHEDULED": "running", "KILLED": "interrupted"}.get(run.status, "failed")
    why = run.tags.get("error", "")
    if kind == "running":
        why = "It runs, or was killed before it could say so: its command goes on with it, or waits."
    return Gap(cell, kind, why, run.tags.get("command") or command)
