"""The report as Markdown, and as one HTML page that needs no other file."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from pathlib import Path

from dfx.audit import tables

STYLE = """
:root { --ink: #1c2430; --dim: #5d6875; --line: #e2e6ea; --error: #c2321f; --warning: #d98200; --note: #2b74b8; }
* { box-sizing: border-box }
body { margin: 0; background: #f4f6f8; color: var(--ink); 
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, Arial, sans-serif }
main { max-width: 980px; margin: 0 auto; padding: 28px 20px 60px }
h1 { font-size: 28px; margin: 0 0 2px } h2 { font-size: 20px; margin: 40px 0 10px }
.sub, .how { color: var(--dim); font-size: 14px } .how { margin: 8px 0 0 }
.beat { background: #14324f; color: #fff; border-radius: 12px; padding: 22px 26px; margin: 18px 0; display: flex;
  gap: 26px; align-items: center; flex-wrap: wrap }
.beat b { font-size: 52px; line-height: 1; font-weight: 700; white-space: nowrap }
.beat b small { display: block; font-size: 14px; font-weight: 400; margin-top: 6px; opacity: .85 }
.beat div { flex: 1 1 380px } .beat p { margin: 0 } .beat p + p { margin-top: 6px }
.chips { display: flex; gap: 10px; margin: 14px 0; flex-wrap: wrap }
.chip { border-radius: 99px; padding: 3px 14px; color: #fff; font-size: 14px; font-weight: 600 }
.finding { background: #fff; border: 1px solid var(--line); border-left: 6px solid var(--note); border-radius: 8px;
  padding: 10px 16px; margin: 8px 0; overflow-wrap: anywhere; font-size: 15px }
.ids { color: var(--dim); font: 12px/1.5 ui-monospace, Consolas, monospace; margin-top: 4px }
.do { margin-top: 4px } .do::before { content: "→ "; font-weight: 700 }
.error { border-left-color: var(--error) } .warning { border-left-color: var(--warning) }
.chip.error, .chip.warning, .chip.note { border: 0 } .chip.error { background: var(--error) }
.chip.warning { background: var(--warning) } .chip.note { background: var(--note) }
.scroll { overflow-x: auto; background: #fff; border: 1px solid var(--line); border-radius: 8px }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums }
th, td { padding: 5px 12px; text-align: right; white-space: nowrap; border-top: 1px solid var(--line) }
th { border-top: 0; color: var(--dim); font-weight: 600 } td:first-child, th:first-child { text-align: left }
td.text, th.text { text-align: left } tr:hover td { background: #f4f8fc }
img { width: 100%; max-width: 860px; display: block; margin: 14px auto; background: #fff; border: 1px solid var(--line);
  border-radius: 8px }
"""
TEXT_COLUMNS = {"class", "splits", "value", "higher in"}
FIGURES = {"models": "Without listening: models", "scalars": "Without listening: one number alone"}
WORDS = {"error": "Error", "warning": "Warning", "note": "Note"}


def markdown(report: tables.Report) -> str:
    """The report as Markdown; figures are named relative to its folder."""
    lines = [
        f"# Audit of {report['corpus']['name']}",
        "",
        *_about(report),
        "",
        f"**{report['headline']['text']}**",
        "",
    ]
    lines += _scale(report)
    lines += ["", "## Findings", ""]
    for found in tables.findings(report):
        lines.append(f"- **{WORDS[found['severity']]}: {found['title']}.** {found['wrong']}")
        lines += [f"  <br>{found['examples']}"] if found["examples"] else []
        lines += [f"  <br>**What to do:** {found['advice']}"] if found["advice"] else []
    if not report["findings"]:
        lines.append("None.")
    for table in tables.all_of(report):
        lines += ["", f"## {table.title}", "", _row(table.head), _row(["---"] * len(table.head))]
        lines += [_row(cells) for cells in table.rows]
        if table.note:
            lines += ["", table.note]
        lines += [
            line
            for name in report["figures"]
            if FIGURES.get(name, FIGURES["scalars"]) == table.title
            for line in ("", f"![{name}]({name}.png)")
        ]
    lines += ["", "## How long", "", *_times(report)]
    return "\n".join(lines) + "\n"


def page(report: tables.Report, figures: Mapping[str, Path]) -> str:
    """The report as HTML with its figures inside."""
    corpus, headline = report["corpus"], report["headline"]
    number = (
        f"<b>{headline['auc']:.2f}<small>AUC to beat, on eval</small></b>"
        if headline["auc"] is not None
        else ""
    )
    scale = "".join(f"<p>{_escaped(line)}</p>" for line in _scale(report))
    chips = "".join(
        f'<span class="chip {severity}">{count} {word.lower()}{"s" if count != 1 else ""}</span>'
        for severity, word in WORDS.items()
        if (count := sum(found["severity"] == severity for found in report["findings"]))
    )
    parts = [
        f"<h1>Audit of {_escaped(corpus['name'])}</h1>",
        *(f'<div class="sub">{_escaped(line)}</div>' for line in _about(report)),
        f'<div class="beat">{number}<div><p>{_escaped(headline["text"])}</p>{scale}</div></div>',
        f'<div class="chips">{chips or "No findings."}</div>',
        *map(_finding, tables.findings(report)),
    ]
    for table in tables.all_of(report):
        parts.append(_table(table))
        for name, path in figures.items():
            if FIGURES.get(name, FIGURES["scalars"]) == table.title:
                data = base64.b64encode(path.read_bytes()).decode()
                parts.append(f'<img alt="{_escaped(name)}" src="data:image/png;base64,{data}">')
    parts += ["<h2>How long</h2>", *(f'<p class="how">{_escaped(line)}</p>' for line in _times(report))]
    title = _escaped(f"Audit of {corpus['name']}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def _about(report: tables.Report) -> list[str]:
    corpus = report["corpus"]
    hours = sum(row["hours"] for row in report["counts"])
    lines = [
        f"{corpus['rows']:,} clips, {hours:,.2f} h, made {report['made']} by dfx {report['dfx']}, "
        f"corpus {corpus['hash'][:8]}"
    ]
    return [*lines, corpus["note"]] if corpus["note"] else lines


def _scale(report: tables.Report) -> list[str]:
    headline = report["headline"]
    if headline.get("lfcc_auc") is None:
        return []
    return [
        f"For scale: the mean and deviation of plain LFCCs, which do listen, reach AUC {headline['lfcc_auc']:.2f} "
        f"(EER {headline['lfcc_eer']:.1%}) on eval with logistic regression."
    ]


def _times(report: tables.Report) -> list[str]:
    times = report["time"]
    lines = [f"This audit took {times['seconds']:.0f} s.", times["estimate"]["text"]]
    limits = report["duplicates"]["limits"]
    return [*lines, f"Duplicates: {limits}."] if limits else lines


def _finding(found: dict[str, str]) -> str:
    examples = f'<div class="ids">{_escaped(found["examples"])}</div>' if found["examples"] else ""
    todo = f'<div class="do">{_escaped(found["advice"])}</div>' if found["advice"] else ""
    return (
        f'<div class="finding {found["severity"]}"><b>{_escaped(found["title"])}</b>'
        f"<div>{_escaped(found['wrong'])}</div>{todo}{examples}</div>"
    )


def _table(table: tables.Table) -> str:
    text = [number == 0 or name in TEXT_COLUMNS for number, name in enumerate(table.head)]

    def cells(tag: str, row: list[str]) -> str:
        return "".join(
            f"<{tag}{' class=text' if left else ''}>{_escaped(cell)}</{tag}>"
            for cell, left in zip(row, text, strict=True)
        )

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in table.rows)
    note = f'<p class="how">{_escaped(table.note)}</p>' if table.note else ""
    return (
        f'<h2>{_escaped(table.title)}</h2><div class="scroll"><table><tr>{cells("th", table.head)}</tr>\n{body}</table>'
        f"</div>{note}"
    )


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _escaped(text: object) -> str:
    return html.escape(str(text))
