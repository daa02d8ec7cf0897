"""Summary at the end of a sweep: table of error rates, number of cells, and cells without a result."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dfx.console import plain_console
from dfx.reporting import grid, metric_names
from dfx.reporting.document import Document
from dfx.reporting.document_parts import DocumentCode, DocumentHeading, DocumentPart, DocumentText, counted
from dfx.reporting.grid import SEED, Axes, Grid, GridCell
from dfx.reporting.missing_cells import MissingCell
from dfx.tracking.cells import cell_position_tag
from dfx.tracking.run import log_run_files
from dfx.tracking.runs import RunRecord

MOST_LISTED = 20
HEADLINE = ("dev/eer", "eval/eer", "eval/auc")  # of the best cell, logged with the parent run


@dataclass(frozen=True)
class SweepSummary:
    """Summary of a sweep for MLflow.

    Attributes:
        complete: whether every cell has a result or cannot have one.
        metrics: headline metrics of the best cell on dev, and numbers of cells.
        parts: the page.
    """

    complete: bool
    metrics: dict[str, float]
    parts: list[DocumentPart]

    @property
    def description(self) -> str:
        """The page in Markdown, as description of the parent run."""
        return "\n\n".join(part.markdown() for part in self.parts)

    def log_page(self, parent: str) -> None:
        """Log the page as an artifact of the parent run."""
        with tempfile.TemporaryDirectory() as folder:
            page = Document("sweep", "Summary of the sweep", self.parts)
            log_run_files(parent, page.write(Path(folder)), "summary")


def show_sweep_summary(
    parent: str, axes: Axes, num_cells: int | None, began_ms: int, found: Sequence[RunRecord]
) -> SweepSummary:
    """Print the results table of a sweep, the number of cells, and why cells have no result.

    Args:
        parent: run id of the sweep.
        axes: values of each key.
        num_cells: cells of the grid; None if not known.
        began_ms: when the sweep was started this time.
        found: its runs, one for each cell; a cell that failed now and has a result from before has two.
    """
    console = plain_console()
    tag = cell_position_tag(parent)
    finished = [run for run in found if run.status == "FINISHED"]
    done = {run.tags[tag] for run in finished}
    # A run in progress in another process does not replace an existing result.
    rest = [run for run in found if run not in finished and not (run.tags[tag] in done and run.status == "RUNNING")]
    cells = [MissingCell.of_run(run, run.tags[tag] or run.name) for run in rest]
    skipped = [cell for cell in cells if cell.kind == "skipped"]
    failed = [cell for cell in cells if cell.kind != "skipped"]
    missing = max(0, (num_cells or 0) - len({run.tags[tag] for run in found}))
    made = grid.grid_of_sweep([*finished, *rest], parent, axes)
    tables = [made.table(f"{split}/eer", len(axes.get(SEED, [""]))) for split in ("dev", "eval")]
    for table in tables:
        console.print()
        table.show(console)
    now = sum((run.end_ms or 0) >= began_ms for run in finished)
    counts = [(len(finished) - now, "finished before"), (now, "finished now"), (len(failed), "failed")]
    counts += [(len(skipped), "skipped")] + ([(missing, "without a run")] if missing else [])
    console.print(", ".join(f"{number} {word}" for number, word in counts))
    for cell in skipped:
        console.print(f"skipped  {cell.cell}: {cell.reason}", style="yellow", soft_wrap=True)
    for cell in failed[:MOST_LISTED]:
        console.print(f"failed   {cell.cell}: {_reason(cell)}", style="red", soft_wrap=True)
        console.print(f"         {cell.command}", soft_wrap=True)
    if len(failed) > MOST_LISTED:
        console.print(f"         and {len(failed) - MOST_LISTED} more")
    if failed or missing:
        console.print("The same command tries the cells without a result again.")
    console.print(f"report   python -m dfx.report sweep={parent}", soft_wrap=True)
    best = made.best_on_dev()
    number = {"finished": len(finished), "failed": len(failed), "skipped": len(skipped), "without a run": missing}
    parts: list[DocumentPart] = [DocumentText(_lead(best, made.axes[1], number)), *tables]
    if cells:
        reasons = "\n".join(f"{cell.kind} {cell.cell}: {_reason(cell)}" for cell in [*failed, *skipped][:MOST_LISTED])
        parts += [DocumentHeading("Cells without a result"), DocumentCode(reasons)]
    parts += [DocumentHeading("Search field of the list of runs: the cells of this sweep, and the good ones")]
    query = f"tags.\"{tag}\" LIKE '%'"
    parts += [DocumentCode(f'{query}\n{query} and metrics."dev/eer" <= {_good(made)}')]
    parts += [DocumentHeading("Report with tests and figures"), DocumentCode(f"python -m dfx.report sweep={parent}")]
    metrics = {"cells/done": float(len(finished)), "cells/failed": float(len(failed))}
    metrics |= {key: best.mean(key) for key in HEADLINE if best.values(key).size} if best else {}
    return SweepSummary(not failed and not missing, metrics, parts)


def _reason(cell: MissingCell) -> str:
    return cell.reason or "No reason was recorded; repeat the command."


def _lead(best: GridCell | None, columns: str, number: dict[str, int]) -> str:
    """Say which cell is the best one on dev, and how many cells there are."""
    counts = ", ".join(f"{count} {word}" for word, count in number.items() if count or word == "failed")
    if best is None:
        return f"Cells: {counts}."
    known = [key for key in ("dev/eer", "eval/eer") if best.values(key).size]
    rates = ", ".join(f"{metric_names.metric_title(key)} {best.text(key)} %" for key in known)
    name = best.name if columns else best.row
    return f"Best cell on dev: {name}, {rates} ({counted(len(best.runs), 'seed')}). Cells: {counts}."


def _good(made: Grid) -> float:
    """Return a good EER as an example for a filter: the median on dev over the cells, rounded up."""
    ranked = made.by_dev()
    return math.ceil(100 * ranked[len(ranked) // 2].mean("dev/eer")) / 100 if ranked else 0.1
