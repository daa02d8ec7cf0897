"""Summary at the end of a sweep: table of error rates, number of cells, and cells without a result."""

from __future__ import annotations

from collections.abc import Sequence

from dfx.console import plain_console
from dfx.reporting import grid
from dfx.reporting.grid import SEED, Axes
from dfx.reporting.missing_cells import MissingCell
from dfx.tracking.cells import cell_position_tag
from dfx.tracking.runs import RunRecord

MOST_LISTED = 20


def show_sweep_summary(
    parent: str, axes: Axes, num_cells: int | None, began_ms: int, found: Sequence[RunRecord]
) -> bool:
    """Print the results table of a sweep, the number of cells, and why cells have no result.

    Args:
        parent: run id of the sweep.
        axes: values of each key.
        num_cells: cells of the grid; None if not known.
        began_ms: when the sweep was started this time.
        found: its runs, one for each cell; a cell that failed now and has a result from before has two.

    Returns:
        Whether every cell has a result or cannot have one.
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
    for split in ("dev", "eval"):
        console.print()
        made.table(f"{split}/eer", len(axes.get(SEED, [""]))).show(console)
    now = sum((run.end_ms or 0) >= began_ms for run in finished)
    counts = [(len(finished) - now, "finished before"), (now, "finished now"), (len(failed), "failed")]
    counts += [(len(skipped), "skipped")] + ([(missing, "without a run")] if missing else [])
    console.print(", ".join(f"{number} {word}" for number, word in counts))
    for cell in skipped:
        console.print(f"skipped  {cell.cell}: {cell.reason}", style="yellow", soft_wrap=True)
    for cell in failed[:MOST_LISTED]:
        reason = cell.reason or "No reason was recorded; repeat the command."
        console.print(f"failed   {cell.cell}: {reason}", style="red", soft_wrap=True)
        console.print(f"         {cell.command}", soft_wrap=True)
    if len(failed) > MOST_LISTED:
        console.print(f"         and {len(failed) - MOST_LISTED} more")
    if failed or missing:
        console.print("The same command tries the cells without a result again.")
    console.print(f"report   python -m dfx.report sweep={parent}", soft_wrap=True)
    return not failed and not missing
