"""The report where people find it: files, the terminal, metrics."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rich.console import Console
from rich.text import Text

from dfx.audit import figures, page, report, tables
from dfx.audit.inspect import Found
from dfx.reporting import document

ROOT = Path("mlruns") / "audit"
MOST_SCALARS = 8  # on the terminal
COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def write(found: Found, out: str | None, place: Path) -> list[Path]:
    """Write report.html, report.md, report.json and the figures; returns these files, the page for people first.

    Args:
        found: the audit.
        out: folder; `mlruns/audit/NAME` if None.
        place: where the JSON is kept a second time, for `dfx.train` to find.
    """
    name = found.report["corpus"]["name"].replace("/", "_")
    folder = Path(out).expanduser() if out else ROOT / name
    folder.mkdir(parents=True, exist_ok=True)
    for name in figures.NAMES:  # of an earlier audit, which this one may not draw
        (folder / f"{name}.png").unlink(missing_ok=True)
    drawn = figures.draw(found.report["scalars"], found.report["models"], found.table)
    paths = {name: folder / f"{name}.png" for name in drawn}
    for name, figure in drawn.items():
        figure.savefig(paths[name])
    found.report["figures"] = list(drawn)
    text = json.dumps(report.plain(found.report), indent=1, allow_nan=False) + "\n"
    texts = {"html": page.page(found.report, paths), "md": page.markdown(found.report), "json": text}
    for suffix, written in texts.items():
        (folder / f"report.{suffix}").write_text(written, encoding="utf-8")
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f"{place.name}.{os.getpid()}.tmp")  # training may read it meanwhile
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(place)
    return [*(folder / f"report.{suffix}" for suffix in texts), *paths.values()]


def metrics(made: tables.Report) -> dict[str, float]:
    """Numbers of a report for MLflow."""
    numbers = {f"findings/{severity}": 0.0 for severity in COLOURS}
    for found in made["findings"]:
        numbers[f"findings/{found['severity']}"] += 1
    for key in ("auc", "eer", "lfcc_auc", "lfcc_eer"):
        if made["headline"].get(key) is not None:
            numbers[f"to_beat/{key}"] = float(made["headline"][key])
    for row in made["scalars"]:
        if row["strength"] is not None:
            numbers[f"scalar/{row['name']}"] = float(row["strength"])
    return numbers


def show(made: tables.Report, file: Path) -> None:
    """The report on the terminal, short, and the file that has all of it."""
    console = Console(highlight=False, markup=False)
    console.print()
    scalars, models = tables.scalars(made), tables.models(made)
    models = models._replace(rows=[[str(cell).partition(" (")[0] for cell in row] for row in models.rows])
    scalars = scalars._replace(head=scalars.head[:4], rows=[row[:4] for row in scalars.rows[:MOST_SCALARS]])
    for table in (tables.counts(made), models, scalars):
        if table.rows:
            console.print(document.rich_table(table))
    notes = []
    for found in tables.findings(made):
        if found["severity"] == "note":
            notes.append(found["title"])
            continue
        title = (
            f"{found['severity'].capitalize()}: {found['title']}. ",
            f"bold {COLOURS[found['severity']]}",
        )
        console.print(Text.assemble(title, found["wrong"], (f" {found['advice']}", "dim")))
    if notes:
        title = (
            f"{len(notes)} note{'s' if len(notes) > 1 else ''}, in the report: ",
            f"bold {COLOURS['note']}",
        )
        console.print(Text.assemble(title, "; ".join(notes)))
    console.print()
    console.print(made["headline"]["text"], style="bold", soft_wrap=True)
    if made["corpus"]["note"]:
        note = made["corpus"]["note"]
        console.print(f"{note[0].upper()}{note[1:]}", style="yellow", soft_wrap=True)
    times = made["time"]
    console.print(f"This audit took {times['seconds']:.0f} s. {times['estimate']['text']}", soft_wrap=True)
    console.print(f"report     {file}", soft_wrap=True)
