"""Score files of countermeasures."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd

from dfx.scorefiles import columns
from dfx.tables import protocols
from dfx.tables.labels import is_label

# The four columns are those of ASVspoof 2019 and of the baselines of ASVspoof 5, the two those of ASVspoof 2021.
LABELLED = {4: ("id", "attack", "label", "score"), 3: ("id", "label", "score")}
LABEL_LAST = {4: ("speaker", "id", "score", "label"), 3: ("id", "score", "label")}
BARE = ("id", "score")


def read_scores(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Scores as `id`, `score` (float64), and `attack`, `label` (1, 0) and further columns where the file has them.

    The formats are told apart by header and columns: ASVspoof 2019 (`utterance attack key score`), 2021 and others
    (`utterance score`), ASVspoof 5 (TSV with `filename`, `cm-score`; in track 2 also `spk`, `asv-score`, `sasv-score`),
    dfx's own, and CSV whose header names the columns. Ids may hold blanks. A gzip-packed file is opened; lines that
    begin with `#` are left out.

    Raises:
        ValueError: if the file is in no such format, or has labels that are not known or scores that are no numbers.
    """
    file = columns.existing(path)
    text = protocols.load(file)
    table = columns.with_header(text, file)
    if table is None:
        table = _without_header(text, file)
    if "score" not in table:
        raise ValueError(
            f"{file} has no column of scores: it has {', '.join(table.columns)}. Call it score, and mind that a higher "
            "score must mean more bona fide: a probability of fake is to be turned round before."
        )
    table["score"] = columns.numbers(table, "score", file)
    if "label" in table:
        table["label"] = columns.labels(table, file)
    order = [name for name in ("id", "attack", "label", "score") if name in table]
    return table[order + [name for name in table if name not in order]]


def _without_header(text: str, path: Path) -> pd.DataFrame:
    first = protocols.first_line(text, path)
    marks = [mark for mark in ",;" if mark in first and columns.is_number(first.rpartition(mark)[2])]
    separator = marks[0] if marks else r"\s+"
    width = len(first.split(separator if separator in ",;" else None))
    try:
        frame = protocols.fields(text, width + protocols.MAX_SPACES, separator)
    except pd.errors.ParserError as error:
        raise ValueError(f"{path} is no score file ({error}): dfx reads {columns.FORMATS}.") from error
    names = _names(frame, path, first)
    table = protocols.named(frame, names, path)
    if "%" in text and separator == r"\s+":  # how `ScoreTable.write_plain` keeps blanks out of ids
        for name in ("id", "attack"):
            if name in table:
                table[name] = table[name].map(unquote)
    return table


def _names(frame: pd.DataFrame, path: Path, first: str) -> tuple[str, ...]:
    """What the columns are, by the last two fields of the first lines."""
    lines = [[word for word in row if word] for row in frame.head(1000).to_numpy().tolist()]
    width = int(np.median([len(line) for line in lines]))
    last = pd.Series([line[-1] for line in lines])
    before = pd.Series([line[-2] if len(line) > 1 else "" for line in lines])
    if width > 2 and columns.share(before, lambda word: word in ("target", "nontarget")) > 0.05:
        raise ValueError(
            f"{path} holds scores of speaker verification ({first!r}), which say nothing of bona fide and spoof: give "
            "it for the t-DCF, and here the scores of the countermeasure."
        )
    if width > 1 and columns.share(last, columns.is_number) >= 0.5:
        if width > 2 and columns.share(before, is_label) > 0.5:
            return LABELLED[min(width, 4)]
        if width > 2 and set(before) <= {"0", "1"}:
            columns.labels(pd.DataFrame({"label": before}), path)  # says why numbers are refused
        return BARE
    if width > 2 and columns.share(last, is_label) > 0.5 and columns.share(before, columns.is_number) > 0.5:
        return LABEL_LAST[min(width, 4)]
    raise ValueError(
        f"{path} is no score file, its first line is {first[:120]!r}: dfx reads {columns.FORMATS}."
    )
