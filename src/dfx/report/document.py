"""Document of a sweep report, and files for other programs beside it."""

from __future__ import annotations

from pathlib import Path

from dfx.report import exports, figures, tables
from dfx.report.published import published_table
from dfx.report.sweep_report import SweepReport
from dfx.reporting.document import Document
from dfx.reporting.document_parts import (
    DocumentCode,
    DocumentFindings,
    DocumentLead,
    DocumentNotice,
    DocumentPart,
    DocumentText,
)

MOST_COMMANDS = 20


def build_report_document(report: SweepReport, folder: Path) -> Document:
    """Build the page of a sweep report, to be written into `folder`, and its short version for the terminal."""
    lead, notes = DocumentLead(report.lead), DocumentFindings([DocumentNotice(note) for note in report.notes])
    parts: list[DocumentPart] = [
        DocumentText(report.about, "about"),
        lead,
        notes,
        tables.result_table(report),
    ]
    brief: list[DocumentPart] = [tables.result_table(report, brief=True), notes]
    seen_unseen = tables.seen_unseen_table(report)
    parts += [seen_unseen] if seen_unseen else []
    published = published_table(report.grid)
    if published:
        parts.append(published)
        brief.append(published)
    parts += [*figures.draw_report_figures(report), tables.all_cells_table(report)]
    missing = tables.missing_cells_table(report)
    if missing:
        parts += [missing, *([DocumentCode(_commands(report))] if report.commands else [])]
        todo = f"; {folder / 'commands.txt'} has what to type" if report.commands else ""
        brief.append(DocumentText(f"Without a result: {missing.note.rstrip('.')}{todo}."))
    return Document("report", report.title, parts, [*brief, lead])


def files_beside_document(report: SweepReport) -> dict[str, str]:
    """Make the text of the LaTeX table, the CSV files and the list of commands, by file name."""
    return {
        "table.tex": exports.export_latex_table(report),
        "cells.csv": exports.export_cells_table(report).to_csv(index=False, lineterminator="\n"),
        "runs.csv": exports.export_runs_table(report).to_csv(index=False, lineterminator="\n"),
        "commands.txt": "".join(f"{line}\n" for line in report.commands),
    }


def _commands(report: SweepReport) -> str:
    single, lines = report.commands, []
    if report.command:
        together, *single = report.commands
        lines = ["# all of them; finished cells are not run again", together, "# one by one"]
    lines += single[:MOST_COMMANDS]
    if len(single) > MOST_COMMANDS:
        lines.append(f"# … {len(single) - MOST_COMMANDS} more in commands.txt")
    return "\n".join(lines)
