"""The report where people find it: files, and the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from dfx.report import figures, formats, page, tables
from dfx.report.page import Report
from dfx.reporting import document


def write(report: Report, folder: Path) -> list[Path]:
    """Write the page, Markdown, LaTeX, CSVs, commands and figures; returns these files, the page for people first."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = figures.draw(report.grid, report.measures, report.gaps)
    paths = {name: folder / f"{name}.png" for name in drawn}
    for name in figures.NAMES:  # of an earlier report, which this one may not draw
        (folder / f"{name}.png").unlink(missing_ok=True)
    for name, figure in drawn.items():
        figure.savefig(paths[name])
    texts = {
        "report.html": page.page(report, paths),
        "report.md": page.markdown(report, list(drawn)),
        "table.tex": formats.latex(report.grid, report.measures, report.gaps, report.beat),
        "cells.csv": formats.cells(report.grid, report.measures).to_csv(index=False, lineterminator="\n"),
        "runs.csv": formats.runs(report.grid, report.measures).to_csv(index=False, lineterminator="\n"),
        "commands.txt": "".join(f"{line}\n" for line in page.commands(report)),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [*(folder / name for name in texts), *paths.values()]


def show(report: Report, file: Path) -> None:
    """The table on the terminal, what a reader must know, and the file that has all of it."""
    console = Console(highlight=False, markup=False)
    console.print()
    table = tables.main(report.grid, report.measures, report.gaps, report.beat, brief=True)
    console.print(document.rich_table(table))
    console.print(table.note, style="dim", soft_wrap=True)
    for note in report.notes:
        console.print(note, style="yellow", soft_wrap=True)
    waiting = len([gap for gap in report.gaps if gap.command])
    if report.gaps:
        missing = tables.missing(report.gaps)
        what = f"; {file.parent / 'commands.txt'} has what to type" if waiting else ""
        console.print(
            f"Without a result: {(missing.note if missing else '').rstrip('.')}{what}.", soft_wrap=True
        )
    console.print()
    console.print(report.lead, style="bold", soft_wrap=True)
    console.print(f"report     {file}", soft_wrap=True)
