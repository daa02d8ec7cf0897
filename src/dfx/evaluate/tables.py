"""The tables of an evaluation, as text; Markdown, HTML and the terminal show the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dfx import metrics
from dfx.evaluate.compare import Pair
from dfx.evaluate.measure import ATTACK, OF_PARTS, Row
from dfx.evaluate.result import Result
from dfx.reporting.document import Table

SHOWN = {  # metric -> (name, whether it is a rate that reads as a percentage, meaning)
    "eer": ("EER", True, "organisers'; lower is better"),
    "eer_interpolated": ("EER, interpolated", True, "as most toolkits give it"),
    "auc": ("AUC", False, "higher is better"),
    "min_tdcf_2019": ("min t-DCF, 2019", False, "with speaker verification; lower is better"),
    "min_tdcf_revised": ("min t-DCF, revised", False, "as of 2021"),
    "min_adcf": ("min a-DCF", False, "spoofing-robust speaker verification"),
    "min_dcf": ("minDCF", False, "P_spoof .05, C_miss 1, C_fa 10"),
    "act_dcf": ("actDCF", False, "the same, at Bayes' threshold"),
    "cllr": ("Cllr", False, "bits; under 1 is informative"),
    "min_cllr": ("min Cllr", False, "Cllr after the best calibration"),
    "ece": ("ECE", False, "gap between probability and frequency"),
    "brier": ("Brier score", False, "mean squared error of the probability"),
    "accuracy": ("accuracy", True, "at dev's EER threshold"),
    "balanced_accuracy": ("balanced accuracy", True, "the same, classes counted alike"),
    "f1": ("F1", False, "at dev's EER threshold, spoof is to be found"),
    "dev_threshold": ("threshold", False, "of dev's EER"),
}
HEADLINES = ("eer", "auc", "min_tdcf_2019", "min_tdcf_revised", "min_dcf", "cllr", "accuracy")
MOST_SIDE_BY_SIDE = 2  # systems with a column each; more have a row each
MOST_PARTS = 40  # values of a column; the others are in results.csv


def of_corpus(rows: Sequence[Row], corpus: str, all_metrics: bool = True) -> Table:
    """The metrics of every system on a corpus."""
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row.corpus == corpus and not row.by:
            found.setdefault(row.system, {})[row.metric] = row
    names = [name for name in SHOWN if any(name in of for of in found.values())]
    note = (
        NEED_INTERVALS
        if not any(math.isfinite(row.low) for of in found.values() for row in of.values())
        else ""
    )
    if len(found) <= MOST_SIDE_BY_SIDE:
        lines = [
            [SHOWN[name][0], *(_with_interval(of.get(name)) for of in found.values()), SHOWN[name][2]]
            for name in names
        ]
        return Table(corpus, ["metric", *found, "meaning"], lines, note, ("meaning",))
    names = [name for name in names if all_metrics or name in HEADLINES]
    lines = [[system, *(_with_interval(of.get(name)) for name in names)] for system, of in found.items()]
    return Table(corpus, ["system", *(SHOWN[name][0] for name in names)], lines, note)


def matrix(results: Sequence[Result], rows: Sequence[Row]) -> Table | None:
    """EER of each system on each corpus; None where there is one corpus."""
    corpora = list(dict.fromkeys(result.corpus for result in results))
    if len(corpora) < 2:
        return None
    rates = {(row.system, row.corpus): row for row in rows if row.metric == "eer" and not row.by}
    lines = [
        [name, *(_with_interval(rates.get((system, corpus))) for corpus in corpora)]
        for system, name in labels(results).items()
    ]
    known = any(result.trained_on for result in results)
    note = "EER." + (" In brackets behind a system: the corpus that it was trained on." if known else "")
    return Table("Corpus by corpus", ["system", *corpora], lines, note)


def labels(results: Sequence[Result]) -> dict[str, str]:
    """Each system with the corpus that it was trained on, where it is known."""
    return {
        result.system: f"{result.system} ({result.trained_on})" if result.trained_on else result.system
        for result in results
    }


def breakdown(rows: Sequence[Row], corpus: str, by: str, all_metrics: bool = True) -> Table | None:
    """EER of every system on the parts of a corpus; None where there is at most one part."""
    mine = [row for row in rows if row.corpus == corpus and row.by == by]
    parts = {row.part: f"{row.bonafide:,} + {row.spoof:,}" for row in mine}
    if len(parts) < 2:
        return None
    systems = list(dict.fromkeys(row.system for row in mine))
    cells = {(row.part, row.system, row.metric): row for row in mine}
    show = _with_interval if all_metrics or len(systems) == 1 else _alone
    shown = OF_PARTS if all_metrics and len(systems) == 1 else ("eer",)
    lines = [
        [part, *(show(cells.get((part, s, name))) for s in systems for name in shown), trials]
        for part, trials in list(parts.items())[:MOST_PARTS]
    ]
    head = [by, *(systems if len(systems) > 1 else [SHOWN[name][0] for name in shown]), "trials"]
    what = "each attack against all bona fide trials" if by == ATTACK else "both classes of each value"
    more = f" {len(parts) - MOST_PARTS} more values are in results.csv." if len(parts) > MOST_PARTS else ""
    value = "EER: " if len(systems) > 1 else ""
    note = f"{value}{what}. Trials: bona fide + spoof.{more}"
    return Table(f"{corpus}, by {by}", head, lines, f"{note[0].upper()}{note[1:]}")


def comparison(pairs: Sequence[Pair]) -> Table | None:
    """Differences of pairs of systems; None where there are none."""
    if not pairs:
        return None
    head = ["corpus", "first", "second", "EER, first − second", "AUC, first − second"]
    lines = [
        [
            *(pair.corpus, pair.first, pair.second),
            _difference(pair.eer, 100, " %") if pair.eer else "",
            _difference(pair.auc, 1, ""),
        ]
        for pair in pairs
    ]
    note = (
        "EER: paired bootstrap; AUC: DeLong's test. 95 % intervals. A small p says that chance alone would hardly give "
        "such a difference"
    )
    note += f"; not corrected for making {len(pairs)} comparisons." if len(pairs) > 1 else "."
    if any(pair.eer is None for pair in pairs):
        note += " No bootstrap was made: compare=true or bootstrap=1000 makes it."
    return Table("Is the difference more than chance?", head, lines, note, ("first", "second"))


def trials(results: Sequence[Result]) -> Table:
    """What was judged: trials, their hash, the crop policy and the dev scores."""
    head = ["system", "corpus", "bona fide", "spoof", "left out", "trials", "heard", "threshold from"]
    lines = [
        [
            *(
                result.system,
                result.corpus,
                f"{len(result.table.bonafide):,}",
                f"{len(result.table.spoof):,}",
            ),
            f"{len(result.bad):,}",
            result.table.trials_hash,
            result.crop,
            result.dev_source or "no dev scores",
        ]
        for result in results
    ]
    note = "Trials: hash of ids and labels; results can be compared where it is equal. Left out: bad files."
    return Table("What was judged", head, lines, note, ("corpus", "trials", "heard", "threshold from"))


NEED_INTERVALS = "No 95 % intervals; bootstrap=1000 makes them."


def _with_interval(row: Row | None) -> str:
    if row is None or not math.isfinite(row.low):
        return _alone(row)
    factor, digits = (100, 2) if SHOWN[row.metric][1] else (1, 4)
    return f"{_alone(row)} [{factor * row.low:.{digits}f}, {factor * row.high:.{digits}f}]"


def _alone(row: Row | None) -> str:
    if row is None:
        return ""
    return f"{100 * row.value:.2f} %" if SHOWN[row.metric][1] else f"{row.value:.4f}"


def _difference(found: metrics.Difference, factor: float, unit: str) -> str:
    digits = 2 if unit else 4
    low, high = (f"{factor * end:+.{digits}f}" for end in (found.low, found.high))
    p_value = "p < .001" if found.p_value < 0.001 else f"p = {found.p_value:.3f}".replace("0.", ".", 1)
    return f"{factor * found.value:+.{digits}f}{unit} [{low}, {high}], {p_value}"
