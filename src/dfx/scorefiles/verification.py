"""Score files of speaker verification systems, which countermeasures protect."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx.scorefiles import columns
from dfx.scorefiles.joining import refuse_missing, refuse_repeats
from dfx.scorefiles.keys import PARTS, part_of
from dfx.tables import protocols
from dfx.tables.findings import some

KINDS = ("target", "nontarget", "spoof")


class AsvScores(NamedTuple):
    """Scores of a speaker verification system by kind of trial, each `(trials,)`; higher = the claimed speaker."""

    target: NDArray[np.float64]
    nontarget: NDArray[np.float64]
    spoof: NDArray[np.float64]


def read_asv(
    path: str | os.PathLike[str],
    key: str | os.PathLike[str] | None = None,
    column: str = "asv-score",
    part: str | None = None,
) -> AsvScores:
    """Scores of a speaker verification system by kind of trial.

    Args:
        path: lines `attack-or-bonafide target/nontarget/spoof score` (ASVspoof 2019); or, with a key, `speaker
            utterance score` (2021) or the TSV of track 2 of ASVspoof 5.
        key: says which kind each trial is: `trial_metadata.txt` of the folder ASV (2021), or a TSV with `spk`,
            `filename`, `asv-label`.
        column: of a TSV; `sasv-score` gives what the a-DCF judges.
        part: which trials of a key with a subset or a split, chosen as by `join`: rates of other trials than those of
            the countermeasure are not the organisers'. A file or key without parts is taken whole.

    Raises:
        ValueError: if the file has another format, trials of the key lack a score or scores a key, a kind is missing
            or a score is no finite number.
    """
    file = columns.existing(path)
    text = protocols.load(file)
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
        table = _of_key(table, columns.existing(key), file, part)
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


def _three_columns(text: str, path: Path, names: tuple[str, ...]) -> pd.DataFrame:
    first = protocols.first_line(text, path)
    try:
        frame = protocols.fields(text, len(first.split()) + protocols.MAX_SPACES)
    except pd.errors.ParserError as error:
        raise ValueError(f"{path} is no score file ({error}): dfx reads `{' '.join(names)}` here.") from error
    wrong = frame[protocols.widths(frame) != len(names)]
    if len(wrong):
        lines = some(" ".join(row).strip() for row in wrong.to_numpy())
        raise ValueError(
            f"{path}: {len(wrong)} of {len(frame)} lines do not have the columns {', '.join(names)} ({lines}). "
            "Give a score file of speaker verification as the challenge ships it."
        )
    return frame.iloc[:, : len(names)].set_axis(list(names), axis=1)


def _of_key(scores: pd.DataFrame, path_of_key: Path, path: Path, part: str | None) -> pd.DataFrame:
    """Scores of a part of the key, with the kind of each trial.

    Its score is the one at the same place where both files have the same order, as those of 2021, in which a speaker
    and an utterance may be several trials; else the one of its speaker and utterance.
    """
    text = protocols.load(path_of_key)
    key = columns.with_header(text, path_of_key)
    if key is None:
        layouts = {8: protocols.ASVSPOOF2021["LA"][8], 12: protocols.ASVSPOOF2021["PA"][12]}
        key = protocols.read(path_of_key, layouts).rename(columns={"label": "asv-label"})
    missing = [name for name in ("speaker", "id") if name not in scores or name not in key]
    column = next((name for name in key if str(name).replace("_", "-") == "asv-label"), None)
    if missing or column is None:
        raise ValueError(
            f"{path_of_key} and {path} need speaker and utterance, and the key a column asv-label: they have "
            f"{', '.join(key.columns)} and {', '.join(scores.columns)}. Give both as the challenge ships them."
        )
    rows: NDArray[np.intp] = np.arange(len(key))
    if len(key) != len(scores) or (key["id"].to_numpy() != scores["id"].to_numpy()).any():
        scores, key = (table.assign(id=table["speaker"] + " " + table["id"]) for table in (scores, key))
        refuse_repeats(scores["id"], str(path), "Keep one score for each trial")
        refuse_repeats(key["id"], str(path_of_key), "Then the scores must have the order of the key")
        lost = scores["id"][~scores["id"].isin(key["id"])]
        if len(lost):
            raise ValueError(
                f"{path}: {len(lost)} of {len(scores)} trials are not in the key {path_of_key.name} ({some(lost)}): "
                "give the key of these scores."
            )
        rows = pd.Index(scores["id"]).get_indexer(pd.Index(key["id"]))
    chosen = np.ones(len(key), dtype=bool)
    if any(name in key for name in PARTS):
        chosen = part_of(key, part, path.name)[0]
    refuse_missing(scores, key, rows, chosen, str(path))
    return scores.iloc[rows[chosen]].assign(kind=key[column].to_numpy()[chosen]).reset_index(drop=True)
