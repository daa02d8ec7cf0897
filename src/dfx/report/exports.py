"""Exports of a sweep report: LaTeX table, CSV files of cells and of runs."""

from __future__ import annotations

import re

import pandas as pd

from dfx.report import tables
from dfx.report.measured_grid import MeasuredCell
from dfx.report.sweep_report import SweepReport
from dfx.reporting import metric_names
from dfx.reporting.grid import OPTIONS

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SPECIAL |= {sign: f"\\{sign}" for sign in "&%$#_{}"}
_SIGNS = {
    "±": r"$\pm$",
    "★": r"$^\star$",
    "▲": r"$^\blacktriangle$",
    "·": r"$\cdot$",
    "–": "--",
    "…": r"\ldots{}",
}


def export_latex_table(report: SweepReport) -> str:
    """Make the results table in LaTeX; it needs the packages booktabs and amssymb."""
    grid, metric = report.grid, report.measured.metric
    lines = []
    for row in grid.rows:
        measured = [report.measured.cells.get((row, column)) for column in grid.columns]
        cells = [
            _latex_cell(one, metric) if one else escape_latex(grid.empty(row, column).text)
            for column, one in zip(grid.columns, measured, strict=True)
        ]
        lines.append(" & ".join([escape_latex(row), *cells]) + r" \\")
        bounds = [rf"{{\scriptsize {one.bounds(metric)}}}" if one and one.interval else "" for one in measured]
        lines += [" & ".join(["", *bounds]) + r" \\[2pt]"] if any(bounds) else []
    beat = tables.to_beat_table_row(report)
    if beat:
        lines += [r"\midrule", " & ".join(map(escape_latex, (tables.TO_BEAT, *beat))) + r" \\"]
    return "\n".join(
        [
            "% needs \\usepackage{booktabs,amssymb}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(tables.table_caption(report))}}}",
            rf"\begin{{tabular}}{{l{'r' * len(grid.columns)}}}",
            r"\toprule",
            " & ".join(["", *map(escape_latex, grid.columns)]) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def escape_latex(text: str) -> str:
    """Escape the special characters of LaTeX in a text."""
    text = re.sub(r"[\\~^&%$#_{}]", lambda found: _SPECIAL[found[0]], text)
    for sign, command in _SIGNS.items():
        text = text.replace(sign, command)
    return text


def export_cells_table(report: SweepReport) -> pd.DataFrame:
    """Make a table with one row for each cell, with unrounded numbers; rates are from 0 to 1."""
    row, column = report.grid.axes
    records = []
    for one in report.measured.cells.values():
        cell, gap = one.cell, one.difference
        record: dict[str, object] = {row: cell.row, column: cell.column, "seeds": one.seeds}
        record |= {"metric": report.measured.metric, "mean": one.mean, "deviation": one.deviation}
        record |= {"low": one.interval.low, "high": one.interval.high} if one.interval else {}
        record |= {"dev/eer": cell.mean("dev/eer"), "mark": one.mark, "trials": one.trials}
        if gap is not None:
            record |= {"difference": gap.value, "difference_low": gap.low, "difference_high": gap.high}
            record["p_holm"] = one.p_value
        records.append(record | {name: cell.mean(name) for name in metric_names.COSTS})
    return pd.DataFrame(records).sort_values("dev/eer", ignore_index=True)


def export_runs_table(report: SweepReport) -> pd.DataFrame:
    """Make a table with one row for each run: its options and all final metrics."""
    records = []
    for cell in report.grid.cells.values():
        for run in cell.runs:
            record: dict[str, object] = {"run_id": run.run_id, "name": run.name}
            record |= {"row": cell.row, "column": cell.column, "seed": run.tags.get("seed", "")}
            record |= {key: run.tags[key] for key in (*OPTIONS, "git_commit") if key in run.tags}
            final = {k: v for k, v in run.metrics.items() if not k.startswith(("epoch/", "system/"))}
            records.append(record | dict(sorted(final.items())))
    return pd.DataFrame(records)


def _latex_cell(one: MeasuredCell, metric: str) -> str:
    mean = escape_latex(metric_names.metric_number(one.mean, metric))
    mean = rf"\textbf{{{mean}}}" if tables.is_bold_in_table(one) else mean
    deviation = "" if one.seeds < 2 else rf" $\pm$ {metric_names.metric_number(one.deviation, metric)}"
    return f"{mean}{deviation}{escape_latex(tables.SIGNS.get(one.mark, '').strip())}"
