"""Check that a corpus is complete and usable: bad files, silent or clipped clips, missing classes, file formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import pandas as pd

from dfx.tables.findings import Finding, finding
from dfx.tables.labels import BONAFIDE, NAMES, SPOOF
from dfx.tables.manifest import SPLITS

WORDS = {BONAFIDE: "bona fide", SPOOF: "spoof"}
SHORTEST_S = 0.3  # shorter than one or two syllables
SILENT_DB = -75.0  # dBFS RMS: a few steps of 16 bits
CLIPPED = 1e-3  # share of the samples; one in a thousand is audible
DC = 0.01  # of full scale
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


def find_problems(table: pd.DataFrame) -> list[Finding]:
    """Findings about the files and classes of a corpus, from `Measures.table`."""
    return [*_bad_files(table), *_odd_clips(table), *_missing_classes(table), *_file_formats(table)]


def class_counts(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Number of clips, usable clips, hours, attacks and speakers for each split and class."""
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


def format_counts(table: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Number of clips of each class by sample rate, format, channels and bits: the eight most frequent values."""
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


def where(rows: pd.DataFrame) -> str:
    """Split and class of rows in words: `2 spoof in train, 1 bona fide in eval`."""
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
            detail = (
                f" ({reasons[chosen].iloc[0]})"
                if kind in ("not-audio", "cut-short", "unreadable-file")
                else ""
            )
            yield finding(
                kind,
                "error" if len(bad) > len(table) / 100 else "warning",
                f"{_files(bad)}: {wrong}{detail}; {where(bad)}. Left out of everything below. What to do: "
                f"{advice}.",
                bad["id"],
            )


def _odd_clips(table: pd.DataFrame) -> Iterator[Finding]:
    good = table[table["good"]]
    silent = good["loudness"] < SILENT_DB
    # Kind: (measure, rows, whether a small value is bad), what is wrong, what to do.
    cases = {
        "silent": (
            ("loudness", silent, True),
            f"silent (under {SILENT_DB:g} dBFS)",
            "take them out",
        ),
        "too-short": (
            ("duration", good["duration"] < SHORTEST_S, True),
            f"shorter than {SHORTEST_S:g} s",
            "take them out, or know that dfx repeats them to fill a segment (data.pad)",
        ),
        "clipped": (
            ("clipped", good["clipped"] > CLIPPED, False),
            f"clipped (more than {CLIPPED:.1%} of the samples lie on a flat top)",
            "nothing repairs them; take out the worst, or make sure that both classes have as many",
        ),
        "dc-offset": (
            ("dc", good["dc"] > DC, False),
            f"a mean that is not 0 (more than {DC:.0%} of full scale)",
            "high-pass them, or take them out where they are of one system",
        ),
        "coarse-values": (
            ("effective_bits", (good["effective_bits"] < COARSE_BITS) & ~silent, True),
            f"fewer sample values than 16 bits give ({COARSE_BITS:g} bits or less), as after mu-law or 8-bit coding",
            "make sure that both classes have them alike",
        ),
    }
    for kind, ((measure, chosen, ascending), wrong, advice) in cases.items():
        if chosen.any():
            odd = good[chosen].sort_values(measure, ascending=ascending, kind="stable")
            text = f"{_files(odd)}: {wrong}; {where(odd)}. What to do: {advice}."
            severity = "warning" if kind in ("silent", "too-short") else "note"
            yield finding(kind, severity, text, odd["id"])


def _missing_classes(table: pd.DataFrame) -> Iterator[Finding]:
    good = table[table["good"]]
    for split in SPLITS:
        rows, usable = table[table["split"] == split], good[good["split"] == split]
        if rows.empty:
            yield finding(
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
                yield finding(
                    "one-class-split",
                    "error",
                    f"{split} has no usable {word} clip ({len(rows):,} rows in all): no error rate can be computed on "
                    "it and nothing learned from it. What to do: check the label words and the split, or divide anew.",
                    count=len(rows),
                )
            elif number < FEW:
                yield finding(
                    "few-clips",
                    "warning",
                    f"{split} has {number} usable {word} clip{'s' if number > 1 else ''}: an error rate on so few says "
                    "nothing. What to do: gather more, or divide anew.",
                    usable["id"][usable["label"] == label],
                )


def _file_formats(table: pd.DataFrame) -> Iterator[Finding]:
    good = table[table["good"]]
    suffix = good["path"].str.extract(r"(\.[^./]*)$", expand=False).str.lower().fillna("")
    container = good["format"].astype("str").str.extract(r"^([^/]*)", expand=False)
    wrong = pd.Series(False, index=good.index)
    for ending, containers in CONTAINERS.items():
        wrong |= (suffix == ending) & ~container.isin(containers)
    if wrong.any():
        odd = good[wrong]
        kinds = sorted(set(suffix[wrong] + " holds " + odd["format"].astype("str")))
        yield finding(
            "name-is-not-format",
            "note",
            f"{_files(odd)}: not what the name says ({'; '.join(kinds[:3])}); {where(odd)}. "
            "What to do: know that they were coded once more than the others.",
            odd["id"],
        )
    several = good["channels"] > 1
    if several.any():
        odd = good[several]
        yield finding(
            "several-channels",
            "note",
            f"{_files(odd)}: more than one channel; {where(odd)}. What to do: nothing, dfx takes "
            "the mean of the channels, if both classes have them alike.",
            odd["id"],
        )


def _files(rows: pd.DataFrame) -> str:
    return f"{len(rows):,} file{'s' if len(rows) > 1 else ''}"
