"""Figures of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure

from dfx.evaluate import tables
from dfx.evaluate.measure import Row
from dfx.evaluate.report import Report
from dfx.evaluate.result import Result
from dfx.reporting import figures as plots
from dfx.reporting.document import file_name

MOST_CURVES = 12  # more cannot be told apart


def draw(report: Report) -> dict[str, Figure]:
    """Figures by the name of their file: DET, reliability and histogram of each corpus, and the matrix."""
    drawn = {}
    if matrix := _matrix(report):
        drawn["corpora"] = matrix
    for corpus in report.corpora:
        mine = [result for result in report.results if result.corpus == corpus]
        note = " ".join(dict.fromkeys(result.note for result in mine if result.note))
        curves = {result.system: result.table for result in _best(mine, report) if not result.calibrated}
        drawn[f"det {file_name(corpus)}"] = plots.det(curves, f"Detection error trade-off on {corpus}", note)
        if ratios := {result.system: result.table for result in _best(mine, report) if result.llr}:
            drawn[f"reliability {file_name(corpus)}"] = plots.reliability(
                ratios, title=f"Reliability on {corpus}", note=note
            )
        if len(mine) == 1:
            drawn[f"scores {file_name(corpus)}"] = plots.histogram(
                mine[0].table, _dev_threshold(report, mine[0]), f"Scores of {mine[0].name}", note
            )
    return drawn


def _best(results: list[Result], report: Report) -> list[Result]:
    """Those of the lowest EER, where there are too many for one figure."""
    rates = {(row.system, row.corpus): row.value for row in report.rows if row.metric == "eer" and not row.by}
    kept = sorted(results, key=lambda result: rates[result.system, result.corpus])[:MOST_CURVES]
    return [result for result in results if result in kept]


def _matrix(report: Report) -> Figure | None:
    """The cross-corpus matrix: what a detector that was trained here reaches there."""
    if len(report.corpora) < 2:
        return None
    systems = tables.labels(report.ranked)
    places = {system: number for number, system in enumerate(systems)}
    percent = np.full((len(systems), len(report.corpora)), np.nan)
    for row in (row for row in _whole(report, "eer") if row.system in places):
        percent[places[row.system], report.corpora.index(row.corpus)] = 100 * row.value
    own = {
        (places[result.system], report.corpora.index(result.corpus))
        for result in report.ranked
        if result.trained_on == result.corpus.partition(":")[0]
    }
    return plots.heat_map(
        percent,
        list(systems.values()),
        report.corpora,
        [["" if np.isnan(value) else f"{value:.1f}" for value in line] for line in percent],
        "EER (%)",
        "Trained here, measured there",
        framed=own,
        caption="Framed: the corpus that the system was trained on." if own else "",
    )


def _dev_threshold(report: Report, result: Result) -> float | None:
    found = [
        row.value
        for row in _whole(report, "dev_threshold")
        if (row.system, row.corpus) == (result.system, result.corpus)
    ]
    return found[0] if found else None


def _whole(report: Report, metric: str) -> Iterable[Row]:
    return (row for row in report.rows if row.metric == metric and not row.by)
