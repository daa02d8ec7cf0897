"""Read score files of automatic speaker verification (ASV) systems, for t-DCF and a-DCF."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx.scorefiles.joining import EXTRA, PARTS, align_scores, with_speaker_in_id
from dfx.scorefiles.reading import existing_score_file, parse_numbers, read_table_with_header
from dfx.tables import protocols
from dfx.tables.findings import some_items
from dfx.tables.score_table import UNKNOWN_ATTACK

KINDS = ("target", "nontarget", "spoof")


class AsvScores(NamedTuple):
    """Scores of a speaker verification system for each kind of trial; higher means the claimed speaker."""

    target: NDArray[np.float64]
    nontarget: NDArray[np.float64]
    spoof: NDArray[np.float64]


class AsvTrials(NamedTuple):
    """Trials of a speaker verification system: their scores, attacks and utterances.

    Attributes:
        scores: by kind of trial.
        attacks: of the spoof trials; empty where they are not named.
        ids: utterances of the spoof trials; empty where they are not named.
    """

    scores: AsvScores
    attacks: frozenset[str]
    ids: frozenset[str]


def read_asv_trials(
    path: str | os.PathLike[str],
    key: str | os.PathLike[str] | None = None,
    column: str = "asv-score",
    part: str | None = None,
) -> AsvTrials:
    """Read the trials of a speaker verification system: scores by kind of trial, attacks and utterances.

    Args:
        path: lines `attack-or-bonafide target/nontarget/spoof score` (ASVspoof 2019); or, with a key, `speaker
            utterance score` (2021) or the TSV of track 2 of ASVspoof 5.
        key: file that says the kind of each trial: `trial_metadata.txt` of the folder ASV (2021), or a TSV with `spk`,
            `filename`, `asv-label`.
        column: score column of a TSV; `sasv-score` gives the scores for the a-DCF.
        part: trials of a key with a subset or a split, chosen as by `join`: the error rates must be of the trials that
            the countermeasure is measured on. A file or key without parts is taken whole.

    Raises:
        ValueError: if the file has another format, trials of the key lack a score or scores a key, a kind is missing
            or a score is not finite.
    """
    file = existing_score_file(path)
    text = protocols.read_protocol_text(file)
    table = read_table_with_header(text, file)
    if table is None:
        names = ("attack", "kind", "score") if key is None else ("speaker", "id", "score")
        table, column = _three_columns(text, file, names), "score"
    if column not in table:
        raise ValueError(f"{file} has no column {column}: it has {', '.join(table.columns)}. Name one of these.")
    if key is not None:
        table = _join_key(table, existing_score_file(key), file, part)
    elif "kind" not in table:
        raise ValueError(f"{file} does not say which trials are target, nontarget or spoof: give its key as well.")
    named = table.assign(id=table.get("id", table["kind"]))
    scores = parse_numbers(named, column, file).to_numpy()
    bad = int((~np.isfinite(scores)).sum())
    if bad:
        raise ValueError(f"{file}: {bad} of {len(scores)} scores are not finite numbers. Score these trials again.")
    kinds = table["kind"].str.lower().to_numpy()
    groups = AsvScores(*(scores[kinds == kind] for kind in KINDS))
    if sum(map(len, groups)) < len(scores) or not all(map(len, groups)):
        counts = ", ".join(f"{len(group)} {kind}" for kind, group in zip(KINDS, groups, strict=True))
        raise ValueError(
            f"{file} needs trials of the kinds {', '.join(KINDS)} and no other, got {counts} of {len(scores)}: "
            "give a score file of speaker verification, `attack-or-bonafide kind score` on each line."
        )
    spoof = table[kinds == "spoof"]
    attacks, ids = (
        frozenset(spoof[name].astype("str")) - {"", UNKNOWN_ATTACK} if name in spoof else frozenset()
        for name in ("attack", "utterance")
    )
    return AsvTrials(groups, attacks, ids)


def read_asv_scores(
    path: str | os.PathLike[str],
    key: str | os.PathLike[str] | None = None,
    column: str = "asv-score",
    part: str | None = None,
) -> AsvScores:
    """Read only the scores of `read_asv_trials`."""
    return read_asv_trials(path, key, column, part).scores


def _three_columns(text: str, path: Path, names: tuple[str, ...]) -> pd.DataFrame:
    width = len(protocols.first_protocol_line(text, path).split())
    frame = protocols.split_protocol_columns(text, path, width, f"dfx reads `{' '.join(names)}` here")
    wrong = frame[protocols.protocol_line_widths(frame) != len(names)]
    if len(wrong):
        lines = some_items(" ".join(row).strip() for row in wrong.to_numpy())
        raise ValueError(
            f"{path}: {len(wrong)} of {len(frame)} lines do not have the columns {', '.join(names)} ({lines}). "
            "Give a score file of speaker verification as the challenge ships it."
        )
    return frame.iloc[:, : len(names)].set_axis(list(names), axis=1)


def _join_key(scores: pd.DataFrame, path_of_key: Path, path: Path, part: str | None) -> pd.DataFrame:
    """Select the scores of a part of the key, and add the kind of each trial.

    Trials are matched by position where both files have the same order, as those of 2021, in which one speaker and
    utterance may be several trials; else by speaker and utterance.
    """
    key = read_table_with_header(protocols.read_protocol_text(path_of_key), path_of_key)
    if key is None:
        layouts = {8: protocols.ASVSPOOF2021["LA"][8], 12: protocols.ASVSPOOF2021["PA"][12]}
        key = protocols.read_protocol(path_of_key, layouts).rename(columns={"label": "asv-label"})
    missing = [name for name in ("speaker", "id") if name not in scores or name not in key]
    column = next((name for name in key if str(name).replace("_", "-") == "asv-label"), None)
    if missing or column is None:
        raise ValueError(
            f"{path_of_key} and {path} need speaker and utterance, and the key a column asv-label: they have "
            f"{', '.join(key.columns)} and {', '.join(scores.columns)}. Give both as the challenge ships them."
        )
    scores = scores.assign(utterance=scores["id"])
    if key["id"].tolist() == scores["id"].tolist():
        scores, key = (table.assign(id=table.index.astype(str) + " " + table["id"]) for table in (scores, key))
    else:
        scores, key = with_speaker_in_id(scores), with_speaker_in_id(key)
    part = part if any(name in key for name in PARTS) else None
    advice = "Then the scores must have the order of the key"
    given, trials, findings = align_scores(scores, key, str(path), part, advice)
    extra = next((found for found in findings if found.kind == EXTRA), None)
    if extra:
        raise ValueError(
            f"{path}: {extra.count} of {len(scores)} trials are not in the key {path_of_key.name} "
            f"({', '.join(extra.examples)}): give the key of these scores."
        )
    given = given.assign(kind=trials[column])
    return given.assign(attack=trials["attack"]) if "attack" in trials else given
