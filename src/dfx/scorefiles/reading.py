"""Read score files and keys in every official format, recognised by header and columns."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd

from dfx.tables import protocols
from dfx.tables.findings import some_items
from dfx.tables.labels import BONAFIDE, is_label, normalised_word, parse_labels
from dfx.tables.line_breaks import refuse_joined_lines
from dfx.tables.manifest_reading import read_parquet_table
from dfx.tables.score_table import UNKNOWN_ATTACK

# Column of dfx -> its names in files, in order of preference; case, `-`, `_` and spaces do not matter. The `anon` ones
# are from the full keys of ASVspoof 5. "fake probability" and the like are left out: their polarity is the opposite.
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
# Score files without a header. Four columns: ASVspoof 2019 and the baselines of ASVspoof 5; two: ASVspoof 2021.
LABEL_THEN_SCORE = {4: ("id", "attack", "label", "score"), 3: ("id", "label", "score")}
SCORE_THEN_LABEL = {4: ("speaker", "id", "score", "label"), 3: ("id", "score", "label")}
# Keys without a header. Where several have the same number of columns: the first with label words in its label column.
KEYS: tuple[tuple[str, ...], ...] = (
    ("id", "label"),  # ADD 2022
    ("id", "label", ""),  # a score file with labels
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
NOT_IN_A_KEY = ("path", "score", "asv-score", "sasv-score", "asv-label")
SPLIT_OF_ID = r"^(?:(?:LA|PA)_)?([TDE])_\d+$"  # ids of ASVspoof 2019 and 5 name the split, and no column does
SPLITS = {"T": "train", "D": "dev", "E": "eval"}
HEAD = 1000  # lines that are read to find out what a column is


def read_scores(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a score file as a table with the columns `id` and `score`.

    The columns `attack`, `label` (1, 0) and others are there if the file has them.

    Formats: ASVspoof 2019 (`utterance attack key score`), 2021 and others (`utterance score`), ASVspoof 5 (TSV with
    `filename`, `cm-score`; in track 2 also `spk`, `asv-score`, `sasv-score`), dfx's own, and CSV whose header names
    the columns. Ids may hold spaces.

    Raises:
        ValueError: if the file has no such format, or has unknown labels or scores that are not numbers.
    """
    file = existing_score_file(path)
    text = protocols.read_protocol_text(file)
    table = read_table_with_header(text, file)
    if table is None:
        table = _scores_without_header(text, file)
    if "score" not in table:
        raise ValueError(
            f"{file} has no score column: it has {', '.join(table.columns)}. Call the column score. A higher score "
            "must mean more bona fide; write a probability of fake as 1 - probability."
        )
    table["score"] = parse_numbers(table, "score", file)
    if "label" in table:
        table["label"] = parse_labels(table["label"], file)
    return _first_columns(table, ["id", "attack", "label", "score"])


