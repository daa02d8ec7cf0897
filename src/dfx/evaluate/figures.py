"""Figures of an evaluation: DET, reliability and histogram for each corpus, and EERs on all corpora."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from dfx.evaluate.measurements import Measurements
from dfx.evaluate.tables import names_with_training_corpus
from dfx.reporting import figures
from dfx.reporting.document import document_file_name
from dfx.reporting.document_parts import DocumentPicture

MAX_CURVES = 12  # more cannot be distinguished
Values = Mapping[tuple[str, str, str], float]  # by system, corpus and metric


def draw_evaluation_figures(measured: Measurements) -> list[DocumentPicture]:
    """Draw all figures of an evaluation."""
    values = {(row.system, row.corpus, row.metric): row.value for row in measured.rows if not row.by}
    pictures = [DocumentPicture("corpora", _eer_matrix(measured, values))] if len(measured.corpora) > 1 else []
    for corpus in measured.corpora:
        results = [result for result in measured.results if result.corpus == corpus]
        name, note = document_file_name(corpus), " ".join(dict.fromkeys(r.note for r in results if r.note))
        by_eer = sorted(results, key=lambda result: values[result.system, result.corpus, "eer"])
        shown = [result for result in results if result in by_eer[:MAX_CURVES]]
        curves = {result.system: result.table for result in shown if not result.calibrated}
        det = figures.det_error_curves(curves, f"Detection error trade-off on {corpus}", note)
        pictures.append(DocumentPicture(f"det-{name}", det))
        if ratios := {result.system: result.table for result in shown if result.llr}:
            reliability = figures.reliability(ratios, title=f"Reliability on {corpus}", note=note)
            pictures.append(DocumentPicture(f"reliability-{name}", reliability))
        if len(results) == 1:
            (only,) = results
            threshold = values.get((only.system, corpus, "dev_threshold"))
            histogram = figures.histogram(only.table, threshold, f"Scores of {only.name}", note)
            pictures.append(DocumentPicture(f"scores-{name}", histogram))
    return pictures


def _eer_matrix(measured: Measurements, values: Values) -> Figure:
    results, corpora = measured.uncalibrated, measured.corpora
    systems = names_with_training_corpus(results)
    percent = np.array(
        [[100 * values.get((system, corpus, "eer"), np.nan) for corpus in corpora] for system in systems]
    )
    trained_on = {
        (list(systems).index(result.system), corpora.index(result.corpus))
        for result in results
        if result.trained_on == result.corpus.partition(":")[0]
    }
    return figures.heat_map(
        percent,
        list(systems.values()),
        corpora,
        [["" if np.isnan(value) else f"{value:.1f}" for value in line] for line in percent],
        "EER (%)",
        "EER by system and corpus",
        framed=trained_on,
        caption="Framed: the corpus that the system was trained on." if trained_on else "",
    )
