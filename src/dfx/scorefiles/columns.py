"""Tables that others wrote: whether they have a header, and which of its words is which column."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfx.tables import protocols
from dfx.tables.findings import some
from dfx.tables.labels import is_label, parse_label

# Column of dfx -> words that stand for it, in this order, whatever their case and with `-`, `_` or a blank inside.
# The `anon` ones are those of the full keys of ASVspoof 5. Words such as "fake probability" are left out: there a
# higher score would mean less bona fide.
WORDS = {
    "id": (
        *("id", "utterance", "utteranceid", "utt", "uttid", "filename", "file", "fileid", "trial", "trialid"),
        *("trialanon", "path", "filepath", "audio", "wav"),
    ),
    "score": ("score", "cmscore", "scores", "llr"),
    "label": ("label", "cmlabel", "key", "class", "groundtruth"),
    "attack": ("attack", "attackid", "attacktype", "attackanon"),
    "speaker": ("speaker", "spk", "speakerid", "tarspkanon"),
}
SEPARATORS = ("\t", ",", ";", r"\s+")
FORMATS = (
    "CSV or TSV with a header that names the columns, such as id,score or filename,cm-score; or lines without header, "
    "`utterance score`, `utterance attack bonafide/spoof score`"
)


def existing(path: Any) -> Path:
    """The path of a file.

    Raises:
        ValueError: if there is no such file.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        kind = "a folder, no file" if file.is_dir() else "not there"
        raise ValueError(f"{file} is {kind}: give the path of a score file or a key.")
    return file


def with_header(text: str, path: Path) -> pd.DataFrame | None:
    """Table of a text with a header, all text, with dfx's names for the columns that it knows; None without header.

    Raises:
        ValueError: if a line has more fields than the header.
    """
    first = protocols.first_line(text, path)
    separator = next(mark for mark in SEPARATORS if mark in first or mark == r"\s+")
    header = [word.strip(' "') for word in first.split(None if separator == r"\s+" else separator)]
    known = {name for name, words in WORDS.items() if any(_plain(word) in words for word in header)}
    is_data = any(is_number(word) or is_label(word) for word in header)  # a file called `audio`
    if "id" not in known or is_data:
        return None
    try:
        table = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            dtype="str",
            keep_default_na=False,
            skipinitialspace=True,
            quoting=csv.QUOTE_MINIMAL if separator in ",;" else csv.QUOTE_NONE,
        )
    except pd.errors.ParserError as error:
        raise ValueError(
            f"{path} is no table ({error}): give each line as many fields as the header."
        ) from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes surplus fields for an index
        raise ValueError(
            f"{path}: lines have more fields than the header ({', '.join(header)}). Give each line as many."
        )
    if table.empty:
        raise ValueError(f"{path} has a header ({', '.join(header)}) and no trial below it: obtain it anew.")
    return renamed(table.fillna(""))


def renamed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with dfx's names for the columns that it knows; the others keep theirs."""
    names = {}
    for name, words in WORDS.items():
        found = {_plain(column): column for column in reversed(list(table.columns))}
        chosen = next((found[word] for word in words if word in found), None)
        if chosen is not None:
            names[chosen] = name
    return table.rename(columns=names)


def share(column: pd.Series, test: Callable[[str], bool]) -> float:
    """Share of the values of a column that pass a test, of its first 1,000."""
    head = column.iloc[:1000].tolist()
    return sum(map(test, head)) / max(len(head), 1)


def is_number(word: str) -> bool:
    """Whether a word reads as a number; `nan` and `inf` do."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def labels(table: pd.DataFrame, path: Path) -> pd.Series:
    """Labels of a table as 1 and 0.

    Raises:
        ValueError: with the number of labels that are no known words, and the first of them.
    """
    words = table["label"]
    known = {word: parse_label(word) for word in words.unique() if is_label(word)}
    bad = words[~words.isin(list(known))]
    if len(bad):
        try:
            parse_label(bad.iloc[0])
        except ValueError as error:
            found = some(bad.unique().tolist())
            raise ValueError(
                f"{path}: {len(bad)} of {len(words)} labels are unknown ({found}). {error}"
            ) from None
    return words.map(known).astype("int64")


def numbers(table: pd.DataFrame, name: str, path: Path) -> pd.Series:
    """A column as float64, to the last bit.

    Raises:
        ValueError: with the number of values that are no numbers, and the first of them.
    """
    try:
        return pd.Series(np.array(table[name].tolist(), dtype=np.float64), index=table.index)
    except ValueError:
        bad = table[[not is_number(str(word)) for word in table[name]]]
        shown = some(f"{trial}: {value}" for trial, value in zip(bad["id"], bad[name], strict=True))
        raise ValueError(
            f"{path}: {len(bad)} of {len(table)} trials have a {name} that is no number ({shown}). "
            "Write numbers with a decimal point, and score the trials that have none."
        ) from None


def _plain(word: object) -> str:
    return str(word).strip().lower().replace("-", "").replace("_", "").replace(" ", "")
