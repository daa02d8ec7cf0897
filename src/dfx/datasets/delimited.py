"""Read delimited text tables of corpora, and check that every row is complete."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dfx.tables.findings import some_items
from dfx.tables.line_breaks import refuse_joined_lines


def read_delimited(
    path: Path,
    separator: str = ",",
    need: Sequence[str] = (),
    names: Sequence[str] = (),
    header: bool = True,
    quoted: bool = True,
) -> pd.DataFrame:
    """Read a delimited UTF-8 table; every value is text.

    A byte-order mark is left out.

    Args:
        path: the file.
        separator: one character.
        need: columns that it must have.
        names: names of the columns, for a file without a header or with an unreliable one.
        header: whether the first line is a header; `names` replace it.
        quoted: whether `"` encloses values; False where transcripts contain quotation marks.

    Raises:
        ValueError: if it is empty, not UTF-8, lacks a column, has rows with another number of fields, or a quotation
            mark that is not closed.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 ({error}): copy the corpus again.") from error
    if quoted:
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
        except csv.Error as error:  # a field over 128 kB: all text after an open quotation mark
            raise ValueError(
                f"{path} is no table ({error}): a quotation mark is not closed. Copy the corpus again."
            ) from error
    else:  # split at line feeds only: transcripts contain other characters that Python takes for line ends
        rows = [line.rstrip("\r").split(separator) for line in text.split("\n")]
    rows = [row for row in rows if row not in ([], [""])]
    if not rows:
        raise ValueError(f"{path} is empty: copy the corpus again.")
    columns = list(names) or rows[0]
    if quoted:
        refuse_joined_lines(text, len(rows), columns, need, path, separator)
    missing = [name for name in need if name not in columns]
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(missing)}: it has {', '.join(columns)}. It is of another corpus, or of a "
            "version that dfx does not know."
        )
    rows = rows[header:]
    wrong = [separator.join(row) for row in rows if len(row) != len(columns)]
    if wrong:
        raise ValueError(
            f"{path}: {len(wrong)} of {len(rows)} rows do not have {len(columns)} fields ({some_items(wrong)}): copy "
            "the corpus again."
        )
    return pd.DataFrame(rows, columns=columns, dtype="str")
