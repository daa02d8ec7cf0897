"""The manifest: one table that says which files a corpus has, what they are and which split they belong to.

Columns `id` (unique), `path` (absolute), `label` (1 bona fide, 0 spoof), `attack` ("-" for bona fide), `speaker` ("-"
where unknown), `split` (train, dev or eval); any further column is kept. 600,000 rows take seconds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfx.tables.labels import BONAFIDE, NAMES, SPOOF, parse_label

COLUMNS = ("id", "path", "label", "attack", "speaker", "split")
SPLITS = ("train", "dev", "eval")
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "development": "dev",
    "validation": "dev",
    "valid": "dev",
    "val": "dev",
    "eval": "eval",
    "evaluation": "eval",
    "test": "eval",
    "testing": "eval",
}
NO_ATTACK = "-"
NO_SPEAKER = "-"
UNNAMED_ATTACK = "spoof"
SUFFIXES = (".csv", ".parquet")


class Manifest:
    """A validated table of utterances, `table`, with rows numbered from 0; treat it as read-only.

    `id`, `path` and `label` are required, and `split` unless `require_split` is False (then a missing one is "").
    A missing `attack` is "-" for bona fide and "spoof" for spoof, a missing `speaker` is "-".

    Raises:
        ValueError: one sentence with the number of offending rows and the first of them.
    """

    def __init__(self, table: pd.DataFrame, name: str = "", require_split: bool = True):
        self.name = name
        self.table = _checked(table, f"Manifest {name}".strip(), require_split)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return f"Manifest({self.name!r}, {len(self)} utterances)"

    @property
    def hash(self) -> str:
        """16 hex digits over the contents and order of rows and columns; not over where files lie or what they hold."""
        table = self.table.drop(columns="path")
        digest = hashlib.sha256("\n".join(map(str, table.columns)).encode())
        digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
        return digest.hexdigest()[:16]

    def split(self, name: str) -> Manifest:
        """The utterances of one split, in the order of the table.

        Raises:
            ValueError: if the manifest has none of that split.
        """
        rows = self.table[self.table["split"] == name]
        if rows.empty:
            present = ", ".join(sorted(set(self.table["split"]))) or "none"
            raise ValueError(
                f"Manifest {self.name} has no utterance in split {name!r}: it has {present}. "
                f"Give its rows that split, or choose another."
            )
        return Manifest(rows, self.name, require_split=False)

    def counts(self) -> pd.DataFrame:
        """Number of utterances, a row for each split that occurs and a column for each class."""
        splits = [name for name in (*SPLITS, "") if (self.table["split"] == name).any()]
        counts = pd.crosstab(self.table["split"], self.table["label"].map(NAMES))
        return counts.reindex(index=splits, columns=[NAMES[BONAFIDE], NAMES[SPOOF]], fill_value=0)

    def write(self, path: str | Path) -> None:
        """Write as CSV or Parquet; labels as words, files at or below the folder of `path` relative to it."""
        path = Path(path)
        suffix = _suffix(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = f"{_normal(path.parent)}{os.sep}"
        table = self.table.assign(
            label=self.table["label"].map(NAMES), path=self.table["path"].str.removeprefix(folder)
        )
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        if suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
        temporary.replace(path)


def read(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    splits: Mapping[str, str] | None = None,
    aliases: Mapping[str, Sequence[str]] | None = None,
) -> Manifest:
    """Manifest of a CSV or Parquet file with at least a column of paths and one of label words.

    Paths are relative to the folder of the file. Labels are words (`dfx.tables.labels`). A missing `id` is the path as
    written, without suffix. Without a `split` column every split is "", for the caller to decide.

    Args:
        path: the file, .csv or .parquet.
        columns: name in dfx -> name in the file, where they differ: {"attack": "system"}.
        splits: word in the file -> train, dev or eval, for words other than those (and training, development,
            validation, valid, val, evaluation, test, testing), in any case.
        aliases: name in dfx -> names that stand for it in a file that has no column of dfx's name.

    Raises:
        ValueError: if the file is missing or empty, lacks a column, or holds unknown labels or splits, duplicate ids
            or empty paths.
    """
    path = Path(path)
    given, others = dict(columns or {}), dict(aliases or {})
    table = _load(
        path, names=[*COLUMNS, *given.values(), *(alias for group in others.values() for alias in group)]
    )
    for name, group in others.items():
        present = [alias for alias in group if alias in table]
        if present and name not in table:
            given.setdefault(name, present[0])
    table = _rename(table, given, path)
    missing = [name for name in ("path", "label") if name not in table]
    if missing:
        raise ValueError(
            f"{path} has no column {' and no column '.join(missing)}: it has {', '.join(map(str, table.columns))}. "
            f"Name the column that holds it: 'dataset.columns={{{missing[0]}: NAME IN THE FILE}}'; columns are "
            "separated by commas."
        )
    paths = table["path"].astype("str").where(table["path"].notna())
    _refuse(paths.isna() | (paths == ""), table, f"{path}: empty path", "Fill in or remove the rows")
    if "id" not in table:
        table["id"] = _ids(paths, path.parent)
        _refuse(
            table["id"].duplicated(keep=False),
            table.assign(id=paths),
            f"{path} has no column id, and paths without suffix are not unique",
            "Add a column id",
        )
    table["path"] = _absolute(paths, path.parent)
    table["label"] = _labels(table["label"], path)
    bonafide = table["label"] == BONAFIDE
    if "attack" in table:
        # Corpora write "bonafide", "none" or nothing; a spoof without a name still is an attack.
        attack = table["attack"].astype("str").where(table["attack"].notna(), NO_ATTACK)
        table["attack"] = attack.mask(bonafide, NO_ATTACK).mask(
            ~bonafide & attack.isin(["", NO_ATTACK]), UNNAMED_ATTACK
        )
    if "split" in table:
        table["split"] = _splits(table["split"], splits or {}, path)
    return Manifest(table, path.stem, require_split="split" in table)


def _load(path: Path, names: Sequence[str]) -> pd.DataFrame:
    suffix = _suffix(path)
    if not path.is_file():
        raise ValueError(f"There is no manifest {path}: give the path of a CSV or Parquet file.")
    if suffix == ".parquet":
        return pd.read_parquet(path)
    # Names stay text: an utterance "0012", a speaker "NA". utf-8-sig: spreadsheets write a byte-order mark.
    text = dict.fromkeys(names, "str")
    try:
        table = pd.read_csv(
            path, dtype=text, keep_default_na=False, na_values=[""], encoding="utf-8-sig", low_memory=False
        )
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path} is empty: give a table with a header and at least one row.") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a comma-separated UTF-8 table ({error}): save it as one.") from error
    return table


def _suffix(path: Path) -> str:
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"{path} is no manifest: its suffix is {path.suffix!r}; use {' or '.join(SUFFIXES)}."
        )
    return path.suffix.lower()


def _rename(table: pd.DataFrame, columns: Mapping[str, str], path: Path) -> pd.DataFrame:
    """The table with the columns named as dfx does; a mapped column replaces one that already has the name."""
    absent = [given for given in columns.values() if given not in table]
    if absent:
        raise ValueError(
            f"{path} has no column {', '.join(map(repr, absent))}: it has {', '.join(map(str, table.columns))}. "
            f"Correct the mapping of columns."
        )
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise ValueError(
            f"Columns {', '.join(map(repr, unknown))} are unknown to dfx: map {', '.join(COLUMNS)}; "
            f"others keep their names."
        )
    replaced = [name for name, given in columns.items() if given != name]
    table = table.drop(columns=replaced, errors="ignore")
    return table.rename(columns={given: name for name, given in columns.items()})


def _ids(paths: pd.Series, folder: Path) -> pd.Series:
    prefix = f"{_normal(folder)}{os.sep}"
    return paths.str.removeprefix(prefix).str.removeprefix("./").str.replace(r"\.[^./\\]+$", "", regex=True)


def _normal(folder: Path) -> str:
    return os.path.abspath(folder)  # noqa: PTH100  (without `..`, so that one file has one name)


def _absolute(paths: pd.Series, folder: Path) -> pd.Series:
    prefix = f"{_normal(folder)}{os.sep}"
    return paths.where(paths.str.match(r"/|\\|[A-Za-z]:"), prefix + paths.str.removeprefix("./"))


def _labels(words: pd.Series, path: Path) -> pd.Series:
    known: dict[Any, int] = {}
    reason = ""
    for word in words.unique():
        try:
            known[word] = parse_label(word)
        except ValueError as error:
            reason = reason or str(error)
    if reason:
        bad = words[~words.isin(list(known))]
        raise ValueError(
            f"{path}: {len(bad)} of {len(words)} labels are unknown ({_some(bad.unique().tolist())}). {reason}"
        )
    return words.map(known).astype("int64")


def _splits(words: pd.Series, given: Mapping[str, str], path: Path) -> pd.Series:
    wrong = [split for split in given.values() if split not in SPLITS]
    if wrong:
        raise ValueError(f"Splits map to {_some(wrong)}: map each word to one of {', '.join(SPLITS)}.")
    known = SPLIT_WORDS | {str(word).strip().lower(): split for word, split in given.items()}
    text = words.astype("str").where(words.notna(), "").str.strip().str.lower()
    bad = words[~text.isin(list(known))]
    if len(bad):
        raise ValueError(
            f"{path}: {len(bad)} of {len(words)} rows have an unknown split ({_some(bad.unique().tolist())}). "
            f"Say what each is: 'dataset.splits={{WORD: train, dev or eval}}'."
        )
    return text.map(known)


def _checked(table: pd.DataFrame, name: str, require_split: bool) -> pd.DataFrame:
    """The table with its columns complete, typed and in order, or one ValueError."""
    required = ("id", "path", "label", "split") if require_split else ("id", "path", "label")
    missing = [column for column in required if column not in table]
    if missing:
        raise ValueError(
            f"{name} lacks {', '.join(missing)}: it has {', '.join(map(str, table.columns))}. Add the columns."
        )
    if table.empty:
        raise ValueError(f"{name} is empty: a manifest needs at least one row.")
    for column in ("id", "path"):
        empty = table[column].isna() | (table[column].astype("str") == "")
        _refuse(empty, table, f"{name}: empty {column}", "Fill in or remove the rows")
    if not pd.api.types.is_numeric_dtype(table["label"]) or not table["label"].isin([BONAFIDE, SPOOF]).all():
        bad = table["label"][~table["label"].isin([BONAFIDE, SPOOF])]
        some = _some(bad.unique().tolist())
        raise ValueError(
            f"{name}: {len(bad)} of {len(table)} labels are not {BONAFIDE} or {SPOOF} ({some}). "
            f"Pass words through dfx.tables.labels.parse_label."
        )
    table = table.reset_index(drop=True)
    label = table["label"].astype("int64")
    default_attack = pd.Series(np.where(label == BONAFIDE, NO_ATTACK, UNNAMED_ATTACK), dtype="str")
    filled = {
        "id": table["id"].astype("str"),
        "path": table["path"].astype("str"),
        "label": label,
        "attack": _text(table.get("attack"), default_attack),
        "speaker": _text(table.get("speaker"), pd.Series(NO_SPEAKER, index=table.index, dtype="str")),
        "split": _text(table.get("split"), pd.Series("", index=table.index, dtype="str")),
    }
    table = pd.DataFrame(filled | {name: table[name] for name in table.columns if name not in filled})
    _refuse(table["id"].duplicated(keep=False), table, f"{name}: duplicate ids", "Give each row its own id")
    relative = ~table["path"].str.match(r"/|\\|[A-Za-z]:")
    _refuse(relative, table, f"{name}: relative path", "Use dfx.tables.manifest.read, or make them absolute")
    _refuse(
        (label == BONAFIDE) & (table["attack"] != NO_ATTACK),
        table,
        f"{name}: bona fide with an attack",
        f"Write {NO_ATTACK!r} there",
    )
    allowed = SPLITS if require_split else (*SPLITS, "")
    _refuse(~table["split"].isin(allowed), table, f"{name}: unknown split", f"Use {', '.join(SPLITS)}")
    return table


def _text(column: pd.Series | None, default: pd.Series) -> pd.Series:
    return default if column is None else column.astype("str").where(column.notna(), default)


def _refuse(bad: pd.Series, table: pd.DataFrame, what: str, advice: str) -> None:
    if bad.any():
        rows = table[bad]
        shown = rows.get("id", rows.index)
        raise ValueError(f"{what} in {len(rows)} of {len(table)} rows ({_some(shown)}). {advice}.")


def _some(items: Iterable[Any]) -> str:
    items = list(items)
    return ", ".join(repr(item) for item in items[:5]) + (", ..." if len(items) > 5 else "")
