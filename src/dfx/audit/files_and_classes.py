"""Check files and classes of a corpus: bad files, silent or clipped clips, missing classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import pandas as pd

from dfx.tables.findings import Finding, make_finding
from dfx.tables.labels import BONAFIDE, NAMES, SPOOF
from dfx.tables.manifest import SPLITS

WORDS = {BONAFIDE: "bona fide", SPOOF: "spoof"}
SHORTEST_S = 0.3  # shorter than one or two syllables
SILENT_DB = -75.0  # dBFS RMS: a few steps of 16 bits
CLIPPED = 1e-3  # share of the samples; one in a thousand is audible
DC = 0.01  # fraction of full scale
COARSE_BITS = 12.5  # mu-law leaves 11 to 12, 8-bit coding 8 to 9
FEW = 10  # usable clips of a class in a split; an error rate on fewer means nothing

# Words in the reason from `dfx.audio` -> kind of the finding, what is wrong, and what to do.
REASONS = {
    "does not exist": ("missing-file", "not there", "complete the corpus, or take out their rows"),
    "is empty": ("empty-file", "0 bytes", "a copy or download broke off: get them again"),
    "no samples": ("no-samples", "a header but no samples", "get them again or take them out"),
    "NaN": ("nan-samples", "NaN or infinite samples", "make them again or take them out"),
    "cut short": ("cut-short", "cut short", "a copy or download broke off: get them again"),
    "no decoder recognises": ("not-audio", "no audio, whatever the name says", "look at one"),
    "no audio stream": ("not-audio", "no sound in it", "take them out"),
}
UNREADABLE = ("unreadable-file", "cannot be read", "look at one, convert them or take them out")
APPLE = ("apple-double", "AppleDouble (._name), which macOS writes beside the real file", "delete them")
CONTAINERS = {
    ".wav": {"wav", "wavex", "rf64", "w64", "nist"},
    ".flac": {"flac"},
    ".mp3": {"mpeg", "mp3"},
    ".ogg": {"ogg"},
}


def find_file_and_class_problems(table: pd.DataFrame) -> list[Finding]:
    """Find bad files, unusual clips and missing classes in `CorpusMeasures.table`."""
    return [*_bad_files(table), *_odd_clips(table), *_missing_classes(table)]


def class_counts(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Count clips, usable clips, hours, attacks and speakers of each split and class."""
    return [
        {
            "split": split,
            "class": WORDS[label],
            "clips": len(rows),
            "usable": int(rows["good"].sum()),
            "hours": float(rows["duration"].where(rows["good"]).sum() / 3600),
            "attacks": int(rows["attack"].nunique()) if label == SPOOF else 0,
            "speakers": int(rows["speaker"][~rows["speaker"].isin(["-", ""])].nunique()),
        }
        for split in SPLITS
        for label in (BONAFIDE, SPOOF)
        if len(rows := table[(table["split"] == split) & (table["label"] == label)])
    ]


