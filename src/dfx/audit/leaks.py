"""Find leaks: speakers, utterances, sources, recordings and attacks in more than one split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import pandas as pd

from dfx.audit.duplicates import DuplicateGroups
from dfx.audit.files_and_classes import class_counts_in_words
from dfx.tables.findings import MAX_EXAMPLES, Finding, make_finding
from dfx.tables.labels import SPOOF
from dfx.tables.manifest import UNNAMED_ATTACK

PAIRS = (("train", "eval"), ("train", "dev"), ("dev", "eval"))
UNKNOWN = ("-", "", "unknown", "none", "nan")
# Names that corpora give to a column; the first that a manifest has is used.
COLUMNS = {
    "speaker": ("speaker",),
    "utterance": ("utterance", "utterance_id", "original_utterance", "sentence", "transcript", "text"),
    "source": ("source", "source_id", "source_file", "original", "original_file", "recording", "video"),
}
ADVICE = {
    "speaker": "divide by speaker, or report the clips of new speakers separately",
    "utterance": "divide by utterance: otherwise a detector may know the sentences of eval from train",
    "source": "divide by source, or report new sources separately: rooms, microphones and codecs go with the source",
}


class Leaks(NamedTuple):
    """Leaks between the splits of a corpus.

    Attributes:
        rows: for each kind and pair of splits: number of shared `values`, `clips` of the second split with one of them,
            the number `of` its clips with a known value, and the `share`.
        findings: the same as sentences.
    """

    rows: list[dict[str, Any]]
    findings: list[Finding]


def find_leaks(table: pd.DataFrame, matches: DuplicateGroups, groups: Sequence[str] = ()) -> Leaks:
    """Find speakers, utterances, sources, recordings and attacks in more than one split.

    Args:
        table: the columns of the manifest, and `good`.
        matches: duplicate recordings.
        groups: further columns whose values should be in one split only.
    """
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    named = {kind: next((c for c in columns if c in table), "") for kind, columns in COLUMNS.items()}
    named |= {column: column for column in groups if column in table and column not in named.values()}
    for kind, column in named.items():
        values = _known(table[column]) if column else pd.Series(pd.NA, table.index, dtype="str")
        if values.nunique() > (kind != "speaker"):  # a corpus with one source cannot be divided by source
            found = _shared(table, values, kind)
            rows += found
            findings += _shared_findings(table, values, kind, found)
        elif kind == "speaker":
            text = (
                "The corpus names no speakers, so it is not known whether a voice is in more than one split. What to "
                "do: give the manifest a column speaker where they are known."
            )
            findings.append(make_finding("no-speakers", "note", text))
    for kind, group in (("duplicate audio", matches.exact), ("same recording", matches.near)):
        values = pd.Series(group, table.index).astype("Int64").mask(group < 0)
        rows += _shared(table, values, kind)
    findings += _duplicate_findings(table, matches)
    spoof = table[table["label"] == SPOOF]
    attacks = _known(spoof["attack"]).mask(spoof["attack"] == UNNAMED_ATTACK)
    found = _shared(spoof, attacks, "attack")
    rows += found
    findings += _attack_findings(spoof, attacks, found)
    return Leaks(rows, findings)


def _known(column: pd.Series) -> pd.Series:
    text = column.astype("str").where(column.notna())
    return text.mask(text.str.lower().isin(UNKNOWN))


def _shared(table: pd.DataFrame, values: pd.Series, kind: str) -> list[dict[str, Any]]:
    rows = []
    for first, second in PAIRS:
        before, after = values[table["split"] == first], values[table["split"] == second]
        if before.empty or after.empty or values.isna().all():
            continue
        known = after.dropna()
        shared = known[known.isin(before.dropna().unique())]
        clips = len(after) if kind in ("duplicate audio", "same recording") else len(known)
        share = len(shared) / clips if clips else 0.0
        counts = {"values": int(shared.nunique()), "clips": len(shared), "of": clips, "share": share}
        rows.append({"kind": kind, "first": first, "second": second, **counts})
    return rows


def _shared_findings(
    table: pd.DataFrame, values: pd.Series, kind: str, rows: list[dict[str, Any]]
) -> Iterator[Finding]:
    rows = [row for row in rows if row["values"]]
    if not rows:
        return
    parts = [
        f"{row['values']:,} in both {row['first']} and {row['second']}, with {row['clips']:,} of the {row['of']:,} "
        f"clips of {row['second']} ({row['share']:.0%})"
        for row in rows
    ]
    sides = table["split"].groupby(values).nunique()
    names = sides.index[sides > 1]
    yield make_finding(
        f"leaked-{kind.replace('_', '-')}",
        "warning",
        f"{kind.capitalize()} on both sides of a split: {'; '.join(parts)}. What to do: "
        f"{ADVICE.get(kind, f'divide by {kind}, or report new ones separately')}.",
        names,
    )


def _duplicate_findings(table: pd.DataFrame, matches: DuplicateGroups) -> Iterator[Finding]:
    """Yield findings on duplicate recordings: across splits, in both classes, or within a split."""
    for near, group in ((False, matches.exact), (True, matches.near)):
        rows = table.assign(group=group)[group >= 0]
        if near:  # leave out groups that are exact copies only
            digests = pd.Series(matches.exact, table.index).where(matches.exact >= 0, -2 - pd.RangeIndex(len(table)))
            rows = rows[digests[rows.index].groupby(rows["group"]).transform("nunique") > 1]
        if rows.empty:
            continue
        word = "the same recording at another gain, rate or codec" if near else "the same samples"
        name = "same-recording" if near else "duplicate-audio"
        label_advice = "find out which label is right, and take out the other"
        if near:  # an attack by a codec is no mistake
            label_advice += " (a codec that keeps the waveform looks like this too)"
        several = rows.groupby("group")[["split", "label"]].transform("nunique") > 1
        for kind, severity, chosen, place, advice in (
            (
                *("across-splits", "error", several["split"], "another split"),
                "take them out of one of the splits; what was learned by heart must not be measured",
            ),
            (
                *("in-both-classes", "warning" if near else "error", several["label"], "the other class"),
                label_advice,
            ),
            (
                *("within-a-split", "note", ~several["split"] & ~several["label"], "the same split"),
                "keep one of each, or accept that they count twice",
            ),
        ):
            if chosen.any():
                clips = rows[chosen]
                wrong = f"{len(clips):,} clips hold {word} as a clip of {place}; {class_counts_in_words(clips)}."
                text = f"{wrong} What to do: {advice}."
                yield make_finding(f"{name}-{kind}", severity, text, _equal_ids(clips), len(clips))


def _attack_findings(spoof: pd.DataFrame, attacks: pd.Series, rows: list[dict[str, Any]]) -> Iterator[Finding]:
    seen = next((row for row in rows if (row["first"], row["second"]) == ("train", "eval")), None)
    if seen is None or not seen["of"]:
        return
    number = attacks[spoof["split"] == "eval"].nunique()
    share = (
        f"{seen['values']:,} of the {number:,} attacks of eval are in train, with {seen['share']:.0%} of its spoof "
        "clips"
    )
    if seen["values"] == number:
        text = f"{share}: results say nothing about attacks to come. What to do: measure on another corpus too."
        yield make_finding("no-unseen-attack", "note", text, count=number)
    else:
        text = f"{share}. What to do: nothing; dfx reports the EER of seen and of unseen attacks separately."
        yield make_finding("seen-attacks", "note", text, count=seen["values"])


def _equal_ids(rows: pd.DataFrame) -> list[str]:
    groups = rows.groupby("group")["id"]
    return [" = ".join(members.head(3)) for _, members in islice(groups, MAX_EXAMPLES)]
