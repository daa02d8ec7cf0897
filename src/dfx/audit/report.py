"""Report of an audit: the page, its tables, and the metrics for MLflow."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from dfx.audit import figures
from dfx.audit.corpus_audit import CorpusAudit
from dfx.audit.shortcut_models import CEPSTRA
from dfx.reporting.document import Document
from dfx.reporting.document_parts import (
    DocumentFindings,
    DocumentHeading,
    DocumentLead,
    DocumentNotice,
    DocumentPart,
    DocumentPicture,
    DocumentText,
)
from dfx.reporting.document_table import DocumentTable
from dfx.tables.findings import MAX_EXAMPLES, SEVERITIES, Finding

Results = dict[str, Any]  # the attribute of `CorpusAudit`

DIGITS = 4
MAX_SCALARS = 8  # rows of the table on the terminal
PERCENT = ("zeros", "clipped", "dc", "relative_bandwidth")


def audit_document(audit: CorpusAudit) -> Document:
    """Build the report document of an audit."""
    results = audit.results
    corpus, headline = results["corpus"], results["headline"]
    hours = sum(row["hours"] for row in results["counts"])
    drawn = figures.draw_audit_figures(results["scalars"], results["models"], audit.table)
    models, scalars, counts = _models_table(results), _scalars_table(results), _counts_table(results)
    findings = DocumentFindings([audit_report_notice(found) for found in results["findings"]], overview=True)
    took = f"This audit took {results['seconds']:.0f} s."
    limits = results["duplicates"]["limits"]
    about = (
        f"{corpus['rows']:,} clips, {hours:,.2f} h, made {results['made']} by dfx {results['dfx']}, corpus "
        f"{corpus['hash'][:8]}"
    )
    value = "" if headline["auc"] is None else f"{headline['auc']:.2f}"
    parts: list[DocumentPart] = [
        *(DocumentText(line, "about") for line in (about, corpus["note"]) if line),
        DocumentLead(headline["text"], value, "AUC to beat, on eval", _for_scale(headline)),
        findings,
    ]
    for table, names in (
        (models, ("models",)),
        (scalars, ("scalars", "distributions")),
        (_leaks_table(results), ()),
        (counts, ()),
        (_files_table(results), ()),
    ):
        if table.rows:
            parts += [table, *(DocumentPicture(name, drawn[name]) for name in names if name in drawn)]
    parts += [DocumentHeading("How long"), DocumentText(took, "small")]
    parts += [DocumentText(f"Duplicates: {limits}.", "small")] if limits else []
    without_intervals = [[cell.partition(" (")[0] for cell in map(str, row)] for row in models.rows]
    brief: list[DocumentPart] = [
        table._replace(note="")
        for table in (
            counts,
            models._replace(rows=without_intervals),
            scalars._replace(head=scalars.head[:4], rows=[row[:4] for row in scalars.rows[:MAX_SCALARS]]),
        )
        if table.rows
    ]
    brief += [findings, DocumentLead(headline["text"])]
    brief += [DocumentText(f"{corpus['note'][0].upper()}{corpus['note'][1:]}", "warning")] if corpus["note"] else []
    return Document(
        "audit", f"Audit of {corpus['name']}", parts, [*brief, DocumentText(took)], report_json_value(results)
    )


def audit_metrics(results: Results) -> dict[str, float]:
    """Return the metrics of an audit for MLflow, by name."""
    severities = [found.severity for found in results["findings"]]
    numbers = {f"findings/{severity}": float(severities.count(severity)) for severity in SEVERITIES}
    for key in ("auc", "eer", "lfcc_auc", "lfcc_eer"):
        if results["headline"].get(key) is not None:
            numbers[f"to_beat/{key}"] = float(results["headline"][key])
    for row in results["scalars"]:
        if row["strength"] is not None:
            numbers[f"scalar/{row['name']}"] = float(row["strength"])
    return numbers


def report_json_value(value: Any) -> Any:
    """Convert a value for JSON: round numbers to four decimals, replace NaN and infinity by null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {str(key): report_json_value(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [report_json_value(entry) for entry in value]
    if isinstance(value, float):
        return round(float(value), DIGITS) if math.isfinite(value) else None
    return report_json_value(value.item()) if hasattr(value, "item") else value


def audit_report_notice(found: Finding) -> DocumentNotice:
    """Convert a finding to a notice for the report; its kind "leaked-speaker" becomes the title "Leaked: speaker"."""
    wrong, _, advice = found.text.partition(" What to do: ")
    shown = [name for name in found.examples if repr(name) not in wrong]
    rest = ", ..." if len(shown) == MAX_EXAMPLES and found.count > len(shown) else ""
    kind = found.kind
    for start in ("leaked", "shortcut"):
        kind = kind.replace(f"{start}-", f"{start}: ", 1) if kind.startswith(f"{start}-") else kind
    title = _capitalized(kind.replace("-", " "))
    for word, written in (("Dc ", "DC "), ("Nan ", "NaN "), ("Apple d", "AppleD")):
        title = title.replace(word, written)
    return DocumentNotice(wrong, found.severity, title, _capitalized(advice), ", ".join(shown) + rest)


def _counts_table(results: Results) -> DocumentTable:
    head = ["split", "class", "clips", "usable", "hours", "attacks", "speakers"]
    rows = [
        [
            *(row["split"], row["class"], f"{row['clips']:,}", f"{row['usable']:,}", f"{row['hours']:.2f}"),
            f"{row['attacks']:,}" if row["class"] == "spoof" else "",
            f"{row['speakers']:,}" if row["speakers"] else "not named",
        ]
        for row in results["counts"]
    ]
    return DocumentTable("What is in it", head, rows, words=("class",))


def _models_table(results: Results) -> DocumentTable:
    """Make the table of the AUC of each shortcut model."""
    places = _places(results["models"])
    rows = []
    for row in results["models"]:
        cells = [row["places"].get(place) for place in places]
        eer = row["places"].get("eval", {}).get("eer")
        rows.append(
            [
                f"{row['name']} (listens; for scale)" if row["name"] == CEPSTRA else row["name"],
                *(f"{c['auc']:.2f} ({c['low']:.2f}–{c['high']:.2f})" if c else "" for c in cells),
                "" if eer is None else f"{eer:.1%}",
            ]
        )
    note = (
        "AUC with its 95 % interval, learned from train: gradient boosting of the scalars; the LFCC statistics (mean "
        "and deviation of 20 cepstra at 16 kHz, logistic regression) do listen and are there for scale. Basic scalars: "
        "duration, sample rate, bandwidth, silences, loudness, peak, noise floor, exact zeros. Intervals take clips as "
        "independent: where they share speakers or sentences the true ones are wider."
    )
    return DocumentTable("Without listening: models", ["learned from", *places, "EER on eval"], rows, note)


def _scalars_table(results: Results) -> DocumentTable:
    """Make the table of the AUC of each scalar, the strongest first."""
    places = _places(results["scalars"])
    rows, constant = [], []
    for row in results["scalars"]:
        if figures.is_constant_scalar(row):
            constant.append(row["title"])
        elif row["strength"] is not None:
            low, high = sorted(end if row["auc"] >= 0.5 else 1 - end for end in (row["low"], row["high"]))
            cells = [row["places"].get(place) for place in places]
            rows.append(
                [
                    *(row["title"], f"{row['strength']:.2f}", f"{low:.2f}–{high:.2f}"),
                    (row["higher_in"] or "") if row["name"] != "format" else "",
                    *(_mean(row, "bonafide"), _mean(row, "spoof")),
                    *(f"{cell['auc']:.2f}" if cell else "" for cell in cells),
                ]
            )
    head = ["number", "AUC", "95 %", "higher in", "bona fide", "spoof", *places]
    note = (
        "AUC on the whole corpus, whichever way it points: .5 tells nothing, 1 everything. Bona fide, spoof: means. "
        f"{', '.join(places) or 'eval'}: AUC in the direction that train has; below .5 it misleads there. Silence is "
        "what is 40 dB under the loudest 10 ms, the noise floor the 5th percentile of 10 ms frames."
    ) + (f" The same in all clips: {', '.join(constant)}." if constant else "")
    return DocumentTable("Without listening: one number alone", head, rows, note, ("higher in",))


def _leaks_table(results: Results) -> DocumentTable:
    rows = [
        [
            *(row["kind"], f"{row['first']} → {row['second']}", f"{row['values']:,}"),
            f"{row['clips']:,} of {row['of']:,}",
            f"{row['share']:.1%}" if 0 < row["share"] < 0.1 else f"{row['share']:.0%}",
        ]
        for row in results["leaks"]
    ]
    note = "Clips of the second split whose speaker, utterance, … the first has too; attacks: of its spoof clips."
    head = ["", "splits", "in both", "clips", "share"]
    return DocumentTable("On both sides of a split", head, rows, note, ("splits",))


def _files_table(results: Results) -> DocumentTable:
    titles = {"sample_rate": "sample rate (Hz)", "format": "format", "channels": "channels", "bits": "bits"}
    rows = []
    for name, title in titles.items():
        for number, row in enumerate(results["formats"].get(name, [])):
            value = "lossy" if name == "bits" and row["value"] == "0" else row["value"]
            rows.append(["" if number else title, value, f"{row['bonafide']:,}", f"{row['spoof']:,}"])
    return DocumentTable("The files", ["", "value", "bona fide", "spoof"], rows, words=("value",))


def _for_scale(headline: dict[str, Any]) -> list[str]:
    if headline.get("lfcc_auc") is None:
        return []
    return [
        f"For scale: the mean and deviation of plain LFCCs, which do listen, reach AUC {headline['lfcc_auc']:.2f} "
        f"(EER {headline['lfcc_eer']:.1%}) on eval with logistic regression."
    ]


def _places(rows: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(place for row in rows for place in row["places"]))


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _mean(row: dict[str, Any], label: str) -> str:
    value = row[label]["mean"] if row[label] else None
    if value is None or math.isnan(value):
        return ""
    if row["name"].startswith("multiple_"):
        return f"{value:.0%}"
    if row["name"] in PERCENT:
        return f"{100 * value:.2g}%"
    if row["family"] == "silence":
        return f"{value:.3f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
