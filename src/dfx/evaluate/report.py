"""What an evaluation found, put together: rows, comparisons, tables and what there is to be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dfx.evaluate import measure, tables
from dfx.evaluate.compare import Pair, pairs
from dfx.evaluate.measure import Row, Settings
from dfx.evaluate.result import Result
from dfx.reporting.document import Table
from dfx.tables.findings import Finding


@dataclass(frozen=True)
class Report:
    """An evaluation.

    Attributes:
        results: what was judged.
        rows: every number.
        pairs: comparisons of systems.
        findings: what was noticed, each with the system and the corpus.
        notes: what is missing and why.
    """

    results: list[Result]
    rows: list[Row]
    pairs: list[Pair]
    findings: list[tuple[str, Finding]]
    notes: list[str]

    @property
    def corpora(self) -> list[str]:
        """Names of the corpora."""
        return list(dict.fromkeys(result.corpus for result in self.results))

    @property
    def ranked(self) -> list[Result]:
        """Results whose order of trials is their own."""
        return [result for result in self.results if not result.calibrated]

    @property
    def title(self) -> str:
        """Systems and corpora in words."""
        systems = list(dict.fromkeys(result.system for result in self.ranked))
        return f"{_listed(systems, 'systems')} on {_listed(self.corpora, 'corpora')}"

    def tables(self, short: bool = False) -> list[Table]:
        """All tables; short ones for the terminal."""
        by = dict.fromkeys(row.by for row in self.rows if row.by)
        made = [
            *(tables.of_corpus(self.rows, corpus, all_metrics=not short) for corpus in self.corpora),
            tables.matrix(self.ranked, self.rows),
            *(
                tables.breakdown(self.rows, corpus, column, all_metrics=not short)
                for corpus in self.corpora
                for column in by
            ),
            tables.comparison(self.pairs),
            None if short else tables.trials(self.results),
        ]
        return [table for table in made if table is not None]

    def plain(self) -> dict[str, Any]:
        """Everything but the scores, for JSON."""
        return {
            "results": [
                {
                    **{
                        name: getattr(result, name)
                        for name in ("system", "corpus", "trained_on", "crop", "llr")
                    },
                    **{"trials_hash": result.table.trials_hash, "threshold_from": result.dev_source or None},
                    **{"bonafide": len(result.table.bonafide), "spoof": len(result.table.spoof)},
                    "left_out": result.bad.to_dict("records"),
                    "metrics": {
                        row.metric: _number(row)
                        for row in self.rows
                        if (row.system, row.corpus, row.by) == (result.system, result.corpus, "")
                    },
                    "by": {
                        by: {
                            row.part: _number(row) | {"bonafide": row.bonafide, "spoof": row.spoof}
                            for row in self.rows
                            if (row.system, row.corpus, row.by, row.metric)
                            == (result.system, result.corpus, by, "eer")
                        }
                        for by in dict.fromkeys(row.by for row in self.rows if row.by)
                    },
                }
                for result in self.results
            ],
            "comparisons": [
                {
                    **{"corpus": pair.corpus, "first": pair.first, "second": pair.second},
                    "eer": pair.eer._asdict() if pair.eer else None,
                    "auc": pair.auc._asdict(),
                }
                for pair in self.pairs
            ],
            "findings": [
                {"of": name, "kind": found.kind, "severity": found.severity, "text": found.text}
                for name, found in self.findings
            ],
            "notes": self.notes,
        }


def make(results: Sequence[Result], settings: Settings, compare: bool | None) -> Report:
    """Measure and compare.

    Args:
        results: what is measured.
        settings: how.
        compare: whether the user wants comparisons; None: where they are possible.

    Raises:
        ValueError: if two results have one name, no corpus has a column that is asked for, or a comparison is asked for
            and not possible.
    """
    files = [result.file_name for result in results]
    twice = [result.name for result, name in zip(results, files, strict=True) if files.count(name) > 1]
    if twice:
        raise ValueError(
            f"Results need names of their own, also as names of files, got {', '.join(twice)}: name the systems, "
            "systems={NAME: FILE, …} or scores={NAME: FILE, …}, and corpora so that letters and digits differ."
        )
    rows, notes = [], []
    ranked = [result for result in results if not result.calibrated]
    for result in results:
        rows += measure.whole(result, settings)
    for by in settings.by:
        if not any(by in result.table.table for result in results):
            known = [str(name) for name in results[0].table.table if name not in ("id", "label", "score")]
            raise ValueError(f"by={by}: there is no such column; {results[0].name} has {', '.join(known)}.")
        for result in ranked:
            parts, lacking = measure.parts(result, by, settings)
            rows += parts
            notes += lacking
    found, why_not = pairs(ranked, settings, compare)
    for corpus in dict.fromkeys(result.corpus for result in results if result.dev is None):
        without = [result.system for result in results if result.corpus == corpus and result.dev is None]
        notes.append(
            f"{corpus}: accuracy, balanced accuracy and F1 are left out for {', '.join(without)}: they need a "
            "threshold from dev, and one from eval flatters. Give dev_scores=FILE dev_key=FILE."
        )
    if assumed := [result.name for result in results if result.llr is None]:
        notes.append(
            f"actDCF, Cllr, ECE and Brier score read a score as a log-likelihood ratio; whether those of "
            f"{', '.join(assumed)} are is not known. llr=true or llr=false says it; calibrate=true makes them so."
        )
    notes += [_left_out(result) for result in results if len(result.bad)]
    findings = [(result.name, noticed) for result in results for noticed in result.findings]
    return Report(list(results), rows, found, findings, [*notes, *why_not])


def _left_out(result: Result) -> str:
    bad = len(result.bad)
    first = ", ".join(result.bad["id"].head(3)) + (", …" if bad > 3 else "")
    have = "have" if bad > 1 else "has"
    return (
        f"{result.name}: {bad:,} of {bad + len(result.table):,} trials {have} no score, as the file cannot be read: "
        f"{first}. bad_files.csv says why."
    )


def _number(row: Row) -> dict[str, float | None]:
    interval = row.low == row.low  # NaN where trials were not resampled
    return {
        "value": row.value,
        "low": row.low if interval else None,
        "high": row.high if interval else None,
    }


def _listed(names: Sequence[str], word: str) -> str:
    return " and ".join(names) if len(names) < 3 else f"{len(names)} {word}"
