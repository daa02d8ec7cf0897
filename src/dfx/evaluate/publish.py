"""An evaluation where people find it: files, the terminal, metrics of MLflow."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.text import Text

from dfx.evaluate import figures
from dfx.evaluate.measure import Row
from dfx.evaluate.report import Report
from dfx.files import replacing
from dfx.reporting import document

ROOT = Path("mlruns") / "evaluate"
RECORD = "metrics.json"
COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def write(report: Report, out: str | None) -> list[Path]:
    """Write the page, its Markdown, numbers, figures and score files; returns them, the page for people first.

    Args:
        report: the evaluation.
        out: folder; `mlruns/evaluate/NAME` if None. What an earlier evaluation wrote there is replaced.
    """
    folder = Path(out).expanduser() if out else ROOT / document.file_name(report.title)
    folder.mkdir(parents=True, exist_ok=True)
    _clear(folder)
    drawn = figures.draw(report)
    images = {name: folder / f"{name.replace(' ', '-')}.png" for name in drawn}
    for name, figure in drawn.items():
        figure.savefig(images[name])
    files = [folder / "report.html", folder / "report.md", folder / "results.csv", folder / RECORD]
    files[0].write_text(page(report, images), encoding="utf-8")
    files[1].write_text(markdown(report, images), encoding="utf-8")
    pd.DataFrame(report.rows, columns=list(Row._fields)).to_csv(files[2], index=False)
    files += images.values()
    for result in report.results:
        for suffix, write_table in (("csv", result.table.write), ("txt", result.table.write_plain)):
            files.append(folder / f"{result.file_name}.{suffix}")
            with replacing(files[-1]) as path:
                write_table(path)
    bad = [result.bad.assign(system=result.system, corpus=result.corpus) for result in report.results]
    if sum(map(len, bad)):
        files.append(folder / "bad_files.csv")
        pd.concat(bad).to_csv(files[-1], index=False)
    record = report.plain() | {"files": [file.name for file in files]}
    (folder / RECORD).write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return files


def page(report: Report, images: dict[str, Path]) -> str:
    """The evaluation as HTML with its figures inside."""
    findings = [
        f'<div class="finding {found.severity}"><b>{document.escaped(name)}.</b> {document.escaped(found.text)}</div>'
        for name, found in report.findings
    ]
    parts = [
        f"<h1>{document.escaped(report.title)}</h1>",
        *(f'<div class="sub">{document.escaped(note)}</div>' for note in _notes_on_corpora(report)),
        *findings,
        *map(document.html_table, report.tables()),
        *(document.image(path, name) for name, path in images.items()),
        *(f'<p class="how">{document.escaped(note)}</p>' for note in report.notes),
    ]
    return document.page(report.title, parts)


def markdown(report: Report, images: dict[str, Path]) -> str:
    """The evaluation as Markdown; figures are named relative to its folder."""
    parts = [
        f"# {report.title}",
        *_notes_on_corpora(report),
        *(f"- **{name}.** {found.text}" for name, found in report.findings),
        *map(document.markdown, report.tables()),
        *(f"![{name}]({path.name})" for name, path in images.items()),
        *report.notes,
    ]
    return "\n\n".join(parts) + "\n"


def metrics(report: Report) -> dict[str, float]:
    """Numbers for MLflow, `CORPUS/METRIC`, or `CORPUS/SYSTEM/METRIC` where there are several systems."""
    several = len({result.system for result in report.results}) > 1
    named = {}
    for row in report.rows:
        if not row.by:
            parts = (row.corpus, row.system, row.metric) if several else (row.corpus, row.metric)
            named["/".join(re.sub(r"[^\w .:-]", "_", part) for part in parts)] = row.value
    return named


def show(report: Report, file: Path) -> None:
    """The evaluation on the terminal, short, and the file that has all of it."""
    console = Console(highlight=False, markup=False)
    console.print()
    for table in report.tables(short=True):
        console.print(document.rich_table(table))
        if table.note:
            console.print(table.note, style="dim", soft_wrap=True)
    for name, found in report.findings:
        title = (f"{found.severity.capitalize()}: {name}. ", f"bold {COLOURS[found.severity]}")
        console.print(Text.assemble(title, found.text), soft_wrap=True)
    for note in report.notes:
        console.print(note, style="dim", soft_wrap=True)
    for note in _notes_on_corpora(report):
        console.print(f"{note[0].upper()}{note[1:]}", style="yellow", soft_wrap=True)
    console.print(f"report     {file}", soft_wrap=True)


def _notes_on_corpora(report: Report) -> list[str]:
    return list(dict.fromkeys(result.note for result in report.results if result.note))


def _clear(folder: Path) -> None:
    """Remove what an earlier evaluation wrote; nothing else that lies in the folder."""
    try:
        earlier = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name in earlier:
        if Path(name).name == name:
            (folder / name).unlink(missing_ok=True)
