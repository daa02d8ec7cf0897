"""What a sweep shows at its end: the grid of error rates over seeds, and what has no result, with its reason."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Sequence
from itertools import product

from rich.console import Console
from rich.table import Table

from dfx.tracking.cells import place_tag
from dfx.tracking.run import TrackedRun
from dfx.tracking.runs import RunRecord

SEED = "seed"  # the axis that is averaged over
MOST_LISTED = 20
Place = dict[str, str]


def line(run: TrackedRun) -> float:
    """Print the result of a cell in a line, as the sweep goes on; returns dev EER, as `results.show` does."""
    rates = ", ".join(f"{split} EER {100 * run.metrics[f'{split}/eer']:.1f} %" for split in ("dev", "eval"))
    before = ", finished before" if run.finished else ""
    Console(highlight=False, markup=False).print(f"{run.name}: {rates}{before}", soft_wrap=True)
    return run.metrics["dev/eer"]


def show(
    parent: str, axes: dict[str, list[str]], num_cells: int | None, began_ms: int, found: Sequence[RunRecord]
) -> bool:
    """Print the table of a sweep, the counts of its cells, and the reasons of those without a result.

    Args:
        parent: run id of the sweep.
        axes: values of each key.
        num_cells: cells of the grid; None where it is not known.
        began_ms: when the sweep was started this time.
        found: its runs (`cells.settle`).

    Returns:
        Whether every cell has a result or cannot have one.
    """
    console = Console(highlight=False, markup=False)
    finished = [run for run in found if run.status == "FINISHED"]
    done = {run.tags[place_tag(parent)] for run in finished}
    rest = [run for run in found if run not in finished]
    # A run that another process has under way takes nothing from the result that is there.
    rest = [run for run in rest if run.tags[place_tag(parent)] not in done or run.status != "RUNNING"]
    skipped = [run for run in rest if "skipped" in run.tags]
    failed = [run for run in rest if run not in skipped]
    missing = max(0, (num_cells or 0) - len({run.tags[place_tag(parent)] for run in found}))
    seeds = len(axes.get(SEED, [""]))
    console.print(f"\nEER, %{f': mean ± deviation over {seeds} seeds' if seeds > 1 else ''}")
    console.print(table(parent, axes, [*finished, *rest]))
    now = sum((run.end_ms or 0) >= began_ms for run in finished)
    counts = [(len(finished) - now, "finished before"), (now, "finished now"), (len(failed), "failed")]
    counts += [(len(skipped), "skipped")] + ([(missing, "without a run")] if missing else [])
    console.print(", ".join(f"{number} {word}" for number, word in counts))
    for run in skipped:
        console.print(
            f"skipped  {_title(run, parent)}: {run.tags['skipped']}", style="yellow", soft_wrap=True
        )
    for run in failed[:MOST_LISTED]:
        reason = run.tags.get("error", f"it is {run.status}: its process died, or another one is at it.")
        console.print(f"failed   {_title(run, parent)}: {reason}", style="red", soft_wrap=True)
        console.print(f"         {run.tags.get('command', '')}", soft_wrap=True)
    if len(failed) > MOST_LISTED:
        console.print(f"         and {len(failed) - MOST_LISTED} more")
    if failed or missing:
        console.print("The same command tries again what has no result yet.")
    console.print(f"report   python -m dfx.report sweep={parent}", soft_wrap=True)
    return not failed and not missing


def table(parent: str, axes: dict[str, list[str]], found: Sequence[RunRecord]) -> Table:
    """EER on dev and eval, in percent: mean ± sample deviation over seeds.

    The first axis gives the rows and the second the columns; further ones are told apart by rows too, the seeds
    averaged. A mean over fewer seeds than the sweep has says how many; a cell without a result says why.
    """
    places = [(_place(run, parent), run) for run in found]
    drawn = _drawn(axes)
    shown = [key for key, values in axes.items() if key != SEED and (len(values) > 1 or key in drawn)]
    across = next((key for key in shown[1:] if key not in drawn), None)
    rows = [key for key in shown if key != across]
    seeds = len(axes.get(SEED, [""]))
    made = Table()
    for key in rows or [""]:
        made.add_column(key, overflow="fold")
    columns = axes[across] if across else ["EER"]
    for column in columns:
        made.add_column(column, justify="right", overflow="fold")
    for split in ("dev", "eval"):
        if rows:
            made.add_row(split, style="bold")
        for values in _rows(rows, axes, places):
            here = dict(zip(rows, values, strict=True))
            cells = []
            for column in columns:
                wanted = {**here, across: column} if across else here
                runs = [run for place, run in places if wanted.items() <= place.items()]
                cells.append(_cell(runs, f"{split}/eer", seeds))
            made.add_row(*(values or [split]), *cells)
        made.add_section()
    return made


def _rows(
    keys: list[str], axes: dict[str, list[str]], places: list[tuple[Place, RunRecord]]
) -> list[tuple[str, ...]]:
    """Values of the rows: of a grid in its order, of drawn values as they were drawn."""
    found = {tuple(place.get(key, "") for key in keys): None for place, _ in places}
    grid = [] if _drawn(axes) & set(keys) else list(product(*(axes[key] for key in keys)))
    return grid + [row for row in reversed(found) if row not in grid]


def _drawn(axes: dict[str, list[str]]) -> set[str]:
    """Keys whose values a sweeper draws, so that the axis names no value."""
    return {key for key, values in axes.items() if values[0].startswith("interval(")}


def _cell(runs: list[RunRecord], key: str, seeds: int) -> str:
    values = [100 * run.metrics[key] for run in runs if run.status == "FINISHED" and key in run.metrics]
    if not values:
        if not runs:
            return ""
        return "skipped" if all("skipped" in run.tags for run in runs) else "failed"
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread}{f' ({len(values)})' if len(values) < seeds else ''}"


def _place(run: RunRecord, parent: str) -> Place:
    words = shlex.split(run.tags[place_tag(parent)])
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def _title(run: RunRecord, parent: str) -> str:
    return run.tags[place_tag(parent)] or run.name
