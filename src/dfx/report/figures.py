"""Figures of a sweep report: heat map, DET curves, EER by attack, costs, learning curves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure

from dfx.metrics import attack_name
from dfx.report import tables
from dfx.report.measured_grid import CHOSEN
from dfx.report.sweep_report import SweepReport
from dfx.reporting import figures as plots
from dfx.reporting import metric_names
from dfx.reporting.document_parts import DocumentPicture, counted
from dfx.reporting.grid import GridCell
from dfx.tracking import runs
from dfx.tracking.runs import RunRecord

MOST_CURVES = 6  # also of the DET curves
MOST_ATTACKS = 30
MOST_COLUMNS = 16  # cells in the picture of the attacks


def draw_report_figures(report: SweepReport) -> list[DocumentPicture]:
    """Draw the figures of a sweep report; figures without data are left out."""
    drawn = [(name, title, make(report)) for name, (title, make) in FIGURES.items()]
    return [DocumentPicture(name, figure, title) for name, title, figure in drawn if figure is not None]


def _table(report: SweepReport) -> Figure:
    grid, metric = report.grid, report.measured.metric
    scale = 100 if metric_names.find_metric(metric).percent else 1
    values = np.full((len(grid.rows), len(grid.columns)), np.nan)
    texts, bold, framed = [], [], []
    for i, row in enumerate(grid.rows):
        line = []
        for j, column in enumerate(grid.columns):
            one = report.measured.cells.get((row, column))
            if one is None:
                line.append(grid.empty(row, column).text)
                continue
            values[i, j] = scale * one.mean
            deviation = "" if math.isnan(one.deviation) else f"\n± {metric_names.metric_number(one.deviation, metric)}"
            line.append(f"{metric_names.metric_number(one.mean, metric)}{tables.SIGNS.get(one.mark, '')}{deviation}")
            bold += [(i, j)] if tables.is_bold_in_table(one) else []
            framed += [(i, j)] if one.mark == CHOSEN else []
        texts.append(line)
    caption = "Mean ± deviation over seeds."
    if framed:
        caption += " Framed: chosen on dev. Bold: not significantly worse than it."
    heading = metric_names.metric_heading(metric)
    label, title = f"{heading}, {metric_names.metric_direction(metric)}", heading.replace(" (%)", ", %")
    return plots.heat_map(
        values, grid.rows, grid.columns, texts, label, title, bold=bold, framed=framed, caption=caption
    )


def _det(report: SweepReport) -> Figure | None:
    """Draw one DET curve for each cell: the curve of its run with the median EER on dev."""
    score_tables = report.measured.tables
    known = [(cell, run) for cell in report.ranked if (run := median_run(cell)).run_id in score_tables]
    if not known:
        return None
    shown = {
        f"{cell.name} (s{run.tags.get('seed', '?')})": score_tables[run.run_id] for cell, run in known[:MOST_CURVES]
    }
    note = "One seed of each cell: the one with the median EER on dev." + _left_out(len(known), MOST_CURVES)
    return plots.det_error_curves(shown, f"Detection error trade-off on {report.split}", note)


def median_run(cell: GridCell) -> RunRecord:
    """Return the run with the median EER on dev; of two in the middle, the better one."""
    known = sorted(cell.runs, key=lambda run: run.metrics.get("dev/eer", math.inf))
    return known[(len(known) - 1) // 2]


def _attacks(report: SweepReport) -> Figure | None:
    prefix = f"{report.split}/eer/"
    cells = report.ranked[:MOST_COLUMNS]
    keys = sorted({key for cell in cells for run in cell.runs for key in run.metrics if key.startswith(prefix)})
    if len(keys) < 2:
        return None
    sizes = _trials(cells, report)
    names = {key: attack_name(key.removeprefix(f"{report.split}/")) for key in keys}
    # An attack with one trial has an EER too, but it says nothing.
    largest = sorted(keys, key=lambda key: -sizes.get(names[key], 0))[:MOST_ATTACKS]
    means = {key: [100 * cell.mean(key) for cell in cells] for key in largest}
    hardest = sorted(largest, key=lambda key: -float(np.nanmean(means[key])))
    rows = [f"{names[key]} ({sizes[names[key]]:,})" if names[key] in sizes else names[key] for key in hardest]
    values = np.array([means[key] for key in hardest])
    few = f"The {MOST_ATTACKS} of {len(keys)} attacks with most trials, the hardest on top."
    return plots.heat_map(
        values,
        rows,
        [cell.name for cell in cells],
        [[_two_digits(value) for value in line] for line in values],
        "EER (%)",
        f"EER of each attack on {report.split}, %",
        (few if len(keys) > MOST_ATTACKS else "") + _left_out(len(report.ranked), MOST_COLUMNS),
        caption="Mean over seeds of each attack against all bona fide trials. In brackets: its trials; few say little.",
    )


def _two_digits(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


def _trials(cells: Sequence[GridCell], report: SweepReport) -> dict[str, int]:
    """Count the trials of each attack in the first score file that is found."""
    known = (report.measured.tables.get(run.run_id) for cell in cells for run in cell.runs)
    table = next((table for table in known if table is not None), None)
    return {name: scores.size for name, scores in table.attacks().items()} if table else {}


def _cost(report: SweepReport) -> Figure | None:
    metric, grid = report.measured.metric, report.grid
    scale = 100 if metric_names.find_metric(metric).percent else 1
    measured = [report.measured.cells.get((row, column)) for row in grid.rows for column in grid.columns]
    systems = [
        plots.TradeoffSystem(
            one.cell.row,
            one.cell.column,
            scale * one.mean,
            scale * one.deviation,
            {
                metric_names.cost_metric_label(name): one.cell.mean(name)
                for name in metric_names.COSTS
                if one.cell.values(name).size
            },
        )
        for one in measured
        if one
    ]
    without = sum(not system.costs for system in systems)
    if without == len(systems):
        return None
    note = f"{counted(without, 'cell')} without costs left out." if without else ""
    higher = metric_names.higher_is_better(metric)
    return plots.tradeoff(systems, metric_names.metric_heading(metric), higher, note=note)


def _curves(report: SweepReport) -> Figure | None:
    curves = {}
    for cell in report.ranked[:MOST_CURVES]:
        seeds = [epochs for run in cell.runs if (epochs := _epochs(run, report.cache))]
        if seeds:
            curves[f"{cell.name} ({counted(len(seeds), 'seed')})"] = seeds
    if not curves:
        return None
    note = _left_out(len(report.ranked), MOST_CURVES).strip()
    return plots.learning_curves(curves, title="EER on dev after each epoch", note=note)


def _epochs(run: RunRecord, cache: str | None) -> list[float]:
    """Return the EER on dev by epoch in percent, from the artifact or else from MLflow's own curves."""
    path = runs.run_artifact(run, "history.json", cache)
    if path is not None:
        records = json.loads(path.read_text(encoding="utf-8"))
        return [100 * record["dev/eer"] for record in records if "dev/eer" in record]
    return [100 * value for _, value in runs.run_metric_history(run.run_id, "epoch/dev/eer")]


def _left_out(number: int, most: int) -> str:
    return f" The best {most} of {number} cells on dev are shown." if number > most else ""


FIGURES: dict[str, tuple[str, Callable[[SweepReport], Figure | None]]] = {  # by the name of the file
    "table": ("The table in colours", _table),
    "det": ("Detection error trade-off", _det),
    "attacks": ("Attack by attack", _attacks),
    "cost": ("Quality against cost", _cost),
    "curves": ("Learning curves", _curves),
}
