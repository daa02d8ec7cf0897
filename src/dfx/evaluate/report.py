"""Report of an evaluation: its document, its files and its metrics for MLflow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dfx.evaluate import figures, tables
from dfx.evaluate.measurements import MeasuredRow, Measurements
from dfx.metrics import mlflow_name
from dfx.reporting.document import Document, document_file_name
from dfx.reporting.document_parts import DocumentFindings, DocumentNotice, DocumentText

FOLDER = Path("mlruns") / "evaluate"


def evaluation_document(measured: Measurements) -> Document:
    """Build the report document of an evaluation, with a short version for the terminal."""
    notices = [
        DocumentNotice(found.text, found.severity, result.name)
        for result in measured.results
        for found in result.findings
    ]
    corpus_notes = list(dict.fromkeys(result.note for result in measured.results if result.note))
    notes = [DocumentText(note, "small") for note in measured.notes]
    return Document(
        "evaluation",
        _title(measured),
        [
            *(DocumentText(note, "about") for note in corpus_notes),
            DocumentFindings(notices),
            *tables.evaluation_tables(measured),
            *figures.draw_evaluation_figures(measured),
            *notes,
        ],
        [
            *tables.evaluation_tables(measured, short=True),
            DocumentFindings(notices),
            *notes,
            *(DocumentText(f"{note[0].upper()}{note[1:]}", "warning") for note in corpus_notes),
        ],
        _data(measured),
        "metrics.json",
    )


def write_evaluation_report(report: Document, measured: Measurements, out: str | None) -> list[Path]:
    """Write the report, the measurements, the scores and the list of bad files; return the paths.

    The path of the page is first.

    Args:
        report: the document.
        measured: the measurements that it shows.
        out: folder; None: `mlruns/evaluate/NAME`.
    """
    numbers = pd.DataFrame(measured.rows, columns=list(MeasuredRow._fields))
    more: dict[str, str | Callable[[Path], object]] = {"results.csv": numbers.to_csv(index=False)}
    for result in measured.results:
        more[f"{result.file_name}.csv"] = result.table.write
        more[f"{result.file_name}.txt"] = result.table.write_plain
    bad = [result.bad.assign(system=result.system, corpus=result.corpus) for result in measured.results]
    if any(map(len, bad)):
        more["bad_files.csv"] = pd.concat(bad).to_csv(index=False)
    return report.write(Path(out).expanduser() if out else FOLDER / document_file_name(report.title), more)


def evaluation_mlflow_metrics(measured: Measurements) -> dict[str, float]:
    """Return the metrics by MLflow name: `CORPUS/METRIC`, or `CORPUS/SYSTEM/METRIC` for several systems."""
    several = len({result.system for result in measured.results}) > 1
    named = {}
    for row in measured.rows:
        if not row.by:
            parts = (row.corpus, row.system, row.metric) if several else (row.corpus, row.metric)
            named["/".join(map(mlflow_name, parts))] = row.value
    return named


def _title(measured: Measurements) -> str:
    systems = list(dict.fromkeys(result.system for result in measured.uncalibrated))
    return f"{_listed(systems, 'systems')} on {_listed(measured.corpora, 'corpora')}"


def _listed(names: Sequence[str], word: str) -> str:
    return " and ".join(names) if len(names) < 3 else f"{len(names)} {word}"


def _data(measured: Measurements) -> Mapping[str, Any]:
    results = []
    for result in measured.results:
        rows = [row for row in measured.rows if (row.system, row.corpus) == (result.system, result.corpus)]
        about = {name: getattr(result, name) for name in ("system", "corpus", "trained_on", "crop", "llr")}
        results.append(
            {
                **about,
                "trials_hash": result.table.trials_hash,
                "threshold_from": result.dev_source or None,
                "bonafide": len(result.table.bonafide),
                "spoof": len(result.table.spoof),
                "left_out": result.bad.to_dict("records"),
                "metrics": {row.metric: _number(row) for row in rows if not row.by},
                "by": {
                    by: {
                        row.part: {**_number(row), "bonafide": row.bonafide, "spoof": row.spoof}
                        for row in rows
                        if (row.by, row.metric) == (by, "eer")
                    }
                    for by in measured.by
                },
            }
        )
    comparisons = [
        pair._asdict() | {"eer": pair.eer._asdict() if pair.eer else None, "auc": pair.auc._asdict()}
        for pair in measured.pairs
    ]
    findings = [
        {"of": result.name, "kind": found.kind, "severity": found.severity, "text": found.text}
        for result in measured.results
        for found in result.findings
    ]
    return {"results": results, "comparisons": comparisons, "findings": findings, "notes": measured.notes}


def _number(row: MeasuredRow) -> dict[str, float | None]:
    ends = {"low": row.low, "high": row.high}  # NaN where trials were not resampled
    return {"value": row.value, **{name: None if math.isnan(end) else end for name, end in ends.items()}}
