"""Line breaks in text tables: find rows that a quotation mark has joined, and write values in one line."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Hashable, Sequence

import pandas as pd

LINE_BREAKS = r"[\r\n]+"


def refuse_joined_lines(
    text: str,
    num_rows: int,
    columns: Sequence[Hashable],
    used: Collection[Hashable],
    path: object,
    separator: str = ",",
) -> None:
    """Raise an error if a quotation mark may have joined rows of a table, so that rows were lost.

    A value may hold line breaks, such as a transcript in quotation marks. Refused are line breaks in columns that dfx
    uses, a quotation mark that is not closed where the value ends, and values that hold what may be further rows.

    Args:
        text: the file, with the header.
        num_rows: rows that were read, with the header.
        columns: names of all columns, in the order of the file.
        used: names of the columns that dfx uses.
        path: named in the error.
        separator: between the values of a row.

    Raises:
        ValueError: with the number and the beginning of the first such line.
    """
    lines = io.StringIO(text, newline=None).readlines()
    written = sum(bool(line.strip()) for line in lines)
    if written <= num_rows:
        return
    reader = csv.reader(lines, delimiter=separator, strict=True)
    first, count = 1, 0  # line in which the row begins, rows before it
    try:
        for row in reader:
            if reader.line_num > first and _may_hold_rows(row, columns, used, separator):
                break
            count += len(row) > 1 or "".join(row).strip() != ""
            first = reader.line_num + 1
        else:
            if count == num_rows:
                return
            first = next((number for number, line in enumerate(lines, start=1) if line.count('"') % 2), 1)
    except csv.Error:  # text follows the quotation mark that closes a value, or none closes it
        pass
    raise ValueError(
        f"{path} has {written} lines, and quotation marks join them to {num_rows} rows: the first that is not closed "
        f"in its line is in line {first} ({lines[first - 1].strip()[:80]!r}). Remove it, or close it in the same line."
    )


def without_line_breaks(table: pd.DataFrame) -> pd.DataFrame:
    """Replace line breaks in text columns by blanks, so that each row of a written table is one line."""
    table = table.copy(deep=False)
    for name in table.columns:
        if not pd.api.types.is_numeric_dtype(table[name]):
            table[name] = table[name].astype("str").str.replace(LINE_BREAKS, " ", regex=True)
    return table


def _may_hold_rows(row: Sequence[str], columns: Sequence[Hashable], used: Collection[Hashable], separator: str) -> bool:
    """Whether a value with several lines may hold rows that a quotation mark has joined to it.

    Joined rows are: the end of a row from this column on, whole rows, the beginning of a row up to this column.
    """
    whole = len(columns) - 1
    for place, (name, value) in enumerate(zip(columns, row, strict=False)):
        first, *others = [line.count(separator) for line in value.split("\n")]
        if not others:
            continue
        is_joined = first >= whole - place and others[-1] >= place
        if name in used or is_joined or max(others) >= whole:
            return True
    return False
