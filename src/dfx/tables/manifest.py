"""Manifest: table of the utterances of a corpus, with file, class and split of each.

Columns `id` (unique), `path` (absolute), `label` (1 bona fide, 0 spoof), `attack` ("-" for bona fide), `speaker` ("-"
if unknown), `split` (train, dev or eval); any further column is kept. 600,000 rows take seconds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfx.tables.findings import refuse_rows, some_items
from dfx.tables.labels import BONAFIDE, NAMES, SPOOF, parse_label
from dfx.tables.line_breaks import LINE_BREAKS, refuse_joined_lines, without_line_breaks

COLUMNS = ("id", "path", "label", "attack", "speaker", "split")
SPLITS = ("train", "dev", "eval")
ALL = "all"  # instead of one split or one part of a key: all of them
SPLIT_WORDS = {  # other names of the splits, in files and folders
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "development", "validation", "valid", "val"), "dev"),
    **dict.fromkeys(("eval", "evaluation", "test", "testing"), "eval"),
}
ALIASES = {  # other names of columns in files, used if there is no column of dfx's name
    "path": ("file", "filename", "audio"),
    "attack": ("system", "system_id", "attack_id"),
    "speaker": ("speaker_id", "spk"),
}
NO_ATTACK = "-"
NO_SPEAKER = "-"
UNNAMED_ATTACK = "spoof"
SUFFIXES = (".csv", ".parquet")
_AUDIO = "wav flac ogg oga opus mp3 m4a aac mp4 m4v mov mkv webm avi wma aif aiff aifc au amr 3gp caf w64 rf64 wv sph"
AUDIO_SUFFIXES = frozenset(f".{suffix}" for suffix in _AUDIO.split())
ABSOLUTE = r"/|\\|[A-Za-z]:"  # start of a path, also on Windows


class Manifest:
    """Validated table of the utterances of a corpus.

    The rows of `table` are numbered from 0; do not change it.

    `id`, `path` and `label` are required, and `split` unless `require_split` is False (then a missing one becomes "").
    A missing `attack` becomes "-" for bona fide and "spoof" for spoof, a missing `speaker` "-".

    Raises:
        ValueError: if a value is missing, duplicate or not allowed; counts and names the rows.
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
        """Hash of the table without the paths, 16 hex digits.

        It depends on the order of rows and columns.
        """
        table = self.table.drop(columns="path")
        digest = hashlib.sha256("\n".join(map(str, table.columns)).encode())
        digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
        return digest.hexdigest()[:16]

    def split(self, name: str) -> Manifest:
        """Return the manifest of one split.

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
        """Count the utterances of each split (row) and class (column)."""
        splits = [name for name in (*SPLITS, "") if (self.table["split"] == name).any()]
        counts = pd.crosstab(self.table["split"], self.table["label"].map(NAMES))
        return counts.reindex(index=splits, columns=[NAMES[BONAFIDE], NAMES[SPOOF]], fill_value=0)

    def write(self, path: str | Path) -> None:
        """Write the table as CSV or Parquet.

        Labels are words; paths below the folder of the file become relative to it.

        Not atomic: wrap it in `files.atomic_write` where another process may read the file.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = _prefix(path.parent)
        table = self.table.assign(
            label=self.table["label"].map(NAMES), path=self.table["path"].str.removeprefix(folder)
        )
        if _suffix(path) == ".csv":
            without_line_breaks(table).to_csv(path, index=False)
        else:
            table.to_parquet(path, index=False, write_page_checksum=True)


