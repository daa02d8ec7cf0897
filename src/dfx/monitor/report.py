"""Report of the monitor: what has drifted in words, table, figures, and metrics for MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dfx.monitor import figures
from dfx.monitor.periods import time_text
from dfx.monitor.samples import EMBEDDINGS, MEASURE_TITLES, MEASURE_UNITS, SHARES
from dfx.monitor.watch import LEAST_ANSWERS, MOST_ANSWERS, WatchedLog, WatchedPeriod
from dfx.reporting.document import Document
from dfx.reporting.document_parts import (
    DocumentCode,
    DocumentFindings,
    DocumentHeading,
    DocumentLead,
    DocumentNotice,
    DocumentPart,
    DocumentText,
    counted,
)
from dfx.reporting.document_table import DocumentCell, DocumentTable
from dfx.tracking.run import MetricPoint

ADVICE = (
    "Listen to some files of the period and look at where they come from. If the new input is here to stay, measure "
    "the detector on labelled clips of it (dfx.evaluate), train it on with them, and register the successor:"
)
RETRAIN = "python -m dfx.train init={place} dataset=manifest dataset.path=NEW_CLIPS.csv optimizer.lr=1e-4"
MEDIAN = 2  # place in the quantiles


def drift_document(watched: WatchedLog) -> Document:
    """Build the report document of the monitor."""
    latest, count = watched.latest, len(watched.drifted)
    about = [
        f"{watched.name}: {period_text(latest)}, {counted(latest.count, 'answer')}",
        f"Reference: {watched.reference.text}",
    ]
    measures = len(latest.drift)
    lead = DocumentLead(headline(watched), f"{count} of {measures}", "measures beyond their limit")
    notices = DocumentFindings(
        [DocumentNotice(text, "warning", _capitalized(MEASURE_TITLES[name])) for name, text in drift_texts(watched)]
    )
    table = _table(watched)
    parts: list[DocumentPart] = [*(DocumentText(text, "about") for text in about), lead, notices]
    parts += [table, *figures.draw_drift_figures(watched)]
    if count:
        parts += [
            DocumentHeading("What to do"),
            DocumentText(ADVICE),
            DocumentCode(RETRAIN.format(place=watched.place)),
        ]
    parts += [DocumentHeading("How it is measured"), *(DocumentText(text, "small") for text in _method(watched))]
    brief: list[DocumentPart] = [
        *(DocumentText(text, "small") for text in about),
        _short(table),
        notices,
        lead,
    ]
    brief += [DocumentText(note, "small") for note in watched.notes]
    return Document("monitor", f"Drift of {watched.name}", parts, brief, _data(watched))


def headline(watched: WatchedLog) -> str:
    """Say in a sentence whether something has drifted."""
    if not watched.drifted:
        return f"No drift: the last {watched.length} is like the reference."
    names = ", ".join(MEASURE_TITLES[name] for name in watched.drifted[:3])
    more = f" and {len(watched.drifted) - 3} more" if len(watched.drifted) > 3 else ""
    starts = {watched.since(name).start_ms: watched.since(name) for name in watched.drifted}
    since = f" {_since_text(watched, next(iter(starts.values())))}" if len(starts) == 1 else ""
    return f"Drift{since}: {names}{more}."


def drift_texts(watched: WatchedLog) -> Iterator[tuple[str, str]]:
    """Yield what has drifted: measure, and in which direction and since when as a sentence."""
    for name in watched.drifted:
        title = MEASURE_TITLES[name]
        if name == EMBEDDINGS:
            change = f"The {title} has moved: the network hears other sounds than in the reference"
        else:
            way, values = _change(watched, name)
            change = f"The {title} is {way}: {values}"
        moved = f"at least {100 * watched.latest.drift[name].distance:.0f} % of the answers have other values"
        moved = "" if name in (*SHARES, EMBEDDINGS) else f"; {moved}"
        yield name, f"{change}{moved}. {_capitalized(_since_text(watched, watched.since(name)))}."


def drifted_text(watched: WatchedLog) -> str:
    """Name the measures that have drifted, for a tag; "none" if there are none."""
    return ", ".join(watched.drifted) or "none"


def period_text(period: WatchedPeriod) -> str:
    """Describe the time of a period."""
    return f"{time_text(period.start_ms)} to {time_text(period.end_ms)} UTC"


def _since_text(watched: WatchedLog, first: WatchedPeriod) -> str:
    drawn = [period for period in watched.periods if period.drift]
    if first is drawn[0] and len(drawn) > 1:
        return f"since {time_text(first.start_ms)} UTC or earlier"
    return f"since {time_text(first.start_ms)} UTC"


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _change(watched: WatchedLog, name: str) -> tuple[str, str]:
    """Describe the direction of a change, and the values before and after."""
    now, before = watched.latest, watched.of_reference
    if name in SHARES:
        way = "higher" if now.means[name] > before.means[name] else "lower"
        return way, f"{100 * now.means[name]:.1f} %, reference {100 * before.means[name]:.1f} %"
    for word, new, old in (
        ("median", now.quantiles[name][MEDIAN], before.quantiles[name][MEDIAN]),
        ("mean", now.means[name], before.means[name]),
    ):
        texts = value_text(name, new), value_text(name, old)
        if texts[0] != texts[1]:
            return "higher" if new > old else "lower", f"{word} {texts[0]}, reference {texts[1]}"
    return "spread otherwise", f"median and mean are the same, {texts[0]}"


def value_text(name: str, value: float) -> str:
    """Format a value of a measure, with its unit."""
    unit = MEASURE_UNITS[name]
    if name in SHARES:
        return f"{100 * value:.1f} %"
    digits = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{digits} {unit}".rstrip()


def _table(watched: WatchedLog) -> DocumentTable:
    latest, before = watched.latest, watched.of_reference
    rows = list[list[str | DocumentCell]]()
    for name, found in sorted(latest.drift.items(), key=lambda pair: -pair[1].excess):
        look = "bad" if found.drifted else ""
        middle = [
            ""
            if name == EMBEDDINGS
            else value_text(name, period.means[name] if name in SHARES else period.quantiles[name][MEDIAN])
            for period in (before, latest)
        ]
        since = time_text(watched.since(name).start_ms) if found.drifted else ""
        distance = DocumentCell(f"{found.distance:.3f}", "", look)
        p_value = "< 0.001" if found.p_value <= 0.001 else f"{found.p_value:.3f}"
        rows.append([MEASURE_TITLES[name], *middle, distance, f"{found.limit:.3f}", p_value, since])
    note = (
        "Reference and period: median, or share. Distance of the two distributions: 0 the same, 1 apart (Kolmogorov-"
        "Smirnov; of the embedding the mean over its directions). p: of this measure alone. The measures are sorted by "
        "distance / limit."
    )
    return DocumentTable("Measures", ["measure", "reference", "period", "distance", "limit", "p", "since"], rows, note)


def _short(table: DocumentTable) -> DocumentTable:
    """Return the table for the terminal: the columns up to the limit."""
    return table._replace(head=table.head[:5], rows=[row[:5] for row in table.rows], note="")


def _method(watched: WatchedLog) -> list[str]:
    percent = f"{100 * watched.false_alarm:g} %"
    return [
        f"A period without any change has a measure beyond its limit in {percent} of the cases, over all measures "
        "together: the limits come from shuffling the answers of period and reference. Of "
        f"{len(watched.periods)} periods that are drawn, about {watched.false_alarm * len(watched.periods):.1f} would "
        "be false alarms.",
        *watched.notes,
        f"Of more than {MOST_ANSWERS:,} answers, {MOST_ANSWERS:,} are compared, spread evenly over the period; a "
        f"period with fewer than {LEAST_ANSWERS} is not compared. This report took {watched.seconds:.1f} s.",
    ]


def drift_metrics(watched: WatchedLog) -> dict[str, float]:
    """Return the metrics of the last period for MLflow."""
    return {
        "drifted_measures": float(len(watched.drifted)),
        "answers": float(watched.latest.count),
        "reference_answers": float(watched.reference.count),
    }


def drift_history(watched: WatchedLog) -> list[MetricPoint]:
    """Return the metrics over time for MLflow: `excess/MEASURE` (above 1 is drift) and `mean/MEASURE`."""
    points = []
    for step, period in enumerate(watched.periods):
        for name, found in period.drift.items():
            points.append(MetricPoint(f"excess/{name}", found.excess, period.end_ms, step))
            if name in period.means:
                points.append(MetricPoint(f"mean/{name}", period.means[name], period.end_ms, step))
    return points


def _data(watched: WatchedLog) -> dict[str, Any]:
    return {
        "detector": watched.name,
        "digest": watched.digest,
        "reference": watched.reference.text,
        "false_alarm": watched.false_alarm,
        "drifted": watched.drifted,
        "periods": [
            {
                "start": time_text(period.start_ms),
                "end": time_text(period.end_ms),
                "answers": period.count,
                "drifted": period.drifted,
                "measures": {
                    name: {
                        "mean": period.means.get(name),
                        **{key: round(getattr(found, key), 5) for key in ("distance", "limit", "p_value")},
                    }
                    for name, found in period.drift.items()
                },
            }
            for period in watched.periods
        ],
    }