def file_format_counts(table: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Count the clips of each class by sample rate, format, channels and bits: the eight most frequent values."""
    good = table[table["good"]]
    found = {}
    for name in ("sample_rate", "format", "channels", "bits"):
        cells = pd.crosstab(good[name].astype(str), good["label"])
        cells = cells.loc[cells.sum(axis=1).sort_values(ascending=False).index]
        found[name] = [
            {"value": str(value), **{NAMES[label]: int(row.get(label, 0)) for label in (BONAFIDE, SPOOF)}}
            for value, row in cells.head(8).iterrows()
        ]
    return found


def class_counts_in_words(rows: pd.DataFrame) -> str:
    """Count rows by split and class, in words: `2 spoof in train, 1 bona fide in eval`."""
    found = rows.groupby(["split", "label"], sort=False).size()
    return ", ".join(
        f"{found[split, label]:,} {WORDS[label]} in {split}"
        for split in SPLITS
        for label in (BONAFIDE, SPOOF)
        if (split, label) in found.index
    )


def _bad_files(table: pd.DataFrame) -> Iterator[Finding]:
    rows = table[~table["good"]]
    reasons = rows["reason"].astype("str")
    apple = rows["path"].map(lambda path: PurePath(path).name.startswith("._")).astype(bool)
    left = ~apple
    groups = [(APPLE, apple)]
    for reason, words in REASONS.items():
        groups.append((words, left & reasons.str.contains(reason, regex=False)))
        left = left & ~groups[-1][1]
    for (kind, wrong, advice), chosen in [*groups, (UNREADABLE, left)]:
        if chosen.any():
            bad = rows[chosen]
            if kind in ("not-audio", "cut-short", "unreadable-file"):
                wrong += f" ({reasons[chosen].iloc[0]})"
            severity = "error" if len(bad) > len(table) / 100 else "warning"
            yield _about_files(bad, kind, severity, wrong, advice, " Left out of everything below.")


def _odd_clips(table: pd.DataFrame) -> Iterator[Finding]:
    good = table[table["good"]]
    silent, short = good["loudness"] < SILENT_DB, good["duration"] < SHORTEST_S
    clipped, offset = good["clipped"] > CLIPPED, good["dc"] > DC
    coarse = (good["effective_bits"] < COARSE_BITS) & ~silent
    renamed = _is_misnamed(good)
    suffixes = _suffixes(good[renamed]) + " holds " + good["format"][renamed].astype("str")
    # Kind and severity, rows, measure to sort by and whether its lowest value is the worst, problem, advice.
    for kind, severity, chosen, order, wrong, advice in (
        (
            *("silent", "warning", silent, ("loudness", True)),
            *(f"silent (under {SILENT_DB:g} dBFS)", "take them out"),
        ),
        (
            *("too-short", "warning", short, ("duration", True), f"shorter than {SHORTEST_S:g} s"),
            "take them out, or accept that dfx repeats them to fill a segment (data.pad)",
        ),
        (
            *("clipped", "note", clipped, ("clipped", False)),
            f"clipped (more than {CLIPPED:.1%} of the samples lie on a flat top)",
            "nothing repairs them; take out the worst, or make sure that both classes have as many",
        ),
        (
            *("dc-offset", "note", offset, ("dc", False)),
            f"a mean that is not 0 (more than {DC:.0%} of full scale)",
            "high-pass them, or take them out where they are of one system",
        ),
        (
            *("coarse-values", "note", coarse, ("effective_bits", True)),
            f"fewer sample values than 16 bits give ({COARSE_BITS:g} bits or less), as after mu-law or 8-bit coding",
            "make sure that both classes have them alike",
        ),
        (
            *("name-is-not-format", "note", renamed, None),
            f"not what the name says ({'; '.join(sorted(set(suffixes))[:3])})",
            "note that they were coded once more than the others",
        ),
        (
            *("several-channels", "note", good["channels"] > 1, None, "more than one channel"),
            "nothing, dfx takes the mean of the channels, if both classes have them alike",
        ),
    ):
        if chosen.any():
            odd = good[chosen]
            if order:
                odd = odd.sort_values(order[0], ascending=order[1], kind="stable")
            yield _about_files(odd, kind, severity, wrong, advice)


def _suffixes(rows: pd.DataFrame) -> pd.Series:
    return rows["path"].str.extract(r"(\.[^./]*)$", expand=False).str.lower().fillna("")


def _is_misnamed(rows: pd.DataFrame) -> pd.Series:
    suffixes = _suffixes(rows)
    container = rows["format"].astype("str").str.extract(r"^([^/]*)", expand=False)
    wrong = pd.Series(False, index=rows.index)
    for suffix, containers in CONTAINERS.items():
        wrong |= (suffixes == suffix) & ~container.isin(containers)
    return wrong


def _about_files(rows: pd.DataFrame, kind: str, severity: str, wrong: str, advice: str, more: str = "") -> Finding:
    files = f"{len(rows):,} file{'s' if len(rows) > 1 else ''}"
    return make_finding(
        kind,
        severity,
        f"{files}: {wrong}; {class_counts_in_words(rows)}.{more} What to do: {advice}.",
        rows["id"],
    )


def _missing_classes(table: pd.DataFrame) -> Iterator[Finding]:
    good = table[table["good"]]
    for split in SPLITS:
        rows, usable = table[table["split"] == split], good[good["split"] == split]
        if rows.empty:
            yield make_finding(
                "missing-split",
                "warning",
                f"There is no {split} split: without train nothing is learned, without dev nothing is chosen, without "
                "eval nothing is measured. What to do: divide the corpus, or combine it with another "
                "(dataset=combined).",
            )
            continue
        for label, word in WORDS.items():
            number = int((usable["label"] == label).sum())
            if number == 0:
                yield make_finding(
                    "one-class-split",
                    "error",
                    f"{split} has no usable {word} clip ({len(rows):,} rows in all): no error rate can be computed on "
                    "it and nothing learned from it. What to do: check the label words and the split, or make a new "
                    "split.",
                    count=len(rows),
                )
            elif number < FEW:
                yield make_finding(
                    "few-clips",
                    "warning",
                    f"{split} has {number} usable {word} clip{'s' if number > 1 else ''}: an error rate on so few says "
                    "nothing. What to do: collect more, or make a new split.",
                    usable["id"][usable["label"] == label],
                )