class FileList:
    """List of audio files without labels, for the waveform store: a table with the columns id and path.

    The id of a file is its path as given.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        names = [str(path) for path in paths]
        self.name = "files"
        self.table = pd.DataFrame({"id": names, "path": [str(Path(name).absolute()) for name in names]}, dtype=object)

    def __len__(self) -> int:
        return len(self.table)


def read_manifest(
    path: str | Path, columns: Mapping[str, str] | None = None, splits: Mapping[str, str] | None = None
) -> Manifest:
    """Read a manifest from a CSV or Parquet file with at least the columns path and label.

    Paths are relative to the folder of the file. Labels are words (`dfx.tables.labels`). A missing `id` is the path
    as written, without suffix. Without a `split` column every split is "". Columns may have the names of `ALIASES`.

    Args:
        path: the file, .csv or .parquet.
        columns: name in dfx -> name in the file, where they differ: {"attack": "system"}.
        splits: word in the file -> train, dev or eval, in any case; for words that are not in `SPLIT_WORDS`.

    Raises:
        ValueError: if the file is missing or empty, lacks a column, or holds unknown labels or splits, duplicate ids
            or empty paths.
    """
    path = Path(path)
    given = dict(columns or {})
    table = _load(path, [*COLUMNS, *given.values(), *chain.from_iterable(ALIASES.values())])
    columns_in_file = ", ".join(map(str, table.columns))
    for name, aliases in ALIASES.items():
        present = [alias for alias in aliases if alias in table]
        if present and name not in table:
            given.setdefault(name, present[0])
    table = _rename(table, given, path)
    missing = [name for name in ("path", "label") if name not in table]
    if missing:
        raise ValueError(
            f"{path} has no column {' and no column '.join(missing)}: it has {columns_in_file}. "
            f"Name the column that holds it: 'dataset.columns={{{missing[0]}: NAME IN THE FILE}}'; columns are "
            "separated by commas."
        )
    folder = _prefix(path.parent)
    paths = table["path"].astype("str").where(table["path"].notna())
    named = table if "id" in table else table.assign(id=table.index)
    refuse_rows(named, paths.isna() | (paths == ""), f"of {path} have no path", "Fill in or remove the rows")
    if "id" not in table:
        inside = paths.str.removeprefix(folder).str.removeprefix("./")
        table["id"] = inside.str.replace(r"\.[^./\\]+$", "", regex=True)
        twice = table["id"].duplicated(keep=False)
        what = f"of {path} have no id, and a path that without its suffix is not unique"
        refuse_rows(table.assign(id=paths), twice, what, "Add a column id")
    table["path"] = paths.where(paths.str.match(ABSOLUTE), folder + paths.str.removeprefix("./"))
    table["label"] = parse_labels(table["label"], path)
    bonafide = table["label"] == BONAFIDE
    if "attack" in table:
        # Bona fide rows may hold "bonafide", "none" or nothing there; a spoof without a name is still an attack.
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
        return read_parquet_table(path)
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
    refuse_joined_lines(path.read_text(encoding="utf-8-sig"), len(table) + 1, list(table), names, path)
    return table


def read_parquet_table(path: Path) -> pd.DataFrame:
    """Read a Parquet file; values that are lists and the like become text.

    Raises:
        ValueError: if the file is damaged or no Parquet.
    """
    try:
        table = pd.read_parquet(path, page_checksum_verification=True)
    except MemoryError:
        raise
    except Exception as error:  # a damaged page makes Arrow raise errors of many kinds
        raise ValueError(f"{path} cannot be read as Parquet ({error}): write it again, or as CSV.") from error
    for name in table:
        if pd.api.types.is_object_dtype(table[name]):  # lists and the like, which cannot be hashed, become text
            table[name] = table[name].where(table[name].isna(), table[name].map(str))
    return table


def _suffix(path: Path) -> str:
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path} is no manifest: its suffix is {path.suffix!r}; use {' or '.join(SUFFIXES)}.")
    return path.suffix.lower()


def _rename(table: pd.DataFrame, columns: Mapping[str, str], path: Path) -> pd.DataFrame:
    """Rename the columns of the file to dfx's names.

    A mapped column replaces one that already has the name.
    """
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


def _prefix(folder: Path) -> str:
    return f"{os.path.abspath(folder)}{os.sep}"  # noqa: PTH100  (without `..`, so that one file has one name)


def parse_labels(words: pd.Series, path: Path) -> pd.Series:
    """Convert a column of label words to 1 (bona fide) and 0 (spoof).

    An error has the number of unknown words and the first of them.
    """
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
            f"{path}: {len(bad)} of {len(words)} labels are unknown ({some_items(bad.unique())}). {reason}"
        )
    return words.map(known).astype("int64")


def _splits(words: pd.Series, given: Mapping[str, str], path: Path) -> pd.Series:
    wrong = [split for split in given.values() if split not in SPLITS]
    if wrong:
        raise ValueError(f"Splits map to {some_items(wrong)}: map each word to one of {', '.join(SPLITS)}.")
    known = SPLIT_WORDS | {str(word).strip().lower(): split for word, split in given.items()}
    text = words.astype("str").where(words.notna(), "").str.strip().str.lower()
    bad = words[~text.isin(list(known))]
    if len(bad):
        raise ValueError(
            f"{path}: {len(bad)} of {len(words)} rows have an unknown split ({some_items(bad.unique())}). "
            f"Say what each is: 'dataset.splits={{WORD: train, dev or eval}}'."
        )
    return text.map(known)


def _checked(table: pd.DataFrame, name: str, require_split: bool) -> pd.DataFrame:
    """Check a table and return it with all columns of a manifest, with their types and in their order."""
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
        refuse_rows(table, empty, f"of {name} have no {column}", "Fill in or remove the rows")
    if not pd.api.types.is_numeric_dtype(table["label"]) or not table["label"].isin([BONAFIDE, SPOOF]).all():
        bad = table["label"][~table["label"].isin([BONAFIDE, SPOOF])]
        raise ValueError(
            f"{name}: {len(bad)} of {len(table)} labels are not {BONAFIDE} or {SPOOF} ({some_items(bad.unique())}). "
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
    relative = ~table["path"].str.match(ABSOLUTE)
    named_bonafide = (label == BONAFIDE) & (table["attack"] != NO_ATTACK)
    other_split = ~table["split"].isin(SPLITS if require_split else (*SPLITS, ""))
    for bad, what, advice in (
        (table["id"].str.contains(LINE_BREAKS), "have a line break in the id", "Give each an id of one line"),
        (table["path"].str.contains(LINE_BREAKS), "have a line break in the path", "Rename the files"),
        (table["id"].duplicated(keep=False), "have a duplicate id", "Give each row its own id"),
        (relative, "have a relative path", "Use dfx.tables.manifest.read_manifest, or make them absolute"),
        (named_bonafide, "are bona fide and have an attack", f"Write {NO_ATTACK!r} there"),
        (other_split, "have an unknown split", f"Use {', '.join(SPLITS)}"),
    ):
        refuse_rows(table, bad, f"of {name} {what}", advice)
    return table


def _text(column: pd.Series | None, default: pd.Series) -> pd.Series:
    return default if column is None else column.astype("str").where(column.notna(), default)
