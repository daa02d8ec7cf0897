"""The report as Markdown, and as one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dfx.audit import tables
from dfx.reporting import document
from dfx.reporting.document import escaped

STYLE = """
<style>
.beat { background: #14324f; color: #fff; border-radius: 12px; padding: 22px 26px; margin: 18px 0; display: flex;
  gap: 26px; align-items: center; flex-wrap: wrap }
.beat b { font-size: 52px; line-height: 1; font-weight: 700; white-space: nowrap }
.beat b small { display: block; font-size: 14px; font-weight: 400; margin-top: 6px; opacity: .85 }
.beat div { flex: 1 1 380px } .beat p { margin: 0 } .beat p + p { margin-top: 6px }
.chips { display: flex; gap: 10px; margin: 14px 0; flex-wrap: wrap }
.chip { border-radius: 99px; padding: 3px 14px; color: #fff; font-size: 14px; font-weight: 600 }
.chip.error { background: var(--error) } .chip.warning { background: var(--warning) }
.chip.note { background: var(--note) }
.ids { color: var(--dim); font: 12px/1.5 ui-monospace, Consolas, monospace; margin-top: 4px }
.do { margin-top: 4px } .do::before { content: "→ "; font-weight: 700 }
</style>
"""
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
        lines += ["", document.markdown(table)]
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
    scale = "".join(f"<p>{escaped(line)}</p>" for line in _scale(report))
    chips = "".join(
        f'<span class="chip {severity}">{count} {word.lower()}{"s" if count != 1 else ""}</span>'
        for severity, word in WORDS.items()
        if (count := sum(found["severity"] == severity for found in report["findings"]))
    )
    parts = [
        STYLE,
        f"<h1>Audit of {escaped(corpus['name'])}</h1>",
        *(f'<div class="sub">{escaped(line)}</div>' for line in _about(report)),
        f'<div class="beat">{number}<div><p>{escaped(headline["text"])}</p>{scale}</div></div>',
        f'<div class="chips">{chips or "No findings."}</div>',
        *map(_finding, tables.findings(report)),
    ]
    for table in tables.all_of(report):
        parts.append(document.html_table(table))
        for name, path in figures.items():
            if FIGURES.get(name, FIGURES["scalars"]) == table.title:
                parts.append(document.image(path, name))
    parts += ["<h2>How long</h2>", *(f'<p class="how">{escaped(line)}</p>' for line in _times(report))]
    return document.page(f"Audit of {corpus['name']}", parts)


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
    examples = f'<div class="ids">{escaped(found["examples"])}</div>' if found["examples"] else ""
    todo = f'<div class="do">{escaped(found["advice"])}</div>' if found["advice"] else ""
    return (
        f'<div class="finding {found["severity"]}"><b>{escaped(found["title"])}</b>'
        f"<div>{escaped(found['wrong'])}</div>{todo}{examples}</div>"
    )
