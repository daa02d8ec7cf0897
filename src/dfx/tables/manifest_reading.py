"""Read a manifest from a CSV or Parquet file: columns with other names, words for labels and splits, relative paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import pandas as pd

from dfx.tables.findings import refuse_rows, some_items
from dfx.tables.labels import BONAFIDE, parse_labels
from dfx.tables.line_breaks import refuse_joined_lines
from dfx.tables.manifest import (
    ABSOLUTE,
    COLUMNS,
    NO_ATTACK,
    SPLITS,
    UNNAMED_ATTACK,
    Manifest,
    folder_prefix,
    table_suffix,
)

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
    folder = folder_prefix(path.parent)
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
    suffix = table_suffix(path)
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


def _rename(table: pd.DataFrame, columns: Mapping[str, str], path: Path) -> pd.DataFrame:
    """Rename the columns of the file to dfx's names; a mapped column replaces one that already has the name."""
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
