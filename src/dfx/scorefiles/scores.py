"""Score files of countermeasures, and of the speaker verification systems that they protect."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx import protocol
from dfx.findings import some
from dfx.labels import is_label
from dfx.scorefiles import columns

KINDS = ("target", "nontarget", "spoof")
# The four columns are those of ASVspoof 2019 and of the baselines of ASVspoof 5, the two those of ASVspoof 2021.
LABELLED = {4: ("id", "attack", "label", "score"), 3: ("id", "label", "score")}
LABEL_LAST = {4: ("speaker", "id", "score", "label"), 3: ("id", "score", "label")}
BARE = ("id", "score")


class AsvScores(NamedTuple):
    """Scores of a speaker verification system by kind of trial, each `(trials,)`; higher = the claimed speaker."""

    target: NDArray[np.float64]
    nontarget: NDArray[np.float64]
    spoof: NDArray[np.float64]


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
    text = protocol.load(file)
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


def read_asv(
    path: str | os.PathLike[str], key: str | os.PathLike[str] | None = None, column: str = "asv-score"
) -> AsvScores:
    """Scores of a speaker verification system by kind of trial.

    Args:
        path: lines `attack-or-bonafide target/nontarget/spoof score` (ASVspoof 2019); or, with a key, `speaker
            utterance score` (2021) or the TSV of track 2 of ASVspoof 5.
        key: says which kind each trial is: `trial_metadata.txt` of the folder ASV (2021), or a TSV with `spk`,
            `filename`, `asv-label`.
        column: of a TSV; `sasv-score` gives what the a-DCF judges.

    Raises:
        ValueError: if the file has another format, a kind is missing or a score is no finite number.
    """
    file = columns.existing(path)
    text = protocol.load(file)
    table = columns.with_header(text, file)
    if table is None:
        table = _three_columns(
            text, file, ("attack", "kind", "score") if key is None else ("speaker", "id", "score")
        )
        column = "score"
    if column not in table:
        raise ValueError(
            f"{file} has no column {column}: it has {', '.join(table.columns)}. Name one of these."
        )
    if key is not None:
        table["kind"] = _kinds(table, columns.existing(key), file)
    elif "kind" not in table:
        raise ValueError(
            f"{file} does not say which trials are target, nontarget or spoof: give its key as well."
        )
    scores = columns.numbers(table.assign(id=table.get("id", table["kind"])), column, file).to_numpy()
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise ValueError(
            f"{file}: {bad} of {len(scores)} scores are not finite numbers. Score these trials anew."
        )
    kinds = table["kind"].str.lower().to_numpy()
    groups = AsvScores(*(scores[kinds == kind] for kind in KINDS))
    counts = ", ".join(f"{len(group)} {kind}" for kind, group in zip(KINDS, groups, strict=True))
    if sum(map(len, groups)) < len(scores) or not all(map(len, groups)):
        raise ValueError(
            f"{file} needs trials of the kinds {', '.join(KINDS)} and no other, got {counts} of {len(scores)}: "
            "give a score file of speaker verification, `attack-or-bonafide kind score` on each line."
        )
    return groups


def _without_header(text: str, path: Path) -> pd.DataFrame:
    first = protocol.first_line(text, path)
    marks = [mark for mark in ",;" if mark in first and columns.is_number(first.rpartition(mark)[2])]
    separator = marks[0] if marks else r"\s+"
    width = len(first.split(separator if separator in ",;" else None))
    try:
        frame = protocol.fields(text, width + protocol.MAX_SPACES, separator)
    except pd.errors.ParserError as error:
        raise ValueError(f"{path} is no score file ({error}): dfx reads {columns.FORMATS}.") from error
    names = _names(frame, path, first)
    table = protocol.named(frame, names, path)
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


def _three_columns(text: str, path: Path, names: tuple[str, ...]) -> pd.DataFrame:
    first = protocol.first_line(text, path)
    try:
        frame = protocol.fields(text, len(first.split()) + protocol.MAX_SPACES)
    except pd.errors.ParserError as error:
        raise ValueError(f"{path} is no score file ({error}): dfx reads `{' '.join(names)}` here.") from error
    wrong = frame[protocol.widths(frame) != len(names)]
    if len(wrong):
        lines = some(" ".join(row).strip() for row in wrong.head(6).to_numpy())
        raise ValueError(
            f"{path}: {len(wrong)} of {len(frame)} lines do not have the columns {', '.join(names)} ({lines}). "
            "Give a score file of speaker verification as the challenge ships it."
        )
    return frame.iloc[:, : len(names)].set_axis(list(names), axis=1)


def _kinds(scores: pd.DataFrame, key: Path, path: Path) -> pd.Series:
    """Kind of each trial: by its row where both files have the same order, or by speaker and utterance."""
    text = protocol.load(key)
    table = columns.with_header(text, key)
    if table is None:
        layouts = {8: protocol.ASVSPOOF2021["LA"][8], 12: protocol.ASVSPOOF2021["PA"][12]}
        table = protocol.read(key, layouts).rename(columns={"label": "asv-label"})
    missing = [name for name in ("speaker", "id") if name not in scores or name not in table]
    column = next((name for name in table if str(name).replace("_", "-") == "asv-label"), None)
    if missing or column is None:
        raise ValueError(
            f"{key} and {path} need speaker and utterance, and the key a column asv-label: they have "
            f"{', '.join(table.columns)} and {', '.join(scores.columns)}. Give both as the challenge ships them."
        )
    if len(table) == len(scores) and (table["id"].to_numpy() == scores["id"].to_numpy()).all():
        return table[column].set_axis(scores.index)
    kinds = table.drop_duplicates(["speaker", "id"]).set_index(["speaker", "id"])[column]
    found = kinds.reindex(pd.MultiIndex.from_frame(scores[["speaker", "id"]])).set_axis(scores.index)
    if found.isna().any():
        lost = scores[found.isna()]
        raise ValueError(
            f"{path}: {len(lost)} of {len(scores)} trials are not in the key {key.name} "
            f"({some(lost['speaker'] + ' ' + lost['id'])}): give the key of these scores."
        )
    return found
