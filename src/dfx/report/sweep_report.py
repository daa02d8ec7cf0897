"""Contents of a sweep report: runs, grid, measurements, missing cells and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from dfx.report.measured_grid import AS_GOOD, BETTER, CHOSEN, MeasuredGrid, measure_grid
from dfx.reporting import grid, metric_names, missing_cells
from dfx.reporting.document import document_file_name
from dfx.reporting.document_parts import counted, listed
from dfx.reporting.grid import Grid, GridCell
from dfx.reporting.missing_cells import MissingCell
from dfx.tracking import audits, runs
from dfx.tracking.runs import RunRecord

ROOT = Path("mlruns") / "reports"
UP = "▲"  # significantly better on eval than the cell that dev chose


@dataclass(frozen=True)
class SweepReport:
    """Contents of a sweep report.

    Attributes:
        about: origin of the runs.
        to_beat: result of a model that never listens (`dfx.audit`), by column.
        command: runs everything that is missing; empty where it is not known.
        notes: sentences that a reader must know.
        folder: folder where it is written by default.
        parent: parent run of the sweep; None if the report is not about a sweep.
        cache: folder for artifacts that are fetched; the default one if None.
    """

    title: str
    about: str
    grid: Grid
    measured: MeasuredGrid
    missing: Sequence[MissingCell]
    to_beat: Mapping[str, dict[str, Any]]
    command: str
    notes: list[str]
    folder: Path
    parent: RunRecord | None
    cache: str | None

    @property
    def split(self) -> str:
        """Split in the metric name: `eval` for `eval/eer`."""
        return self.measured.metric.partition("/")[0]

    @property
    def lead(self) -> str:
        """Main result in one sentence: the best cell on dev and its metric.

        If runs have different trials, it is about the first list of trials.
        """
        measured = self.measured.cells
        chosen = [one for one in measured.values() if one.mark == CHOSEN]
        ranked = [measured[cell.row, cell.column] for cell in self.ranked]
        if not ranked:
            return "No run has an EER on dev, so none can be chosen."
        several = [one for one in ranked if one.seeds > 1]  # the rule of `measured_grid`, also without a test
        best, metric = (chosen or several or ranked)[0], self.measured.metric
        unit = " %" if metric_names.find_metric(metric).percent else ""
        bounds = f" {best.bounds(metric)}" if best.interval else ""
        marks = [one.mark for one in measured.values()]
        equals, better = marks.count(AS_GOOD), marks.count(BETTER)
        rest = f" Significantly better on eval, but not the choice of dev: {better} ({UP})." if better else ""
        if chosen and len(measured) > len(chosen) + better:
            verb = "is" if equals == 1 else "are"
            rest += (
                f" {counted(equals, 'other cell')} {verb} not significantly worse."
                if equals
                else " All others that were tested are significantly worse."
            )
        return (
            f"Dev chooses {best.cell.name}: {metric_names.metric_title(metric)} {best.cell.text(metric)}{unit}{bounds} "
            f"over {counted(best.seeds, 'seed')}, EER on dev {100 * best.cell.mean('dev/eer'):.2f} %.{rest}"
        )

    @property
    def ranked(self) -> list[GridCell]:
        """Cells sorted by their mean EER on dev, lowest first; cells without the metric are left out."""
        return [cell for cell in self.grid.by_dev() if (cell.row, cell.column) in self.measured.cells]

    @property
    def commands(self) -> list[str]:
        """Commands that run the missing, failed or interrupted cells: all together, then one by one."""
        single = [cell.command for cell in self.missing if cell.command]
        return [self.command, *single] if self.command and single else single


def collect_sweep_report(cfg: DictConfig) -> SweepReport:
    """Collect the contents of the report on the runs of a sweep, of an experiment, or of a search.

    Without any of them, it is about the latest sweep.

    Raises:
        ValueError: if there is nothing to report, or an axis or the metric is not known.
    """
    experiment, query, axes = cfg.experiment_name, cfg.query, (cfg.rows, cfg.columns)
    parent = _parent(cfg.sweep, experiment, query)
    records = runs.find_runs(experiment, parent.run_id if parent else None, query or "")
    made = grid.grid_of_runs(records, *axes, missing_cells.sweep_axes(parent))
    missing = missing_cells.find_missing_cells(records, parent) if not (parent and query) else []
    made.why_empty.update(missing_cells.missing_cells_by_place(missing, made))
    measured = measure_grid(made, cfg.metric, cfg.resamples, cfg.cache)
    name = parent.name if parent else experiment or "all experiments"
    return SweepReport(
        title=f"{' × '.join(axis.rpartition('.')[2] for axis in axes)} · {name}",
        about=_about(parent, experiment, query, records, made),
        grid=made,
        measured=measured,
        missing=missing,
        to_beat=_to_beat(made, cfg.cache),
        command=parent.tags.get("command", "") if parent else "",
        notes=[*_seeds(measured), *made.notes, *measured.notes],
        folder=ROOT / document_file_name(f"{name}-{parent.run_id[:8]}" if parent else name),
        parent=parent,
        cache=cfg.cache,
    )


def _parent(sweep: str | None, experiment: str | None, query: str | None) -> RunRecord | None:
    if sweep not in (None, "latest"):
        return runs.get_run(str(sweep))
    if sweep is None and (experiment or query):
        return None
    known = runs.find_sweep_runs(experiment)
    if not known:
        raise ValueError(
            "There is no sweep to report, got none in MLflow: run dfx.train -m first, or name the runs with "
            "experiment_name=NAME or query=FILTER."
        )
    return known[0]


def _to_beat(made: Grid, cache: str | None) -> dict[str, dict[str, Any]]:
    """Look up the audit result of the corpus of each column of the grid."""
    found = {}
    for column in made.columns:
        cells = [cell for (_, name), cell in made.cells.items() if name == column]
        hashes = {run.tags.get("manifest_hash", "") for cell in cells for run in cell.runs}
        known = audits.latest_audited_auc(hashes.pop(), cache) if len(hashes) == 1 else None
        if known:
            found[column] = known
    return found


def _about(
    parent: RunRecord | None,
    experiment: str | None,
    query: str | None,
    records: Sequence[RunRecord],
    made: Grid,
) -> str:
    taken = sum(len(cell.runs) for cell in made.cells.values())
    where = f"experiment {experiment}" if experiment else "all experiments"
    where = f"sweep {parent.run_id}" if parent else where
    found = counted(sum(map(grid.is_grid_run, records)), "run")
    return (
        f"{counted(taken, 'run')} in {counted(len(made.cells), 'cell')}, of {found} found "
        f"({where}{f', {query}' if query else ''})."
    )


def _seeds(measured: MeasuredGrid) -> list[str]:
    alone = [one.cell.name for one in measured.cells.values() if one.seeds == 1]
    fewer = [one.cell.name for one in measured.cells.values() if 1 < one.seeds < measured.most_seeds]
    notes = []
    if alone:
        notes.append(
            f"One seed is not a result: {listed(alone)} {'has' if len(alone) == 1 else 'have'} one. The same "
            "detector differs by points from seed to seed, and no test here knows of that; run seed=0,1,2 at least."
        )
    if fewer:
        notes.append(f"Fewer than {measured.most_seeds} seeds: {listed(fewer)}.")
    return notes
