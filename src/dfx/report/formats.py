"""The table for other programs: LaTeX with booktabs, and CSV of cells and of runs."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from dfx.report import tables, wording
from dfx.report.collect import OPTIONS, Grid
from dfx.report.gaps import Gap
from dfx.report.measure import Measured, Measures

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


def latex(grid: Grid, measures: Measures, gaps: Sequence[Gap], beat: dict[str, dict[str, object]]) -> str:
    """The table for a paper; needs the packages booktabs and amssymb."""
    metric = measures.metric
    lines = []
    for row in grid.rows:
        cells = [
            _latex_cell(measures.cells.get((row, column)), metric)
            or escaped(tables.why(gaps, grid, row, column))
            for column in grid.columns
        ]
        lines.append(" & ".join([escaped(row), *cells]) + r" \\")
        bounds = [_latex_interval(measures.cells.get((row, column)), metric) for column in grid.columns]
        lines += [" & ".join(["", *bounds]) + r" \\[2pt]"] if any(bounds) else []
    last = [tables.to_beat(beat.get(column), metric.partition("/")[2]) for column in grid.columns]
    if any(last):
        lines += [r"\midrule", " & ".join(["has to beat this", *map(escaped, last)]) + r" \\"]
    return "\n".join(
        [
            "% needs \\usepackage{booktabs,amssymb}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(tables.caption(measures, beat))}}}",
            rf"\begin{{tabular}}{{l{'r' * len(grid.columns)}}}",
            r"\toprule",
            " & ".join(["", *map(escaped, grid.columns)]) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is."""
    text = re.sub(r"[\\~^&%$#_{}]", lambda found: _SPECIAL[found[0]], text)
    for sign, command in _SIGNS.items():
        text = text.replace(sign, command)
    return text


def cells(grid: Grid, measures: Measures) -> pd.DataFrame:
    """A row a cell, numbers unrounded; rates from 0 to 1."""
    records = []
    for one in measures.cells.values():
        cell, gap = one.cell, one.difference
        record: dict[str, object] = {grid.axes[0]: cell.row, grid.axes[1]: cell.column, "seeds": one.seeds}
        record |= {"metric": measures.metric, "mean": one.mean, "deviation": one.deviation}
        record |= {"low": one.interval.low, "high": one.interval.high} if one.interval else {}
        record |= {"dev/eer": cell.mean("dev/eer"), "mark": one.mark, "trials": one.trials}
        if gap is not None:
            record |= {"difference": gap.value, "difference_low": gap.low, "difference_high": gap.high}
            record["p_holm"] = one.p_value
        records.append(record | {name: cell.mean(name) for name in wording.COSTS})
    return pd.DataFrame(records).sort_values("dev/eer", ignore_index=True)


def runs(grid: Grid, measures: Measures) -> pd.DataFrame:
    """A row a run that is in the table, with its options and every final metric."""
    records = []
    for cell in grid.cells.values():
        for run in cell.runs:
            record: dict[str, object] = {"run_id": run.run_id, "name": run.name}
            record |= {"row": cell.row, "column": cell.column, "seed": run.tags.get("seed", "")}
            record |= {key: run.tags[key] for key in (*OPTIONS, "git_commit") if key in run.tags}
            final = {k: v for k, v in run.metrics.items() if not k.startswith(("epoch/", "system/"))}
            records.append(record | dict(sorted(final.items())))
    return pd.DataFrame(records)


def _latex_cell(one: Measured | None, metric: str) -> str:
    if one is None:
        return ""
    mean = escaped(wording.number(one.mean, metric))
    mean = rf"\textbf{{{mean}}}" if tables.bold(one) else mean
    deviation = "" if one.seeds < 2 else rf" $\pm$ {wording.number(one.deviation, metric)}"
    return f"{mean}{deviation}{escaped(tables.SIGNS.get(one.mark, '').strip())}"


def _latex_interval(one: Measured | None, metric: str) -> str:
    bounds = wording.interval(one.interval, metric) if one else ""
    return rf"{{\scriptsize {bounds}}}" if bounds else ""
