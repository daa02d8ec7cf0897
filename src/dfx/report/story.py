"""From runs to a report: which runs, their table, what is missing, what a reader must know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfx.report import collect, gaps, measure, tables, wording
from dfx.report.collect import Grid
from dfx.report.measure import Measures
from dfx.report.page import Report
from dfx.reporting.document import file_name
from dfx.tracking import audits, runs
from dfx.tracking.runs import RunRecord

ROOT = Path("mlruns") / "reports"


@dataclass(frozen=True)
class Told:
    """A report, where it goes by default, and the sweep that it is of."""

    report: Report
    folder: Path
    parent: RunRecord | None


def tell(
    sweep: str | None,
    experiment: str | None,
    query: str | None,
    axes: tuple[str, str],
    metric: str,
    resamples: int | None,
    cache: str | None = None,
) -> Told:
    """The report of a sweep, an experiment or a filter; of the latest sweep where nothing is named.

    Args:
        sweep: run id of a sweep's parent, or "latest".
        experiment: name.
        query: MLflow's filter.
        axes: tag or parameter of the rows, and of the columns.
        metric: `eval/eer`.
        resamples: of the bootstraps.
        cache: folder of the audits.

    Raises:
        ValueError: if there is nothing to report, or an axis or the metric is not known.
    """
    parent = _parent(sweep, experiment, query)
    records = runs.find(experiment, parent.run_id if parent else None, query or "")
    grid = collect.grid(records, *axes, gaps.axes(parent))
    measures = measure.measure(grid, metric, resamples)
    missing = gaps.find(records, parent) if not (parent and query) else []
    beat = _to_beat(grid, cache)
    place = parent.name if parent else experiment or "all experiments"
    about = [_about(parent, experiment, query, records, grid)]
    notes = [*_seeds(measures), *grid.notes, *measures.notes]
    again = parent.tags.get("command", "") if parent else ""
    title = f"{_titled(axes)} · {place}"
    folder = ROOT / file_name(f"{place}-{parent.run_id[:8]}" if parent else place)
    return Told(Report(title, about, grid, measures, missing, beat, again, notes), folder, parent)


def _parent(sweep: str | None, experiment: str | None, query: str | None) -> RunRecord | None:
    if sweep not in (None, "latest"):
        return runs.get(str(sweep))
    if sweep is None and (experiment or query):
        return None
    known = runs.sweeps(experiment)
    if not known:
        raise ValueError(
            "There is no sweep to report, got none in MLflow: run dfx.train -m first, or name the runs with "
            "experiment_name=NAME or query=FILTER."
        )
    return known[0]


def _to_beat(grid: Grid, cache: str | None) -> dict[str, dict[str, Any]]:
    """What the audit of the corpus of a column found, where all its runs have the same corpus and it was audited."""
    found = {}
    for column in grid.columns:
        cells = [cell for (_, name), cell in grid.cells.items() if name == column]
        hashes = {run.tags.get("manifest_hash", "") for cell in cells for run in cell.runs}
        known = audits.latest(hashes.pop(), cache) if len(hashes) == 1 else None
        if known:
            found[column] = known
    return found


def _about(
    parent: RunRecord | None,
    experiment: str | None,
    query: str | None,
    records: Sequence[RunRecord],
    grid: Grid,
) -> str:
    taken = sum(len(cell.runs) for cell in grid.cells.values())
    where = (
        f"sweep {parent.run_id}"
        if parent
        else f"experiment {experiment}"
        if experiment
        else "all experiments"
    )
    chosen = f", {query}" if query else ""
    found = sum(collect.is_cell(run) for run in records)
    return (
        f"{tables.count(taken, 'run')} in {tables.count(len(grid.cells), 'cell')}, of "
        f"{tables.count(found, 'run')} found ({where}{chosen})."
    )


def _seeds(measures: Measures) -> list[str]:
    """That one seed is no result, and which cells have fewer than others."""
    alone = [one.cell.name for one in measures.cells.values() if one.seeds == 1]
    most = max(one.seeds for one in measures.cells.values())
    fewer = [one.cell.name for one in measures.cells.values() if 1 < one.seeds < most]
    notes = []
    if alone:
        notes.append(
            f"One seed is not a result: {wording.some(alone)} {'has' if len(alone) == 1 else 'have'} one. The same "
            "detector differs by points from seed to seed, and no test here knows of that; run seed=0,1,2 at least."
        )
    if fewer:
        notes.append(f"Fewer than {most} seeds: {wording.some(fewer)}.")
    return notes


def _titled(axes: tuple[str, str]) -> str:
    return " × ".join(axis.rpartition(".")[2] for axis in axes)
