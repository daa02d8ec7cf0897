"""The report as Markdown, and as one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfx.report import figures, tables, wording
from dfx.report.collect import Grid
from dfx.report.gaps import Gap
from dfx.report.measure import AS_GOOD, BETTER, CHOSEN, Measured, Measures
from dfx.reporting import document
from dfx.reporting.document import Table, escaped

STYLE = """
<style>
main { max-width: 1180px }
.grid td { padding: 8px 6px; text-align: center } .grid th { text-align: center; vertical-align: bottom }
.grid td:first-child, .grid th:first-child { text-align: left; font-weight: 600 }
.grid .value { font-size: 15px; white-space: nowrap } .grid .small { font-size: 12px; color: var(--dim) }
.grid .good .value { font-weight: 700 } .grid .chosen { background: #e3effa; box-shadow: inset 0 0 0 2px #2b74b8 }
.grid .empty { color: var(--dim); background: #f7f7f7; font-size: 13px }
.grid .beat td { background: #14324f; color: #fff } .grid tr.beat:hover td { background: #14324f }
.lead { background: #14324f; color: #fff; border-radius: 12px; padding: 18px 24px; margin: 18px 0; font-size: 17px }
pre { font-size: 13px; line-height: 1.6 }
</style>
"""


@dataclass(frozen=True)
class Report:
    """Everything that a report says, before it is written.

    Attributes:
        title: of the page.
        about: lines under it: where the runs come from.
        grid: the cells.
        measures: their numbers.
        gaps: cells without a result.
        beat: what a model that never listens reaches, by column.
        again: command that runs everything that is missing; empty where it is not known.
        notes: sentences that a reader must know.
    """

    title: str
    about: list[str]
    grid: Grid
    measures: Measures
    gaps: Sequence[Gap]
    beat: dict[str, dict[str, Any]]
    again: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def lead(self) -> str:
        """The result in a sentence."""
        return lead(self.grid, self.measures)


def lead(grid: Grid, measures: Measures) -> str:
    """Which cell dev chooses and what it reaches; of several lists of trials the first."""
    chosen = [one for one in measures.cells.values() if one.mark == CHOSEN]
    ranked = [cell for cell in grid.by_dev("dev/eer") if (cell.row, cell.column) in measures.cells]
    if not ranked:
        return "No run has an EER on dev, so none can be chosen."
    best = chosen[0] if chosen else measures.cells[ranked[0].row, ranked[0].column]
    metric = measures.metric
    unit = " %" if wording.is_percent(metric) else ""
    value = wording.spread(best.mean, best.deviation, metric) + unit
    bounds = f" {wording.interval(best.interval, metric)}" if best.interval else ""
    marks = [one.mark for one in measures.cells.values()]
    equals, better = marks.count(AS_GOOD), marks.count(BETTER)
    others = f"{tables.count(equals, 'other cell')} {'is' if equals == 1 else 'are'} not significantly worse"
    none = "All others that were tested are significantly worse"
    rest = (
        f" Significantly better on eval, but not the choice of dev: {better} ({tables.UP})." if better else ""
    )
    rest += f" {others if equals else none}." if len(measures.cells) > len(chosen) + better and chosen else ""
    name = wording.title(metric).replace(" (%)", "")
    return (
        f"Dev chooses {best.cell.name}: {name} {value}{bounds} over {tables.count(best.seeds, 'seed')}, "
        f"EER on dev {100 * best.cell.mean('dev/eer'):.2f} %.{rest}"
    )


def markdown(report: Report, drawn: Sequence[str]) -> str:
    """The report as Markdown; figures are named relative to its folder."""
    split = report.measures.metric.partition("/")[0]
    parts = [
        f"# {report.title}",
        *report.about,
        f"**{report.lead}**",
        *(f"- {note}" for note in report.notes),
    ]
    parts.append(_marked(report))
    seen = tables.seen_unseen(report.grid, split)
    parts += [document.markdown(seen)] if seen else []
    parts += [f"## {figures.TITLES[name]}\n\n![{figures.TITLES[name]}]({name}.png)" for name in drawn]
    parts.append(document.markdown(tables.listed(report.grid, report.measures)))
    missing = tables.missing(report.gaps)
    if missing:
        commands = _commands(report)
        parts += [document.markdown(missing), f"```\n{commands}\n```" if commands else ""]
    return "\n\n".join(part for part in parts if part) + "\n"


def page(report: Report, drawn: Mapping[str, Path]) -> str:
    """The report as HTML with its figures inside."""
    split = report.measures.metric.partition("/")[0]
    parts = [STYLE, f"<h1>{escaped(report.title)}</h1>"]
    parts += [f'<div class="sub">{escaped(line)}</div>' for line in report.about]
    parts.append(f'<div class="lead">{escaped(report.lead)}</div>')
    parts += [f'<div class="finding warning">{escaped(note)}</div>' for note in report.notes]
    parts.append(_grid(report))
    seen = tables.seen_unseen(report.grid, split)
    parts += [_seen_unseen(seen)] if seen else []
    for name, path in drawn.items():
        parts += [f"<h2>{figures.TITLES[name]}</h2>", document.image(path, figures.TITLES[name])]
    parts.append(document.html_table(tables.listed(report.grid, report.measures)))
    missing = tables.missing(report.gaps)
    if missing:
        commands = _commands(report)
        parts += [document.html_table(missing), f"<pre>{escaped(commands)}</pre>" if commands else ""]
    return document.page(report.title, parts)


def commands(report: Report) -> list[str]:
    """What to type for the cells that are missing, failed or interrupted: all at once, then one by one."""
    single = [gap.command for gap in report.gaps if gap.command]
    return [report.again, *single] if report.again and single else single


def _commands(report: Report, most: int = 20) -> str:
    typed = commands(report)
    if not typed:
        return ""
    first = (
        ["# all of them; finished cells are not run again", typed[0], "# one by one"] if report.again else []
    )
    rest = typed[1:] if report.again else typed
    more = [f"# … {len(rest) - most} more in commands.txt"] if len(rest) > most else []
    return "\n".join([*first, *rest[:most], *more])


def _marked(report: Report) -> str:
    """The table in Markdown, its good cells bold."""
    table = tables.main(report.grid, report.measures, report.gaps, report.beat)
    rows = []
    for line in table.rows:
        row = [line[0]]
        for column, text in zip(report.grid.columns, line[1:], strict=True):
            value, bracket, rest = str(text).partition(" [")
            good = tables.bold(report.measures.cells.get((str(line[0]), column)))
            row.append(f"**{value}**{bracket}{rest}" if good else text)
        rows.append(row)
    return document.markdown(table._replace(rows=rows))


def _grid(report: Report) -> str:
    """The table in HTML, with the interval under the value."""
    table: Table = tables.main(report.grid, report.measures, report.gaps, report.beat)
    body = []
    for line in table.rows:
        if line[0] not in report.grid.rows:
            cells = "".join(f"<td>{escaped(text)}</td>" for text in line)
            body.append(f'<tr class="beat">{cells}</tr>')
            continue
        cells = f"<td>{escaped(line[0])}</td>"
        for column, text in zip(report.grid.columns, line[1:], strict=True):
            one = report.measures.cells.get((line[0], column))
            cells += _html_cell(one, report.measures) if one else f'<td class="empty">{escaped(text)}</td>'
        body.append(f"<tr>{cells}</tr>")
    return _framed(table, body)


def _seen_unseen(table: Table) -> str:
    """The table of seen and unseen attacks in HTML, one above the other; what matters is the unseen."""
    body = []
    for line in table.rows:
        cells = f"<td>{escaped(line[0])}</td>"
        for text in line[1:]:
            seen, _, unseen = str(text).partition(" / ")
            small = f'<div class="small">seen {escaped(seen)}</div><span class="small">unseen</span>'
            value = f'<span class="value">{escaped(unseen)}</span>'
            cells += f"<td>{small} {value}</td>" if unseen else f'<td class="empty">{escaped(text)}</td>'
        body.append(f"<tr>{cells}</tr>")
    return _framed(table, body)


def _framed(table: Table, body: list[str]) -> str:
    head = "".join(f"<th>{escaped(name)}</th>" for name in table.head)
    rows = "\n".join(body)
    return (
        f'<h2>{escaped(table.title)}</h2><div class="scroll"><table class="grid"><tr>{head}</tr>\n{rows}</table></div>'
        f'<p class="how">{escaped(table.note)}</p>'
    )


def _html_cell(one: Measured, measures: Measures) -> str:
    metric = measures.metric
    kinds = [word for word, holds in (("good", tables.bold(one)), ("chosen", one.mark == CHOSEN)) if holds]
    value = escaped(wording.spread(one.mean, one.deviation, metric) + tables.SIGNS.get(one.mark, ""))
    small = [wording.interval(one.interval, metric), tables.fewer_seeds(one, measures)]
    rest = " · ".join(part for part in small if part)
    return (
        f'<td class="{" ".join(kinds)}"><div class="value">{value}</div><div class="small">{rest}</div></td>'
    )
