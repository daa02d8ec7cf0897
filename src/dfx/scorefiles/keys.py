"""Keys: what the trials of a challenge or a corpus are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx.scorefiles import columns
from dfx.tables import protocols
from dfx.tables.findings import Finding, finding
from dfx.tables.labels import BONAFIDE, is_label
from dfx.tables.score_table import UNKNOWN_ATTACK

# Layouts by number of columns. Where several have the same number, the one with label words in its label column.
LAYOUTS: tuple[tuple[str, ...], ...] = (
    ("id", "label"),  # ADD 2022
    ("id", "label", ""),  # a score file that carries its key
    ("id", "attack", "label", ""),  # the same, of ASVspoof 2019
    protocols.ASVSPOOF2019["LA"][4],
    protocols.ASVSPOOF2019["PA"][5],  # LA too, with "-" for the environment
    protocols.ASVSPOOF5[6],
    protocols.ASVSPOOF2021["PA"][7],
    protocols.ASVSPOOF2021["LA"][8],
    protocols.ASVSPOOF2021["DF"][8],
    protocols.ASVSPOOF5[10],
    protocols.ASVSPOOF2021["PA"][12],
    protocols.ASVSPOOF2021["DF"][13],
)
NO_METADATA = ("path", "score", "asv-score", "sasv-score", "asv-label")  # they say nothing of what a trial is
SPLIT_OF_ID = r"^(?:(?:LA|PA)_)?([TDE])_\d+$"  # ASVspoof 2019 and 5 name it there, and no column does
SPLITS = {"T": "train", "D": "dev", "E": "eval"}
PARQUET = b"PAR1"
PARTS = ("subset", "split")  # columns that divide a key
ALL = "all"
REPORTED = "eval"


def read_key(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Key as `id`, `label` (1, 0), `attack` (`-` for bona fide and where unknown) and metadata such as `speaker`.

    All trials are there: `subset` (ASVspoof 2021) or `split` say which part each belongs to, and `join` chooses. Read
    are the protocols and keys of ASVspoof 2019, 2021 (early keys too) and 5, manifests and other tables with a header
    (CSV, TSV, Parquet), and score files that carry their own key. Columns that are `-` throughout are left out.

    Raises:
        ValueError: if the file is in no such format or has labels that are not known.
    """
    file = columns.existing(path)
    with file.open("rb") as opened:
        is_parquet = opened.read(len(PARQUET)) == PARQUET
    if is_parquet:
        table = _parquet(file)
    else:
        text = protocols.load(file)
        named = columns.with_header(text, file)
        table = _without_header(text, file) if named is None else named
    if "id" not in table or "label" not in table:
        lacks = " and ".join(name for name in ("id", "label") if name not in table)
        raise ValueError(
            f"{file} has no column {lacks}: it has {', '.join(map(str, table.columns))}. A key needs the id and the "
            "label of each trial: rename the columns that hold them."
        )
    table = table.drop(columns=[name for name in NO_METADATA if name in table])
    table["label"] = columns.labels(table, file)
    attack = table.get("attack", pd.Series(UNKNOWN_ATTACK, index=table.index)).fillna(UNKNOWN_ATTACK)
    table["attack"] = attack.mask((table["label"] == BONAFIDE) | (attack == ""), UNKNOWN_ATTACK)
    if "split" not in table and "subset" not in table:
        split = table["id"].str.extract(SPLIT_OF_ID)[0].map(SPLITS)
        if split.notna().all() and split.nunique() > 1:
            table["split"] = split
    order = ["id", "label", "attack"]
    return table[order + [name for name in table if name not in order and not (table[name] == "-").all()]]


def part_of(key: pd.DataFrame, part: str | None, name: str) -> tuple[NDArray[np.bool_], list[Finding]]:
    """Which trials of a key are to be judged `(trials,)`, and a note on the others; `join` tells how a part is chosen.

    Raises:
        ValueError: if the key has no such part.
    """
    column = next((column for column in PARTS if column in key), None)
    everything = np.ones(len(key), dtype=bool)
    if column is None or part == ALL:
        if part not in (None, ALL):
            raise ValueError(
                f"The key of {name} has no subset and no split, got part={part}: leave part out."
            )
        return everything, []
    words = key[column].astype("str").str.partition("_")[0]  # early keys say hidden_track, hidden_track_1
    present = sorted(words.unique())
    wanted = part or (REPORTED if REPORTED in present else present[0] if len(present) == 1 else "")
    if wanted not in present:
        raise ValueError(
            f"The key of {name} has the parts {', '.join(present)}, got part={part}: choose one of these, or {ALL}."
        )
    chosen = (words == wanted).to_numpy()
    if chosen.all():
        return everything, []
    left = int((~chosen).sum())
    text = (
        f"{left} of {len(key)} trials of the key are not in its {column} {wanted} and left out; published results are "
        f"those of {REPORTED}, part={ALL} takes every trial."
    )
    return chosen, [finding(column, "note", text, key["id"][~chosen].head(), left)]


def _parquet(path: Path) -> pd.DataFrame:
    try:
        table = columns.renamed(pd.read_parquet(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as Parquet ({error}): write it anew, or as CSV.") from error
    return table.astype({name: "str" for name in ("id", "attack", "speaker", "label") if name in table})


def _without_header(text: str, path: Path) -> pd.DataFrame:
    first = protocols.first_line(text, path)
    widest = max(*map(len, LAYOUTS), len(first.split())) + protocols.MAX_SPACES
    try:
        frame = protocols.fields(text, widest)
    except pd.errors.ParserError as error:
        raise _unknown(path, first) from error
    width = int(protocols.widths(frame.head(1000)).median())
    found = [names for names in LAYOUTS if len(names) == width and _has_labels(frame, names)]
    if not found:
        raise _unknown(path, first)
    is_df = columns.share(frame[1], lambda word: word.startswith("DF_")) > 0.5
    names = found[-1 if is_df else 0]  # LA and early DF have eight columns
    table = protocols.named(frame, names, path)
    if width == 4 and columns.share(table["attack"], columns.is_number) > 0.5:
        del table["attack"]  # a score file of the baselines of ASVspoof 5: speaker, id, score, label
    return table


def _has_labels(frame: pd.DataFrame, names: tuple[str, ...]) -> bool:
    return columns.share(frame[names.index("label")], is_label) > 0.5


def _unknown(path: Path, first: str) -> ValueError:
    speaker = {"target", "nontarget"} & set(first.split())
    kind = "a key of speaker verification" if speaker else "no key that dfx knows"
    return ValueError(
        f"{path} is {kind}, its first line is {first[:120]!r}: give the protocol of ASVspoof 2019 or 5, the "
        "trial_metadata.txt of the folder CM of ASVspoof 2021, or a CSV with the columns id and label, in words."
    )
