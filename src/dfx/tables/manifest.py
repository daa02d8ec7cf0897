"""Manifest: table of the utterances of a corpus, with file, class and split of each.

Columns `id` (unique), `path` (absolute), `label` (1 bona fide, 0 spoof), `attack` ("-" for bona fide), `speaker` ("-"
if unknown), `split` (train, dev or eval); any further column is kept. 600,000 rows take seconds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dfx.tables.findings import refuse_rows, some_items
from dfx.tables.labels import BONAFIDE, NAMES, SPOOF
from dfx.tables.line_breaks import LINE_BREAKS, without_line_breaks

COLUMNS = ("id", "path", "label", "attack", "speaker", "split")
SPLITS = ("train", "dev", "eval")
ALL = "all"  # instead of one split or one part of a key: all of them
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
        """Hash (16 hex digits) of the table without the paths; the order of rows and columns matters."""
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
        folder = folder_prefix(path.parent)
        table = self.table.assign(
            label=self.table["label"].map(NAMES), path=self.table["path"].str.removeprefix(folder)
        )
        if table_suffix(path) == ".csv":
            without_line_breaks(table).to_csv(path, index=False)
        else:
            table.to_parquet(path, index=False, write_page_checksum=True)


class FileList:
    """List of audio files without labels, for the waveform store: `id` is the path as given, `path` is absolute."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        names = [str(path) for path in paths]
        self.name = "files"
        self.table = pd.DataFrame({"id": names, "path": [str(Path(name).absolute()) for name in names]}, dtype=object)

    def __len__(self) -> int:
        return len(self.table)


def table_suffix(path: Path) -> str:
    """Return the suffix of a table, .csv or .parquet; another one is an error."""
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path} is no manifest: its suffix is {path.suffix!r}; use {' or '.join(SUFFIXES)}.")
    return path.suffix.lower()


def folder_prefix(folder: Path) -> str:
    """Return the absolute path of a folder, with a slash at the end."""
    return f"{os.path.abspath(folder)}{os.sep}"  # noqa: PTH100  (without `..`, so that one file has one name)


def _checked(table: pd.DataFrame, name: str, require_split: bool) -> pd.DataFrame:
    """Check a table, and return it with all columns of a manifest in their types and order."""
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
        (relative, "have a relative path", "Use dfx.tables.manifest_reading.read_manifest, or make them absolute"),
        (named_bonafide, "are bona fide and have an attack", f"Write {NO_ATTACK!r} there"),
        (other_split, "have an unknown split", f"Use {', '.join(SPLITS)}"),
    ):
        refuse_rows(table, bad, f"of {name} {what}", advice)
    return table


def _text(column: pd.Series | None, default: pd.Series) -> pd.Series:
    return default if column is None else column.astype("str").where(column.notna(), default)
