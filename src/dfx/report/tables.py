"""Tables of a sweep report: results, seen and unseen attacks, all cells, missing cells."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from dfx.report.measured_grid import AS_GOOD, BETTER, CHOSEN, LEVEL, MeasuredCell
from dfx.report.sweep_report import UP, SweepReport
from dfx.reporting import metric_names
from dfx.reporting.document_parts import counted
from dfx.reporting.document_table import DocumentCell, DocumentTable

STAR = "★"  # chosen on dev
SIGNS = {CHOSEN: f" {STAR}", BETTER: f" {UP}"}
MOST_CELLS = 60  # in the list of cells; the CSV has all
MOST_MISSING = 40
TO_BEAT = "has to beat this"


def result_table(report: SweepReport, brief: bool = False) -> DocumentTable:
    """Make the results table: mean ± deviation over seeds and number of seeds, with intervals unless it is brief."""
    grid, metric = report.grid, report.measured.metric
    rows: list[list[str | DocumentCell]] = []
    for row in grid.rows:
        cells = (_cell(report, row, column, brief) or grid.empty(row, column) for column in grid.columns)
        rows.append([row, *cells])
    beat = to_beat_table_row(report)
    if beat:
        rows.append([DocumentCell(text, looks="dark") for text in (TO_BEAT, *beat)])
    return DocumentTable(metric_names.metric_heading(metric), grid.head, rows, table_caption(report, brief), grid=True)


def _cell(report: SweepReport, row: str, column: str, brief: bool) -> DocumentCell | None:
    """Make a table cell: mean ± deviation, interval and number of seeds; None without a result.

    The number of seeds is shown if other cells have more.
    """
    one, metric = report.measured.cells.get((row, column)), report.measured.metric
    if one is None:
        return None
    fewer = counted(one.seeds, "seed") if one.seeds < report.measured.most_seeds else ""
    small = [fewer and f"({fewer})"] if brief else [one.bounds(metric), fewer]
    looks = " ".join(look for look, holds in (("good", is_bold_in_table(one)), ("chosen", one.mark == CHOSEN)) if holds)
    return DocumentCell(
        one.cell.text(metric) + SIGNS.get(one.mark, ""), " · ".join(part for part in small if part), looks
    )


def to_beat_table_row(report: SweepReport) -> list[str]:
    """Make the row of AUCs or EERs to beat, from the audit of the corpus of each column; empty if there is none."""
    name = report.measured.metric.partition("/")[2]

    def text(found: dict[str, Any]) -> str:
        if name not in ("eer", "auc") or found.get(name) is None:
            return ""
        bounds = f" [{found['low']:.4f}, {found['high']:.4f}]" if name == "auc" else ""
        return metric_names.metric_number(found[name], name) + bounds

    texts = [text(report.to_beat.get(column, {})) for column in report.grid.columns]
    return texts if any(texts) else []


def table_caption(report: SweepReport, brief: bool = False) -> str:
    """Make the caption of the results table, which explains its numbers and marks."""
    measured = report.measured
    numbers = sorted({one.seeds for one in measured.cells.values()})
    seeds = counted(numbers[-1], "seed") + (" where no other number is given" if len(numbers) > 1 else "")
    words = [f"{metric_names.metric_heading(measured.metric)}, mean ± sample deviation over {seeds}"]
    tested = sum(one.difference is not None for one in measured.cells.values())
    if any(one.interval for one in measured.cells.values()):
        words[0] += (
            f"; in brackets its 95 % interval, by resampling {measured.drawn} ({measured.resamples:,} times, the seeds "
            "as they are): what other trials of the same kind would have given"
        )
    if tested:
        alone = ", of the cells with several seeds" if numbers[0] == 1 < numbers[-1] else ""
        words.append(f"{STAR} chosen on dev: the lowest mean EER there{alone}. Eval only measures the chosen cell")
        words.append(
            f"Bold: not significantly worse than {STAR} (paired bootstrap on the same trials, Holm over "
            f"{counted(tested, 'comparison')}, level {100 * LEVEL:g} %)"
        )
        if any(one.mark == BETTER for one in measured.cells.values()):
            words.append(
                f"{UP} significantly better than {STAR} on eval, but not chosen: after a choice on eval, no data would "
                "be left to measure it"
            )
    elif measured.resamples:
        words.append("Nothing is marked: no two cells judged the same trials")
    else:
        words.append("Nothing is marked: intervals and tests are of the EER, from score files")
    names = {found["name"] for found in report.to_beat.values() if found.get("name")}
    if names:
        words.append(f"Has to beat this: {', '.join(sorted(names))}, a model that never listens (dfx.audit)")
    return ". ".join(words) + "."


def seen_unseen_table(report: SweepReport) -> DocumentTable | None:
    """Make the table of the EER of attacks in train and of attacks not in train; None if no run has both."""
    seen, unseen = (f"{report.split}/{name}" for name in ("eer_seen", "eer_unseen"))
    rows: list[list[str | DocumentCell]] = []
    for row in report.grid.rows:
        cells = []
        for column in report.grid.columns:
            cell = report.grid.cells.get((row, column))
            if cell and cell.values(seen).size and cell.values(unseen).size:
                cells.append(DocumentCell(cell.text(unseen), f"seen {cell.text(seen)}"))
            else:
                cells.append(DocumentCell("–", looks="empty"))
        rows.append([row, *cells])
    note = (
        "Attacks not in train, then those in train (seen), each against all bona fide trials: mean ± sample deviation "
        "over seeds. The first number is what to expect of a generator nobody has seen."
    )
    found = any(isinstance(cell, DocumentCell) and cell.small for row in rows for cell in row)
    title = f"EER on {report.split}, unseen and seen attacks (%)"
    return DocumentTable(title, report.grid.head, rows, note, grid=True) if found else None


def all_cells_table(report: SweepReport) -> DocumentTable:
    """Make the table of all cells, best on dev first, with costs and difference to the chosen cell."""
    metric, measured = report.measured.metric, report.measured.cells
    costs = [name for name in metric_names.COSTS if any(one.cell.values(name).size for one in measured.values())]
    has_test = any(one.difference for one in measured.values())
    head = [*report.grid.axes, "seeds", "EER on dev (%)", metric_names.metric_heading(metric), "95 %"]
    head += ["difference", "95 % of it", "p (Holm)", ""] if has_test else []
    head += [metric_names.metric_heading(name) for name in costs]
    shown = sorted(measured.values(), key=lambda one: float(np.nan_to_num(one.cell.mean("dev/eer"), nan=np.inf)))
    rows = []
    for one in shown[:MOST_CELLS]:
        cell = one.cell
        rows.append(
            [
                *(cell.row, cell.column, str(one.seeds), cell.text("dev/eer"), cell.text(metric), one.bounds(metric)),
                *(_test(one, metric) if has_test else []),
                *(metric_names.metric_number(cell.mean(name), name) for name in costs),
            ]
        )
    notes = [f"The best on dev first. Difference: to {STAR}, on the same trials; above 0 is worse."] * has_test
    if len(shown) > MOST_CELLS:
        notes.append(f"{len(shown) - MOST_CELLS} more cells are in cells.csv.")
    return DocumentTable("All cells", head, rows, " ".join(notes), (report.grid.axes[1], ""))


def _test(one: MeasuredCell, metric: str) -> list[str]:
    if one.difference is None:
        return ["", "", "", f"{STAR} chosen on dev" if one.mark == CHOSEN else ""]
    gap, p_value = one.difference, one.p_value or 0.0
    value = ("+" if gap.value > 0 else "") + metric_names.metric_number(gap.value, metric)
    bounds = metric_names.metric_interval(gap, metric)
    return [value, bounds, f"{p_value:.3f}" if p_value >= 0.001 else "< .001", one.mark]


def missing_cells_table(report: SweepReport) -> DocumentTable | None:
    """Make the table of the cells without a result and their reasons; None if there are none."""
    cells = report.missing
    if not cells:
        return None
    counts = Counter(cell.kind for cell in cells)
    rows = [[cell.cell, cell.kind, cell.reason] for cell in cells[:MOST_MISSING]]
    note = ", ".join(f"{number} {word}" for word, number in counts.items()) + "."
    if len(cells) > MOST_MISSING:
        note += f" The first {MOST_MISSING} are shown; commands.txt has all."
    return DocumentTable("Without a result", ["cell", "", "why"], rows, note, ("", "why"))


def is_bold_in_table(one: MeasuredCell | None) -> bool:
    """Whether a cell is in bold: the chosen cell, or not significantly worse."""
    return one is not None and one.mark in (CHOSEN, AS_GOOD, BETTER)