def read_key(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a key as a table with the columns `id`, `label` (1, 0) and `attack`, and metadata.

    The attack is `-` for bona fide or if it is unknown; metadata are such as `speaker`.

    All trials are returned: `subset` (ASVspoof 2021) or `split` say which part each belongs to, and `join` selects.
    Formats: protocols and keys of ASVspoof 2019, 2021 (early keys too) and 5, manifests and other tables with a header
    (CSV, TSV, Parquet), and score files with labels. A column that is `-` in every row is left out.

    Raises:
        ValueError: if the file has no such format, or has unknown labels.
    """
    file = existing_score_file(path)
    with file.open("rb") as opened:
        is_parquet = opened.read(4) == b"PAR1"
    table = _read_parquet(file) if is_parquet else _read_key_text(file)
    missing = [name for name in ("id", "label") if name not in table]
    if missing:
        raise ValueError(
            f"{file} has no column {' and '.join(missing)}: it has {', '.join(map(str, table.columns))}. A key needs "
            "the id and the label of each trial: rename the columns that hold them."
        )
    table = table.drop(columns=[name for name in NOT_IN_A_KEY if name in table])
    table["label"] = parse_labels(table["label"], file)
    attack = table.get("attack", pd.Series(UNKNOWN_ATTACK, index=table.index)).fillna(UNKNOWN_ATTACK)
    table["attack"] = attack.mask((table["label"] == BONAFIDE) | (attack == ""), UNKNOWN_ATTACK)
    if "split" not in table and "subset" not in table:
        split = table["id"].str.extract(SPLIT_OF_ID)[0].map(SPLITS)
        if split.notna().all() and split.nunique() > 1:
            table["split"] = split
    needed = ["id", "label", "attack"]
    table = table.drop(columns=[name for name in table if name not in needed and (table[name] == "-").all()])
    return _first_columns(table, needed)


def existing_score_file(path: Any) -> Path:
    """Return the path of a file after a check that it exists; `~` is the home folder.

    Raises:
        ValueError: if there is no such file.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        problem = f"{file} is a folder" if file.is_dir() else f"There is no file {str(file)!r}"
        raise ValueError(f"{problem}: give the path of a score file or a key.")
    return file


def read_table_with_header(text: str, path: Path) -> pd.DataFrame | None:
    """Parse text with a header as a table with dfx's column names; return None if there is no header.

    All columns are text.

    Raises:
        ValueError: if a line has more fields than the header, or no line follows it.
    """
    first = protocols.first_protocol_line(text, path)
    separator = next(mark for mark in SEPARATORS if mark in first or mark == r"\s+")
    header = [word.strip(' "') for word in first.split(None if separator == r"\s+" else separator)]
    has_id = any(normalised_word(word) in WORDS["id"] for word in header)
    is_data = any(_is_number(word) or is_label(word) for word in header)  # a file that is called `audio`
    if not has_id or is_data:
        return None
    if first.count('"') == 2 and first.startswith('"') and first.endswith('"') and len(header) > 1:
        raise ValueError(f"{path} has its whole header in quotation marks ({first[:80]}): remove them.")
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
        raise ValueError(f"{path} is not a table ({error}): give each line as many fields as the header.") from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes surplus fields for an index
        raise ValueError(
            f"{path}: lines have more fields than the header ({', '.join(header)}). Give each line as many."
        )
    if table.empty:
        raise ValueError(f"{path} has a header ({', '.join(header)}) and no trial below it: obtain it again.")
    if separator in ",;":
        used = [name for name in table if any(normalised_word(name) in words for words in WORDS.values())]
        refuse_joined_lines(text, len(table) + 1, list(table), used, path, separator)
    return _with_our_names(table.fillna(""))


def parse_numbers(table: pd.DataFrame, name: str, path: Path) -> pd.Series:
    """Convert a text column to float64.

    Raises:
        ValueError: with the number of values that are not numbers, and the first of them.
    """
    try:
        if table[name].str.contains("_", regex=False).any():  # Python and NumPy take 1_000 for a number
            raise ValueError
        return pd.Series(np.array(table[name].tolist(), dtype=np.float64), index=table.index)
    except ValueError:
        bad = table[[not _is_number(str(word)) for word in table[name]]]
        shown = some_items(f"{trial}: {value}" for trial, value in zip(bad["id"], bad[name], strict=True))
        raise ValueError(
            f"{path}: {len(bad)} of {len(table)} trials have a {name} that is not a number ({shown}). "
            "Write numbers with a decimal point, and score the trials that have none."
        ) from None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word


def _with_our_names(table: pd.DataFrame) -> pd.DataFrame:
    names = {}
    columns = {normalised_word(column): column for column in reversed(list(table.columns))}
    for name, words in WORDS.items():
        chosen = next((columns[word] for word in words if word in columns), None)
        if chosen is not None:
            names[chosen] = name
    return table.rename(columns=names)


def _first_columns(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    first = [name for name in names if name in table]
    return table[first + [name for name in table if name not in first]]


def _share(column: pd.Series, test: Callable[[str], bool]) -> float:
    head = column.iloc[:HEAD].tolist()
    return sum(map(test, head)) / max(len(head), 1)


def _scores_without_header(text: str, path: Path) -> pd.DataFrame:
    first = protocols.first_protocol_line(text, path)
    mark = next((mark for mark in ",;" if mark in first and _is_number(first.rpartition(mark)[2])), None)
    width = len(first.split(mark))
    frame = protocols.split_protocol_columns(text, path, width, f"dfx reads {FORMATS}", mark or r"\s+")
    table = protocols.name_protocol_columns(frame, _score_columns(frame, path, first), path)
    if "%" in text and mark is None:  # `ScoreTable.write_plain` writes a space in an id like this
        for name in table.columns.intersection(["id", "attack"]):
            table[name] = table[name].map(unquote)
    return table


def _score_columns(frame: pd.DataFrame, path: Path, first: str) -> tuple[str, ...]:
    """Name the columns of a score file without a header, by the last two fields of its first lines."""
    lines = [[word for word in row if word] for row in frame.head(HEAD).to_numpy().tolist()]
    width = int(np.median([len(line) for line in lines]))
    last = pd.Series([line[-1] for line in lines])
    before = pd.Series([line[-2] if len(line) > 1 else "" for line in lines])
    if width > 2 and _share(before, lambda word: word in ("target", "nontarget")) > 0.05:
        raise ValueError(
            f"{path} holds scores of speaker verification ({first!r}), which do not tell bona fide from spoof: give "
            "this file for the t-DCF (asv=FILE), and the scores of the countermeasure here."
        )
    if width > 1 and _share(last, _is_number) >= 0.5:
        if width > 2 and _share(before, is_label) > 0.5:
            return LABEL_THEN_SCORE[min(width, 4)]
        if width > 2 and _share(before, lambda word: _is_number(word) and not word.isdigit()) > 0.5:
            raise ValueError(
                f"{path} has two columns of numbers, its first line is {first[:120]!r}, and does not say which is the "
                "score of bona fide: keep the id and that column, or name the columns in a header (id,score)."
            )
        if width > 2 and set(before) <= {"0", "1"}:
            parse_labels(before, path)  # raises: numbers are not labels
        return ("id", "score")
    if width > 2 and _share(last, is_label) > 0.5 and _share(before, _is_number) > 0.5:
        return SCORE_THEN_LABEL[min(width, 4)]
    hint = f" Its lines end with {first[-1]!r}: remove it." if first.endswith((",", ";")) else ""
    raise ValueError(f"{path} is not a score file, its first line is {first[:120]!r}: dfx reads {FORMATS}.{hint}")


def _read_parquet(path: Path) -> pd.DataFrame:
    table = _with_our_names(read_parquet_table(path))
    return table.astype({name: "str" for name in ("id", "attack", "speaker", "label") if name in table})


def _read_key_text(path: Path) -> pd.DataFrame:
    text = protocols.read_protocol_text(path)
    table = read_table_with_header(text, path)
    if table is not None:
        return table
    first = protocols.first_protocol_line(text, path)
    kind = (
        "a key of speaker verification" if {"target", "nontarget"} & set(first.split()) else "not a key that dfx knows"
    )
    hint = (
        "give the protocol of ASVspoof 2019 or 5, the trial_metadata.txt of the folder CM of ASVspoof 2021, or a CSV "
        "with the columns id and label, in words"
    )
    frame = protocols.split_protocol_columns(text, path, max(*map(len, KEYS), len(first.split())), hint)
    width = int(protocols.protocol_line_widths(frame.head(HEAD)).median())
    layouts = [names for names in KEYS if len(names) == width and _share(frame[names.index("label")], is_label) > 0.5]
    if not layouts:
        raise ValueError(f"{path} is {kind}, its first line is {first[:120]!r}: {hint}.")
    is_df = _share(frame[1], lambda word: word.startswith("DF_")) > 0.5  # LA and early DF have eight columns
    table = protocols.name_protocol_columns(frame, layouts[-1 if is_df else 0], path)
    if width == 4 and _share(table["attack"], _is_number) > 0.5:
        del table["attack"]  # a score file of the baselines of ASVspoof 5: speaker, id, score, label
    return table
