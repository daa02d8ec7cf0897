"""Tables of an evaluation: metrics by corpus, EER by system and corpus, breakdowns, comparisons, trials."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dfx import metrics
from dfx.evaluate.compare import MeasuredPair
from dfx.evaluate.measurements import ATTACK, BREAKDOWN_METRICS, MeasuredRow, Measurements
from dfx.evaluate.result import Result
from dfx.reporting import metric_names
from dfx.reporting.document_table import DocumentTable
from dfx.reporting.metric_names import METRICS

MAIN_METRICS = ("eer", "auc", "min_tdcf_2019", "min_tdcf_revised", "min_dcf", "cllr", "accuracy")
MAX_COLUMNS = 2  # systems with a column each; if there are more, each has a row
MAX_PARTS = 40  # values of a column; the others are in results.csv


def evaluation_tables(measured: Measurements, short: bool = False) -> list[DocumentTable]:
    """Make all tables of an evaluation; short ones are for the terminal."""
    tables = [
        *(_metrics_on(measured.rows, corpus, short) for corpus in measured.corpora),
        _eer_matrix(measured),
        *(_breakdown(measured.rows, corpus, by, short) for corpus in measured.corpora for by in measured.by),
        _comparisons(measured.pairs),
        None if short else _trials(measured.results),
    ]
    return [table for table in tables if table is not None]


def names_with_training_corpus(results: Sequence[Result]) -> dict[str, str]:
    """Add the training corpus to the name of each system, if it is known: `lcnn (asvspoof2019_la)`."""
    return {
        result.system: f"{result.system} ({result.trained_on})" if result.trained_on else result.system
        for result in results
    }


def _metrics_on(rows: Sequence[MeasuredRow], corpus: str, short: bool) -> DocumentTable:
    systems: dict[str, dict[str, MeasuredRow]] = {}
    for row in rows:
        if row.corpus == corpus and not row.by:
            systems.setdefault(row.system, {})[row.metric] = row
    names = [name for name in METRICS if any(name in found for found in systems.values())]
    has_intervals = any(math.isfinite(row.low) for found in systems.values() for row in found.values())
    note = "" if has_intervals else "No 95 % intervals; bootstrap=1000 makes them."
    if len(systems) <= MAX_COLUMNS:
        lines = [
            [
                METRICS[name].title,
                *(_cell(found.get(name)) for found in systems.values()),
                METRICS[name].meaning,
            ]
            for name in names
        ]
        return DocumentTable(corpus, ["metric", *systems, "meaning"], lines, note, ("meaning",))
    names = [name for name in names if name in MAIN_METRICS or not short]
    lines = [[system, *(_cell(found.get(name)) for name in names)] for system, found in systems.items()]
    return DocumentTable(corpus, ["system", *(METRICS[name].title for name in names)], lines, note)


def _eer_matrix(measured: Measurements) -> DocumentTable | None:
    """Make the table of the EER of each system on each corpus; None if there is only one corpus."""
    corpora = measured.corpora
    if len(corpora) < 2:
        return None
    eers = {(row.system, row.corpus): row for row in measured.rows if row.metric == "eer" and not row.by}
    lines = [
        [name, *(_cell(eers.get((system, corpus))) for corpus in corpora)]
        for system, name in names_with_training_corpus(measured.uncalibrated).items()
    ]
    known = any(result.trained_on for result in measured.uncalibrated)
    note = "EER." + (" In brackets after a system: the corpus that it was trained on." if known else "")
    return DocumentTable("Corpus by corpus", ["system", *corpora], lines, note)


def _breakdown(rows: Sequence[MeasuredRow], corpus: str, by: str, short: bool) -> DocumentTable | None:
    """Make the table of the EER of each system on each part of a corpus; None for a single part."""
    chosen = [row for row in rows if row.corpus == corpus and row.by == by]
    trials = {row.part: f"{row.bonafide:,} + {row.spoof:,}" for row in chosen}
    if len(trials) < 2:
        return None
    systems = list(dict.fromkeys(row.system for row in chosen))
    cells = {(row.part, row.system, row.metric): row for row in chosen}
    names = BREAKDOWN_METRICS if len(systems) == 1 and not short else ("eer",)
    intervals = len(systems) == 1 or not short
    lines = [
        [part, *(_cell(cells.get((part, s, name)), intervals) for s in systems for name in names), count]
        for part, count in list(trials.items())[:MAX_PARTS]
    ]
    head = [by, *(systems if len(systems) > 1 else [METRICS[name].title for name in names]), "trials"]
    what = "each attack against all bona fide trials" if by == ATTACK else "both classes of each value"
    what = f"EER: {what}" if len(systems) > 1 else f"{what[0].upper()}{what[1:]}"
    more = f" {len(trials) - MAX_PARTS} more values are in results.csv." if len(trials) > MAX_PARTS else ""
    return DocumentTable(f"{corpus}, by {by}", head, lines, f"{what}. Trials: bona fide + spoof.{more}")


def _comparisons(pairs: Sequence[MeasuredPair]) -> DocumentTable | None:
    """Make the table of EER and AUC differences between pairs of systems; None if there are no pairs."""
    if not pairs:
        return None
    head = ["corpus", "first", "second", "EER, first − second", "AUC, first − second"]
    lines = [
        [pair.corpus, pair.first, pair.second, _difference(pair.eer, "eer"), _difference(pair.auc, "auc")]
        for pair in pairs
    ]
    note = (
        "EER: paired bootstrap; AUC: DeLong's test. 95 % intervals. A small p means that chance alone would hardly "
        "give such a difference"
    )
    note += f"; not corrected for making {len(pairs)} comparisons." if len(pairs) > 1 else "."
    if any(pair.eer is None for pair in pairs):
        note += " No bootstrap was made: compare=true or bootstrap=1000 makes it."
    return DocumentTable("Is the difference more than chance?", head, lines, note, ("first", "second"))


def _trials(results: Sequence[Result]) -> DocumentTable:
    head = ["system", "corpus", "bona fide", "spoof", "left out", "trials", "crop", "threshold from"]
    lines = [
        [
            result.system,
            result.corpus,
            *(f"{len(part):,}" for part in (result.table.bonafide, result.table.spoof, result.bad)),
            result.table.trials_hash,
            result.crop,
            result.dev_source or "no dev scores",
        ]
        for result in results
    ]
    note = "Trials: hash of ids and labels; compare results where it is equal. Left out: files that cannot be read."
    return DocumentTable("Trials", head, lines, note, ("corpus", "trials", "crop", "threshold from"))


def _cell(row: MeasuredRow | None, interval: bool = True) -> str:
    if row is None:
        return ""
    bounds = metrics.ConfidenceInterval(row.low, row.high) if interval else None
    value = metric_names.metric_with_unit(row.value, row.metric)
    return f"{value} {metric_names.metric_interval(bounds, row.metric)}".rstrip()


def _difference(found: metrics.Difference | None, name: str) -> str:
    if found is None:
        return ""
    value, low, high = (metric_names.metric_number(x, name, "+") for x in (found.value, found.low, found.high))
    unit = " %" if METRICS[name].percent else ""
    p_value = "p < .001" if found.p_value < 0.001 else f"p = {found.p_value:.3f}".replace("0.", ".", 1)
    return f"{value}{unit} [{low}, {high}], {p_value}"
