"""Protocol files of challenges: columns between spaces, whatever the suffix says, and no header."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from dfx.findings import some

MAX_SPACES = 8  # in one id; a line with more columns than that is another file


def read(path: Path, layouts: Mapping[int, Sequence[str]]) -> pd.DataFrame:
    """Table of a file, all text; the number of columns says which layout it has.

    What a line has too many belongs to the id, which may hold spaces.

    Args:
        path: the file.
        layouts: names of the columns by their number; one is `id`, and a column without a name is left out.

    Raises:
        ValueError: if the file is empty, has another number of columns, or lines that are too short.
    """
    first = _first_line(path)
    widest = max(max(layouts), len(first.split())) + MAX_SPACES
    try:
        frame = pd.read_csv(
            path,
            sep=r"\s+",
            header=None,
            names=range(widest),
            dtype="str",
            keep_default_na=False,  # a speaker may be called NA
            quoting=csv.QUOTE_NONE,
            encoding="utf-8-sig",
            encoding_errors="replace",
        )
    except pd.errors.ParserError as error:
        raise _wrong_width(path, f"lines of more than {widest} columns", layouts) from error
    width = (frame != "").sum(axis=1)
    counts = width.value_counts()
    known = [int(number) for number in counts.index if number in layouts]
    if not known:
        found = f"{len(first.split())} columns in its first line ({first[:120]!r})"
        raise _wrong_width(path, found, layouts)
    columns = layouts[known[0]]
    short = width < len(columns)
    if short.any():
        lines = [" ".join(row).strip() for row in frame[short][:5].to_numpy()]
        raise ValueError(
            f"{path}: {int(short.sum())} of {len(frame)} lines have fewer than {len(columns)} columns "
            f"({some(lines)}): the file is damaged or cut short. Obtain it anew."
        )
    table = frame.iloc[:, : len(columns)].set_axis(list(columns), axis=1)
    long = width > len(columns)
    if long.any():
        at = list(columns).index("id")
        table.loc[long] = [
            _joined(row[:count], at, len(columns))
            for row, count in zip(frame[long].to_numpy().tolist(), width[long], strict=True)
        ]
    return table[[name for name in columns if name]]


def _joined(fields: list[str], at: int, width: int) -> list[str]:
    """Fields of a line whose id, at this place, was divided at its spaces."""
    end = at + 1 + len(fields) - width
    return [*fields[:at], " ".join(fields[at:end]), *fields[end:]]


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            if line.strip():
                return line.strip()
    raise ValueError(f"{path} is empty: obtain it anew.")


def _wrong_width(path: Path, found: str, layouts: Mapping[int, Sequence[str]]) -> ValueError:
    known = " or ".join(
        f"{number} columns ({', '.join(name or '-' for name in names)})" for number, names in layouts.items()
    )
    return ValueError(f"{path} has {found}; dfx reads {known}. Give the protocol as the corpus ships it.")
