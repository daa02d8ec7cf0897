"""Scores and key become one table, or a sentence that says why not."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx.scorefiles.keys import PARTS, part_of
from dfx.tables.findings import Finding, finding, some
from dfx.tables.labels import NAMES
from dfx.tables.score_table import UNKNOWN_ATTACK, ScoreTable

_EXTENSION = r"(?i)\.(?:flac|wav|mp3|ogg|opus|m4a|aac|mp4|wma|aiff?|au|sph)$"
_FOLDER = r"^.*[/\\]"


def join(
    scores: pd.DataFrame, key: pd.DataFrame | None = None, name: str = "", part: str | None = None
) -> tuple[ScoreTable, list[Finding]]:
    """Score table of the trials of a key, in its order, and what was left out or adapted for it.

    Ids that differ only by the folder or the extension of an audio file (`flac/LA_E_1.flac`, `LA_E_1`) match where
    that makes pairs of one each. In track 2 of ASVspoof 5 a trial is a speaker and an utterance; its id holds both.

    Args:
        scores: of `read_scores`.
        key: of `read_key`; None where the score file has labels of its own.
        name: what sentences call the scores, such as the name of the file.
        part: which trials of a key with a subset or a split: eval, progress, hidden, train, dev or all. None is eval
            where the key has it, and everything where it has one part only.

    Raises:
        ValueError: if trials lack a score, ids repeat, scores are no finite numbers, scores and key share no id, labels
            of the file contradict the key, or a class is missing.
    """
    name = name or "The score file"
    if key is None:
        if "label" not in scores:
            raise ValueError(f"{name} says nothing of which trials are bona fide: give a key too, key=FILE.")
        key, scores = scores.drop(columns="score"), scores.drop(columns=["label", "attack"], errors="ignore")
    scores, key = _pairs(scores, key)
    refuse_repeats(scores["id"], name, "Keep one score for each trial")
    refuse_repeats(key["id"], f"The key of {name}", "Keep one row for each trial")
    rows, findings = _matched(scores["id"], key["id"])
    chosen, left_out = part_of(key, part, name)
    refuse_missing(scores, key, rows, chosen, name)
    used = np.zeros(len(scores), dtype=bool)
    used[rows[rows >= 0]] = True
    if not used.all():
        extra = scores["id"][~used]
        text = (
            f"{name}: {len(extra)} of {len(scores)} scores are of trials that the key does not have ({some(extra)}) "
            "and are left out. Check that it is the key of these trials."
        )
        findings.append(finding("extra-trials", "warning", text, extra))
    given = scores.iloc[rows[chosen]].reset_index(drop=True)
    return _table(given, key[chosen].reset_index(drop=True), name), findings + left_out


def _pairs(scores: pd.DataFrame, key: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both with speaker and utterance as id where the utterances alone repeat, as in track 2 of ASVspoof 5."""
    if not all("speaker" in table and table["id"].duplicated().any() for table in (scores, key)):
        return scores, key
    return (
        scores.assign(id=scores["speaker"] + " " + scores["id"]),
        key.assign(id=key["speaker"] + " " + key["id"]),
    )


def refuse_repeats(ids: pd.Series, name: str, cure: str) -> None:
    """Raise ValueError if trials have the same id."""
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise ValueError(
            f"{name}: {len(repeated)} of {len(ids)} trials repeat an id ({some(repeated.unique())}). {cure}."
        )


def _matched(scores: pd.Series, key: pd.Series) -> tuple[NDArray[np.intp], list[Finding]]:
    """Row of the score of each trial of the key, -1 where there is none; ids may differ by folder and extension."""
    rows = pd.Index(scores).get_indexer(pd.Index(key))
    for what, patterns in (("the extension", [_EXTENSION]), ("folder and extension", [_FOLDER, _EXTENSION])):
        if (rows >= 0).all():
            break
        short, wanted = pd.Index(_without(scores, patterns)), pd.Index(_without(key, patterns))
        if not short.is_unique or not wanted.is_unique:
            continue
        found = short.get_indexer(wanted)
        if (found >= 0).sum() > (rows >= 0).sum():
            changed = (found >= 0) & (rows < 0)
            first = int(changed.argmax())
            text = (
                f"{changed.sum()} of {len(key)} trials of the key match scores without {what} only "
                f"({scores.iloc[found[first]]!r} is {key.iloc[first]!r} there). Each has one partner, so they count as "
                "the same trials."
            )
            return found, [finding("ids-adapted", "note", text, key[changed].head(), int(changed.sum()))]
    return rows, []


def _without(ids: pd.Series, patterns: list[str]) -> pd.Series:
    for pattern in patterns:
        ids = ids.str.replace(pattern, "", regex=True)
    return ids


def refuse_missing(
    scores: pd.DataFrame, key: pd.DataFrame, rows: NDArray[np.intp], chosen: NDArray[np.bool_], name: str
) -> None:
    """Raise ValueError if chosen trials of the key have no score; `rows` are those of their scores, -1 for none."""
    missing = key["id"][chosen & (rows < 0)]
    if missing.empty:
        return
    elsewhere = key[~chosen & (rows >= 0)]
    hint = ""
    if len(elsewhere):
        other = next(str(elsewhere[column].iloc[0]) for column in PARTS if column in key)
        hint = f" {len(elsewhere)} scores belong to other parts of the key, as to part={other.partition('_')[0]}."
    if len(missing) == chosen.sum():
        raise ValueError(
            f"{name} and its key have no trial in common: the scores have {scores['id'].iloc[0]!r}, the key "
            f"{missing.iloc[0]!r}. Give the key of these trials.{hint}"
        )
    raise ValueError(
        f"{name}: {len(missing)} of {chosen.sum()} trials of the key have no score ({some(missing)}). To leave "
        f"them out could flatter: score them, or give a key of the trials that are meant.{hint}"
    )


def _table(given: pd.DataFrame, chosen: pd.DataFrame, name: str) -> ScoreTable:
    """Scores beside the rows of the key, in the same order; checked."""
    if "label" in given:
        wrong = given["label"].to_numpy() != chosen["label"].to_numpy()
        if wrong.any():
            shown = some(
                f"{row.id}: {NAMES[int(row.label)]} there, {NAMES[int(own)]} in the key"
                for row, own in zip(given[wrong].itertuples(), chosen["label"][wrong], strict=True)
            )
            raise ValueError(
                f"{name}: {int(wrong.sum())} of {len(given)} labels contradict the key ({shown}). Find out which of "
                "both is right: with the classes mixed up an EER of 3 % becomes 97 %."
            )
    for label, word in NAMES.items():
        if not (chosen["label"] == label).any():
            raise ValueError(
                f"{name}: there is no {word} among the {len(chosen)} trials; metrics need both classes."
            )
    table = chosen.assign(score=given["score"])
    if "attack" not in table or (table["attack"] == UNKNOWN_ATTACK).all():
        table["attack"] = given.get("attack", pd.Series(UNKNOWN_ATTACK, index=table.index))
    own = [str(column) for column in given if column not in table]
    try:
        return ScoreTable(table.assign(**{column: given[column] for column in own}))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
