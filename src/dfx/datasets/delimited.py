"""Protocol tables of corpora, as text: every row must have as many fields as the header or the format says."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pandas as pd


def read(
    path: Path,
    separator: str = ",",
    need: Sequence[str] = (),
    names: Sequence[str] = (),
    header: bool = True,
    quoted: bool = True,
) -> pd.DataFrame:
    """A delimited UTF-8 table, every value as text, without the byte-order mark that spreadsheets write.

    Args:
        path: the file.
        separator: one character.
        need: columns that it must have.
        names: names of the columns, for a file without a header or with an unreliable one; they give the count.
        header: whether the first line is one; `names` replace it.
        quoted: whether `"` encloses values; False where transcripts hold quotation marks of their own.

    Raises:
        ValueError: if it is empty, not UTF-8, lacks a column, or has rows with another number of fields.
    """
    try:
        table = pd.read_csv(
            path,
            sep=separator,
            header=0 if header and not names else None,
            names=list(names) or None,
            skiprows=1 if header and names else 0,
            dtype="str",
            keep_default_na=False,
            encoding="utf-8-sig",
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
            # A stray carriage return inside an unquoted transcript is no end of a line.
            lineterminator=None if quoted else "\n",
        )
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path} is empty: copy the corpus again.") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is no UTF-8 table with {separator!r} between its columns ({error}): copy the corpus again."
        ) from error
    table = table.rename(columns=lambda name: str(name).rstrip("\r"))
    missing = [name for name in need if name not in table]
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(missing)}: it has {', '.join(map(str, table.columns))}. It belongs to "
            "another corpus, or to a version of it that dfx does not know."
        )
    # pandas turns surplus columns into an index, and missing fields into NaN.
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(
            f"{path} has rows with more than {table.shape[1]} fields, first {str(table.index[0])!r}: copy the corpus "
            "again."
        )
    short = table.isna().any(axis=1)
    if short.any():
        first = table[short].iloc[0]
        raise ValueError(
            f"{path}: {int(short.sum())} of {len(table)} rows have fewer than {table.shape[1]} fields, first "
            f"{str(first.iloc[0])!r}: copy the corpus again."
        )
    if table.shape[1] and not quoted:
        last = table.columns[-1]
        table[last] = table[last].str.rstrip("\r")
    return table
