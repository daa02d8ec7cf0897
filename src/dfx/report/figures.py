"""The pictures of a report; each shows what can be read, and says how much it leaves out."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from dfx.metrics import attack_name
from dfx.report import tables, wording
from dfx.report.collect import Cell, Grid
from dfx.report.gaps import Gap
from dfx.report.measure import Measures, higher_is_better
from dfx.reporting import figures as plots
from dfx.tracking import runs
from dfx.tracking.runs import RunRecord

MOST_DET = 6
MOST_CURVES = 6
MOST_ATTACKS = 30
MOST_COLUMNS = 16  # cells in the picture of the attacks


def draw(grid: Grid, measures: Measures, gaps: Sequence[Gap]) -> dict[str, Figure]:
    """Each figure by the name of its file, those left out for which there is nothing to draw."""
    ranked = [cell for cell in grid.by_dev("dev/eer") if (cell.row, cell.column) in measures.cells]
    drawn = {
        "table": _table(grid, measures, gaps),
        "det": _det(ranked, measures),
        "attacks": _attacks(ranked, measures),
        "cost": _cost(grid, measures),
        "curves": _curves(ranked),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


NAMES = ("table", "det", "attacks", "cost", "curves")
TITLES = {
    "table": "The table in colours",
    "det": "Detection error trade-off",
    "attacks": "Attack by attack",
    "cost": "Quality against cost",
    "curves": "Learning curves",
}


def _table(grid: Grid, measures: Measures, gaps: Sequence[Gap]) -> Figure:
    metric = measures.metric
    values = np.full((len(grid.rows), len(grid.columns)), np.nan)
    texts, bold, framed = [], [], []
    for i, row in enumerate(grid.rows):
        line = []
        for j, column in enumerate(grid.columns):
            one = measures.cells.get((row, column))
            if one is None:
                line.append(tables.why(gaps, grid, row, column))
                continue
            values[i, j] = one.mean * (100 if wording.is_percent(metric) else 1)
            deviation = "" if math.isnan(one.deviation) else f"\n± {wording.number(one.deviation, metric)}"
            line.append(f"{wording.number(one.mean, metric)}{tables.SIGNS.get(one.mark, '')}{deviation}")
            bold += [(i, j)] if tables.bold(one) else []
            framed += [(i, j)] if tables.SIGNS.get(one.mark, "").strip() == tables.STAR else []
        texts.append(line)
    caption = "Mean ± deviation over seeds."
    if framed:
        caption += " Framed: chosen on dev. Bold: not significantly worse than it."
    label = f"{wording.title(metric)}, {tables.direction(metric)}"
    title = wording.title(metric).replace(" (%)", ", %")
    return plots.heat_map(
        values, grid.rows, grid.columns, texts, label, title, bold=bold, framed=framed, caption=caption
    )


def _det(ranked: Sequence[Cell], measures: Measures) -> Figure | None:
    """One curve a cell: a run that exists, the one whose EER on dev is in the middle."""
    chosen = [(cell, middle(cell)) for cell in ranked]
    known = [(cell, run) for cell, run in chosen if run.run_id in measures.tables]
    if not known:
        return None
    shown = {
        f"{cell.name} (s{run.tags.get('seed', '?')})": measures.tables[run.run_id]
        for cell, run in known[:MOST_DET]
    }
    split = measures.metric.partition("/")[0]
    note = "Of each cell the seed whose EER on dev is the middle one."
    return plots.det(shown, f"Detection error trade-off on {split}", note + _left_out(len(known), MOST_DET))


def middle(cell: Cell) -> RunRecord:
    """The run with the median EER on dev; of an even number, the better one of the two."""
    known = sorted(cell.runs, key=lambda run: run.metrics.get("dev/eer", math.inf))
    return known[(len(known) - 1) // 2]


def _attacks(ranked: Sequence[Cell], measures: Measures) -> Figure | None:
    split = measures.metric.partition("/")[0]
    prefix = f"{split}/eer/"
    cells = ranked[:MOST_COLUMNS]
    keys = sorted(
        {key for cell in cells for run in cell.runs for key in run.metrics if key.startswith(prefix)}
    )
    if len(keys) < 2:
        return None
    sizes = _trials(cells, measures)
    names = {key: attack_name(key.removeprefix(f"{split}/")) for key in keys}
    # An attack of one trial has an EER as any other, and it says nothing.
    largest = sorted(keys, key=lambda key: -sizes.get(names[key], 0))[:MOST_ATTACKS]
    means = {key: [100 * cell.mean(key) for cell in cells] for key in largest}
    hardest = sorted(largest, key=lambda key: -float(np.nanmean(means[key])))
    rows = [f"{names[key]} ({sizes[names[key]]:,})" if names[key] in sizes else names[key] for key in hardest]
    values = np.array([means[key] for key in hardest])
    texts = [[_short(value) for value in line] for line in values]
    caption = "Mean over seeds of each attack against all bona fide trials. In brackets: its trials; few say little."
    few = f"The {MOST_ATTACKS} of {len(keys)} attacks with most trials, the hardest on top."
    note = few if len(keys) > MOST_ATTACKS else ""
    return plots.heat_map(
        values,
        rows,
        [cell.name for cell in cells],
        texts,
        "EER (%)",
        f"EER of each attack on {split}, %",
        note + _left_out(len(ranked), MOST_COLUMNS),
        caption=caption,
    )


def _short(value: float) -> str:
    """Two digits of a percentage."""
    if math.isnan(value):
        return "–"
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


def _trials(cells: Sequence[Cell], measures: Measures) -> dict[str, int]:
    """Trials of each attack, from any score file of the first cell that has one."""
    for cell in cells:
        for run in cell.runs:
            if run.run_id in measures.tables:
                return {name: scores.size for name, scores in measures.tables[run.run_id].attacks().items()}
    return {}


def _cost(grid: Grid, measures: Measures) -> Figure | None:
    scale = 100 if wording.is_percent(measures.metric) else 1
    systems = [
        plots.System(
            one.cell.row,
            one.cell.column,
            scale * one.mean,
            scale * one.deviation,
            {
                words: one.cell.mean(name)
                for name, words in wording.COSTS.items()
                if one.cell.values(name).size
            },
        )
        for row in grid.rows
        for column in grid.columns
        if (one := measures.cells.get((row, column)))
    ]
    if not any(system.costs for system in systems):
        return None
    without = sum(not system.costs for system in systems)
    note = f"{tables.count(without, 'cell')} without costs left out." if without else ""
    return plots.tradeoff(
        systems, wording.title(measures.metric), higher_is_better(measures.metric), note=note
    )


def _curves(ranked: Sequence[Cell]) -> Figure | None:
    curves = {}
    for cell in ranked[:MOST_CURVES]:
        seeds = [epochs for run in cell.runs if (epochs := _epochs(run))]
        if seeds:
            curves[f"{cell.name} ({tables.count(len(seeds), 'seed')})"] = seeds
    if not curves:
        return None
    return plots.learning_curves(
        curves, title="EER on dev after each epoch", note=_left_out(len(ranked), MOST_CURVES).strip()
    )


def _epochs(run: RunRecord) -> list[float]:
    """EER on dev by epoch, in percent, from the artifact or else from MLflow's own curves."""
    path = runs.artifact(run, "history.json")
    if path is not None:
        records = json.loads(path.read_text(encoding="utf-8"))
        return [100 * record["dev/eer"] for record in records if "dev/eer" in record]
    return [100 * value for _, value in runs.history(run.run_id, "epoch/dev/eer")]


def _left_out(number: int, most: int) -> str:
    return f" The best {most} of {number} cells on dev are shown." if number > most else ""
