"""Read the score files of many runs; trials shared by several files are parsed once."""

from __future__ import annotations

import copy
import csv
import math
from collections.abc import Iterable
from pathlib import Path

from dfx.tables.score_table import ScoreTable
from dfx.tracking import runs
from dfx.tracking.runs import RunRecord

Rows = list[list[str]]


def read_run_scores(
    records: Iterable[RunRecord], split: str, cache: str | None = None
) -> tuple[dict[str, ScoreTable], list[str]]:
    """Read the score tables of one split by run id, with an error text for each unusable file."""
    tables: dict[str, ScoreTable] = {}
    problems: list[str] = []
    known: list[tuple[Rows, ScoreTable]] = []
    for run in records:
        path = runs.run_artifact(run, f"scores/{split}.csv", cache)
        if path is None:
            continue
        try:
            tables[run.run_id] = _read(path, known)
        except (ValueError, OSError) as error:
            problems.append(f"{run.name}: {error}")
    return tables, problems


def _read(path: Path, known: list[tuple[Rows, ScoreTable]]) -> ScoreTable:
    """Read a score table; trials that an earlier file has in the same order are not parsed again."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    if not rows or "score" not in rows[0]:
        return ScoreTable.read(path)
    place = rows[0].index("score")
    written = [row.pop(place) if len(row) > place else "" for row in rows]
    for trials, table in known:
        if trials == rows:
            scores = [_number(text) for text in written[1:]]
            if not all(map(math.isfinite, scores)):
                break  # `ScoreTable.read` says which
            alike = copy.copy(table)
            alike.table = table.table.assign(score=scores)
            return alike
    table = ScoreTable.read(path)
    known.append((rows, table))
    return table


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
