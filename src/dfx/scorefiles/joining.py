"""Join scores with the labels of a key into one `ScoreTable`."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx.tables.findings import Finding, make_finding, some_items
from dfx.tables.labels import NAMES
from dfx.tables.manifest import ALL, AUDIO_SUFFIXES
from dfx.tables.score_table import UNKNOWN_ATTACK, ScoreTable

PARTS = ("subset", "split")  # columns that divide a key into parts
UNKNOWN = ("", "-")  # values of a column that say nothing
EXTRA = "extra-trials"  # kind of the finding on scores of trials that are not in the key
REPORTED = "eval"  # the part that published results are of
_EXTENSION = rf"(?i)(?:{'|'.join(map(re.escape, sorted(AUDIO_SUFFIXES)))})$"
_FOLDER_OR_EXTENSION = rf"{_EXTENSION}|^.*[/\\]"


def join_scores(
    scores: pd.DataFrame, key: pd.DataFrame | None = None, name: str = "", part: str | None = None
) -> tuple[ScoreTable, list[Finding]]:
    """Join scores with the labels of a key into a `ScoreTable`, with findings.

    The table has the trials of the key in its order; findings tell which trials were left out and which ids were
    adapted.

    Ids that differ only by the folder or the extension of an audio file (`flac/LA_E_1.flac`, `LA_E_1`) match where
    each then has one partner. In track 2 of ASVspoof 5 a trial is a speaker and an utterance; its id holds both.

    Args:
        scores: from `read_scores`.
        key: from `read_key`; None where the score file has labels.
        name: what to call the scores in sentences, such as the file name.
        part: trials of a key with a subset or a split: eval, progress, hidden, train, dev or all. None: eval where the
            key has it, and everything where it has one part only.

    Raises:
        ValueError: if trials lack a score, ids repeat, scores are not finite, scores and key share no id, labels of
            the file contradict the key, or a class is missing.
    """
    name = name or "The score file"
    if key is None:
        if "label" not in scores:
            raise ValueError(f"{name} does not say which trials are bona fide: give a key too, key=FILE.")
        key, scores = scores.drop(columns="score"), scores.drop(columns=["label", "attack"], errors="ignore")
    if all("speaker" in table and table["id"].duplicated().any() for table in (scores, key)):
        scores, key = with_speaker_in_id(scores), with_speaker_in_id(key)  # as in track 2 of ASVspoof 5
    given, trials, findings = align_scores(scores, key, name, part)
    findings += contrary_columns(given, trials, f"{name} and its key")
    return _score_table(given, trials, name), findings


def align_scores(
    scores: pd.DataFrame,
    key: pd.DataFrame,
    name: str,
    part: str | None = None,
    repeated: str = "Keep one row for each trial",
) -> tuple[pd.DataFrame, pd.DataFrame, list[Finding]]:
    """Match scores with the trials of a part of the key.

    Returns the rows of both in the order of the key, and findings.

    Args:
        scores: table with a column `id`.
        key: table with a column `id`.
        name: what to call the scores in sentences.
        part: part of the key, as in `join_scores`.
        repeated: advice if the key repeats an id.

    Raises:
        ValueError: if ids repeat, the key has no such part, or a trial has no score.
    """
    _refuse_repeated_ids(scores["id"], name, "Keep one score for each trial")
    _refuse_repeated_ids(key["id"], f"The key of {name}", repeated)
    rows, findings = _match(scores["id"], key["id"])
    chosen, left_out = _choose_part(key, part, name)
    missing = key["id"][chosen & (rows < 0)]
    if len(missing):
        elsewhere = key[~chosen & (rows >= 0)]
        hint = ""
        if len(elsewhere):
            other = next(str(elsewhere[column].iloc[0]) for column in PARTS if column in key)
            hint = f" {len(elsewhere)} scores belong to other parts of the key, such as part={other.partition('_')[0]}."
        if len(missing) == chosen.sum():
            raise ValueError(
                f"{name} and its key have no trial in common: the scores have {scores['id'].iloc[0]!r}, the key "
                f"{missing.iloc[0]!r}. Give the key of these trials.{hint}"
            )
        raise ValueError(
            f"{name}: {len(missing)} of {chosen.sum()} trials of the key have no score ({some_items(missing)}). "
            f"Leaving them out could flatter the result: score them, or give a key of the trials that are meant.{hint}"
        )
    extra = scores["id"][~np.isin(np.arange(len(scores)), rows)]
    if len(extra):
        text = (
            f"{name}: {len(extra)} of {len(scores)} scores are of trials that the key does not have "
            f"({some_items(extra)}) and are left out. Check that it is the key of these trials."
        )
        findings.append(make_finding(EXTRA, "warning", text, extra))
    given = scores.iloc[rows[chosen]].reset_index(drop=True)
    return given, key[chosen].reset_index(drop=True), findings + left_out


def without_folder_and_extension(ids: pd.Series) -> pd.Series:
    """Remove the folder and the extension of an audio file from each id."""
    return ids.str.replace(_FOLDER_OR_EXTENSION, "", regex=True)


def dev_part(table: pd.DataFrame) -> str | None:
    """Return "dev" if the key file divides its trials into parts and one is dev, else None."""
    parts = [set(table[column].astype("str")) for column in PARTS if column in table]
    return "dev" if any("dev" in words for words in parts) else None


def with_speaker_in_id(table: pd.DataFrame) -> pd.DataFrame:
    """Change each id to `SPEAKER ID`, because one utterance may be a trial of several speakers."""
    return table.assign(id=table["speaker"] + " " + table["id"])


def _refuse_repeated_ids(ids: pd.Series, name: str, cure: str) -> None:
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise ValueError(
            f"{name}: {len(repeated)} of {len(ids)} trials repeat an id ({some_items(repeated.unique())}). {cure}."
        )


def _choose_part(key: pd.DataFrame, part: str | None, name: str) -> tuple[NDArray[np.bool_], list[Finding]]:
    """Select the trials of a part of a key: a mask `(trials,)`, and a note about the rest."""
    column = next((column for column in PARTS if column in key), None)
    everything = np.ones(len(key), dtype=bool)
    if column is None and part not in (None, ALL):
        raise ValueError(f"The key of {name} has no subset and no split, got part={part}: leave part out.")
    if column is None or part == ALL:
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
        f"{left} of {len(key)} trials of the key are not in its {column} {wanted} and are left out. Published results "
        f"are of {REPORTED}; part={ALL} takes every trial."
    )
    return chosen, [make_finding(column, "note", text, key["id"][~chosen].head(), left)]


def _match(scores: pd.Series, key: pd.Series) -> tuple[NDArray[np.intp], list[Finding]]:
    """For each trial in the key, find the row of its score, or -1; ids may differ by folder and extension."""
    rows = pd.Index(scores).get_indexer(pd.Index(key))
    for what, pattern in (("the extension", _EXTENSION), ("folder and extension", _FOLDER_OR_EXTENSION)):
        if (rows >= 0).all():
            break
        short, wanted = (pd.Index(ids.str.replace(pattern, "", regex=True)) for ids in (scores, key))
        if not short.is_unique or not wanted.is_unique:
            continue
        found = short.get_indexer(wanted)
        if (found >= 0).sum() > (rows >= 0).sum():
            changed = (found >= 0) & (rows < 0)
            first = int(changed.argmax())
            text = (
                f"{changed.sum()} of {len(key)} trials of the key match scores only without {what} "
                f"({scores.iloc[found[first]]!r} is {key.iloc[first]!r} there). Each has one partner, so they count as "
                "the same trials."
            )
            return found, [make_finding("ids-adapted", "note", text, key[changed].head(), int(changed.sum()))]
    return rows, []


def _score_table(given: pd.DataFrame, chosen: pd.DataFrame, name: str) -> ScoreTable:
    """Make a score table from matched rows; checks that labels agree and no class is missing."""
    if "label" in given:
        wrong = given["label"].to_numpy() != chosen["label"].to_numpy()
        if wrong.any():
            shown = some_items(
                f"{row.id}: {NAMES[int(row.label)]} there, {NAMES[int(own)]} in the key"
                for row, own in zip(given[wrong].itertuples(), chosen["label"][wrong], strict=True)
            )
            raise ValueError(
                f"{name}: {int(wrong.sum())} of {len(given)} labels contradict the key ({shown}). Find out which of "
                "the two is right: with the classes swapped an EER of 3 % becomes 97 %."
            )
    for label, word in NAMES.items():
        if not (chosen["label"] == label).any():
            raise ValueError(f"{name}: there is no {word} among the {len(chosen)} trials; metrics need both classes.")
    table = chosen.assign(score=given["score"])
    if "attack" not in table or (table["attack"] == UNKNOWN_ATTACK).all():
        table["attack"] = given.get("attack", pd.Series(UNKNOWN_ATTACK, index=table.index))
    own = [str(column) for column in given if column not in table]
    try:
        return ScoreTable(table.assign(**{column: given[column] for column in own}))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def contrary_columns(first: pd.DataFrame, second: pd.DataFrame, names: str) -> list[Finding]:
    """Find columns of the same trials, such as the attack, in which two tables contradict each other.

    A value that one of them does not know (`-`) is no contradiction.

    Args:
        first: table with a column `id`.
        second: the same trials in the same order.
        names: what to call the two tables, "a.csv and its key".
    """
    findings = []
    for column in first.columns.intersection(second.columns).difference(["id", "label", "score", *PARTS]):
        if any(pd.api.types.is_numeric_dtype(table[column]) for table in (first, second)):
            continue  # 1 and 1.0 are no contradiction
        one, other = (table[column].fillna("-").astype("str").to_numpy() for table in (first, second))
        differs = ~np.isin(one, UNKNOWN) & ~np.isin(other, UNKNOWN) & (one != other)
        if differs.any():
            at = int(differs.argmax())
            text = (
                f"{names} have another {column} for {int(differs.sum())} of {len(first)} trials "
                f"({first['id'].iloc[at]!r}: {one[at]!r} and {other[at]!r}). Find out which of the two is right."
            )
            findings.append(make_finding("contrary-columns", "warning", text, first["id"][differs]))
    return findings
