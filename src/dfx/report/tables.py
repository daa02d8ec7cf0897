"""The tables of a report, as text; Markdown, HTML and the terminal show the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from dfx.report import wording
from dfx.report.collect import Grid
from dfx.report.gaps import Gap
from dfx.report.measure import AS_GOOD, BETTER, CHOSEN, LEVEL, Measured, Measures, higher_is_better
from dfx.reporting.document import Table

STAR, UP = "★", "▲"
SIGNS = {CHOSEN: f" {STAR}", BETTER: f" {UP}"}
MOST_CELLS = 60  # in the list of cells; the CSV has all
SEEN, UNSEEN = "eer_seen", "eer_unseen"


def main(
    grid: Grid, measures: Measures, gaps: Sequence[Gap], beat: dict[str, dict[str, Any]], brief: bool = False
) -> Table:
    """The table: mean ± deviation over seeds, interval and number of seeds in each cell.

    Args:
        grid: the cells.
        measures: their numbers.
        gaps: what stands in cells that have no result.
        beat: what a model that never listens reaches, by column.
        brief: leave out the intervals.
    """
    rows = []
    for row in grid.rows:
        cells = [
            cell_text(measures, row, column, brief) or why(gaps, grid, row, column) for column in grid.columns
        ]
        rows.append([row, *cells])
    name = measures.metric.partition("/")[2]
    if any(to_beat(beat.get(column), name) for column in grid.columns):
        rows.append(["has to beat this", *(to_beat(beat.get(column), name) for column in grid.columns)])
    head = [f"{grid.axes[0]} \\ {grid.axes[1]}", *grid.columns]
    return Table(wording.title(measures.metric), head, rows, caption(measures, beat, brief))


def cell_text(measures: Measures, row: str, column: str, brief: bool = False) -> str:
    """`12.34 ± 1.20 ★ [10.91, 14.02] 2 seeds`, the seeds where others have more; empty without a result."""
    one, metric = measures.cells.get((row, column)), measures.metric
    if one is None:
        return ""
    text = wording.spread(one.mean, one.deviation, metric) + SIGNS.get(one.mark, "")
    parts = [text, "" if brief else wording.interval(one.interval, metric)]
    fewer = fewer_seeds(one, measures)
    parts.append(f"({fewer})" if fewer and brief else fewer)
    return " ".join(part for part in parts if part)


def fewer_seeds(one: Measured, measures: Measures) -> str:
    """`2 seeds` where other cells have more; else nothing."""
    most = max(other.seeds for other in measures.cells.values())
    return count(one.seeds, "seed") if one.seeds < most else ""


def why(gaps: Sequence[Gap], grid: Grid, row: str, column: str) -> str:
    """What became of a cell that has no result: `failed`, `skipped` …, or a dash."""
    wanted = {f"{grid.axes[0]}={row}", f"{grid.axes[1]}={column}"}
    kinds = [gap.kind for gap in gaps if wanted <= set(gap.cell.split())]
    return kinds[0] if kinds else "–"


def to_beat(found: dict[str, Any] | None, name: str) -> str:
    """What the audit found for a metric, `21.40` or `0.8123 [0.7710, 0.8502]`; empty where it says nothing of it."""
    if found is None or name not in ("eer", "auc") or found.get(name) is None:
        return ""
    if name == "eer":
        return f"{100 * found['eer']:.2f}"
    return f"{found['auc']:.4f} [{found['low']:.4f}, {found['high']:.4f}]"


def caption(measures: Measures, beat: dict[str, dict[str, Any]], brief: bool = False) -> str:
    """How to read the table."""
    numbers = sorted({one.seeds for one in measures.cells.values()})
    seeds = count(numbers[-1], "seed") + (" where no other number stands" if len(numbers) > 1 else "")
    words = [f"{wording.title(measures.metric)}, mean ± sample deviation over {seeds}"]
    tested = sum(one.difference is not None for one in measures.cells.values())
    if not brief and any(one.interval for one in measures.cells.values()):
        drawn = f"{measures.cluster}s" if measures.cluster else "trials"
        words[0] += (
            f"; in brackets its 95 % interval, by resampling {drawn} ({measures.resamples:,} times, the seeds as they "
            "are): what other trials of the same kind would have given"
        )
    if tested:
        alone = ", of the cells with several seeds" if numbers[0] == 1 < numbers[-1] else ""
        words.append(
            f"{STAR} chosen on dev: the lowest mean EER there{alone}. Eval measures this choice and takes no part in it"
        )
        words.append(
            f"Bold: not significantly worse than {STAR} (paired bootstrap on the same trials, Holm over "
            f"{count(tested, 'comparison')}, level {100 * LEVEL:g} %)"
        )
        if any(one.mark == BETTER for one in measures.cells.values()):
            words.append(
                f"{UP} significantly better than {STAR} on eval, and still not the choice: whoever chooses on eval has "
                "nothing left to measure with"
            )
    elif measures.resamples:
        words.append("Nothing is marked: no two cells judged the same trials")
    else:
        words.append("Nothing is marked: intervals and tests are of the EER, from score files")
    names = {found["name"] for found in beat.values() if found.get("name")}
    if names:
        words.append(f"Has to beat this: {', '.join(sorted(names))}, a model that never listens (dfx.audit)")
    return ". ".join(words) + "."


def seen_unseen(grid: Grid, split: str) -> Table | None:
    """EER of attacks that training had and of those it had not; None where no run knows both."""
    names = (f"{split}/{SEEN}", f"{split}/{UNSEEN}")
    rows, found = [], False
    for row in grid.rows:
        cells = []
        for column in grid.columns:
            cell = grid.cells.get((row, column))
            known = cell and all(cell.values(name).size for name in names)
            found |= bool(known)
            cells.append(
                " / ".join(wording.spread(cell.mean(n), cell.deviation(n), n) for n in names)
                if cell and known
                else "–"
            )
        rows.append([row, *cells])
    note = (
        "Attacks that the training split has / attacks that it has not, each against all bona fide trials: mean ± "
        "sample deviation over seeds. The second number is what to expect of a generator nobody has seen."
    )
    head = [f"{grid.axes[0]} \\ {grid.axes[1]}", *grid.columns]
    return Table(f"EER on {split}, seen / unseen attacks (%)", head, rows, note) if found else None


def listed(grid: Grid, measures: Measures) -> Table:
    """All cells, the best on dev first, with what they cost and how they differ from the chosen one."""
    metric = measures.metric
    costs = [name for name in wording.COSTS if any(cell.values(name).size for cell in grid.cells.values())]
    has_test = any(one.difference for one in measures.cells.values())
    head = [grid.axes[0], grid.axes[1], "seeds", "EER on dev (%)", wording.title(metric), "95 %"]
    head += ["difference", "95 % of it", "p (Holm)", ""] if has_test else []
    head += [wording.COSTS[name].split(" of ")[0].replace("latency", "latency (ms)") for name in costs]
    shown = sorted(measures.cells.values(), key=lambda one: _last_if_nan(one.cell.mean("dev/eer")))
    rows = []
    for one in shown[:MOST_CELLS]:
        cell = one.cell
        row = [cell.row, cell.column, str(one.seeds)]
        row.append(wording.spread(cell.mean("dev/eer"), cell.deviation("dev/eer"), "dev/eer"))
        row += [wording.spread(one.mean, one.deviation, metric), wording.interval(one.interval, metric)]
        if has_test:
            row += _test(one, metric)
        rows.append([*row, *(_cost(cell.mean(name)) for name in costs)])
    note = (
        f"The best on dev first. Difference: to {STAR}, on the same trials; above 0 is worse."
        if has_test
        else ""
    )
    if len(shown) > MOST_CELLS:
        note += f" {len(shown) - MOST_CELLS} more cells are in cells.csv."
    words = (grid.axes[1], "")
    return Table("All cells", head, rows, note.strip(), words)


def missing(gaps: Sequence[Gap], most: int = 40) -> Table | None:
    """Cells without a result and why; None where there are none."""
    if not gaps:
        return None
    counts = Counter(gap.kind for gap in gaps)
    rows = [[gap.cell, gap.kind, gap.sentence] for gap in gaps[:most]]
    note = ", ".join(f"{number} {kind}" for kind, number in counts.items()) + "."
    if len(gaps) > most:
        note += f" The first {most} are shown; commands.txt has all."
    return Table("Without a result", ["cell", "", "why"], rows, note, ("", "why"))


def bold(one: Measured | None) -> bool:
    """Whether a cell is set in bold: the choice, and what is not significantly worse."""
    return one is not None and one.mark in (CHOSEN, AS_GOOD, BETTER)


def direction(metric: str) -> str:
    """Which way is better, in words."""
    return "higher is better" if higher_is_better(metric) else "lower is better"


def count(number: int, word: str) -> str:
    """A number with its noun: `1 seed`, `3 seeds`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _test(one: Measured, metric: str) -> list[str]:
    if one.difference is None:
        return ["", "", "", f"{STAR} chosen on dev" if one.mark == CHOSEN else ""]
    gap, p_value = one.difference, one.p_value or 0.0
    value = ("+" if gap.value > 0 else "") + wording.number(gap.value, metric)
    bounds = f"[{wording.number(gap.low, metric)}, {wording.number(gap.high, metric)}]"
    return [value, bounds, f"{p_value:.3f}" if p_value >= 0.001 else "< .001", one.mark]


def _cost(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _last_if_nan(value: float) -> float:
    return float("inf") if np.isnan(value) else value
