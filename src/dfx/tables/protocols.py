"""Protocols and keys of challenges: columns between blanks, whatever the suffix says, and no header."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from dfx.tables.findings import some

Layouts = Mapping[int, Sequence[str]]  # number of columns -> their names; one without a name is left out

# README.LA.txt and README.PA.txt. The copy of the protocol that eurecom-asp/rawnet2-antispoofing ships lacks the third.
ASVSPOOF2019: dict[str, dict[int, tuple[str, ...]]] = {
    "LA": {5: ("speaker", "id", "", "attack", "label"), 4: ("speaker", "id", "attack", "label")},
    "PA": {5: ("speaker", "id", "environment", "attack", "label")},
}
# Full keys: config.py and README.md of eval-package in asvspoof-challenge/2021. Early keys ("stage 1", 2021): its
# evaluate.py reads label and subset from columns 5 and 7, of PA from 4 and 6; the other columns hold "-".
_EARLY_DF = ("speaker", "id", "compression", "source", "attack", "label", "trim", "subset")
ASVSPOOF2021: dict[str, dict[int, tuple[str, ...]]] = {
    "LA": {8: ("speaker", "id", "codec", "transmission", "attack", "label", "trim", "subset")},
    "DF": {13: (*_EARLY_DF, "vocoder_type", "task", "team", "gender_pair", "language"), 8: _EARLY_DF},
    "PA": {
        12: (
            *("speaker", "id", "asv_room", "asv_mic", "asv_distance"),
            *("attacker_room", "attacker_mic", "replay_device", "attacker_distance"),
            *("label", "trim", "subset"),
        ),
        7: ("speaker", "id", "", "", "label", "trim", "subset"),
    },
}
# Columns of the release: README.txt of the record, "space-separated" in spite of the suffix. Of the challenge phase
# (*.metadata.txt, six columns): Baseline-AASIST/README.md of asvspoof-challenge/asvspoof5.
ASVSPOOF5: dict[int, tuple[str, ...]] = {
    10: (
        *("speaker", "id", "gender", "codec", "codec_quality", "original_utterance"),
        *("attack_condition", "attack", "label", ""),
    ),
    6: ("speaker", "id", "gender", "codec", "attack", "label"),
}

MAX_SPACES = 8  # in one id; a line with more columns than that is another file
_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # what `>` writes in PowerShell


def read(path: Path, layouts: Layouts) -> pd.DataFrame:
    """Table of a file, all text; the number of columns says which layout it has.

    What a line has too many belongs to the id, which may hold spaces.

    Args:
        path: the file.
        layouts: names of the columns by their number; one is `id`, and a column without a name is left out.

    Raises:
        ValueError: if the file is empty, has another number of columns, or lines that are too short.
    """
    text = load(path)
    first = first_line(text, path)
    widest = max(max(layouts), len(first.split())) + MAX_SPACES
    try:
        frame = fields(text, widest)
    except pd.errors.ParserError as error:
        raise _wrong_width(path, f"lines of more than {widest} columns", layouts) from error
    counts = widths(frame).value_counts()
    known = [int(number) for number in counts.index if number in layouts]
    if not known:
        found = f"{len(first.split())} columns in its first line ({first[:120]!r})"
        raise _wrong_width(path, found, layouts)
    return named(frame, layouts[known[0]], path)


def load(path: Path) -> str:
    """Text of a file, of a gzip-packed one too, without byte-order mark and without lines that begin with `#`.

    Raises:
        ValueError: if a packed file is damaged.
    """
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is packed with gzip and damaged ({error}): obtain it anew.") from error
    text = data.decode(_ENCODINGS.get(data[:2], "utf-8-sig"), errors="replace")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"(?m)^[ \t]*#.*\n?", "", text) if "#" in text else text


def first_line(text: str, path: Path) -> str:
    """The first line that is not blank.

    Raises:
        ValueError: if there is none.
    """
    found = re.search(r"\S.*", text)
    if found is None:
        raise ValueError(f"{path} is empty: obtain it anew.")
    return found[0].strip()


def fields(text: str, widest: int, separator: str = r"\s+") -> pd.DataFrame:
    """What stands between separators, `(lines, widest)`, all text; `""` where a line ends earlier.

    Raises:
        pandas.errors.ParserError: if a line has more fields.
    """
    frame = pd.read_csv(
        io.StringIO(text),
        sep=separator,
        header=None,
        names=range(widest),
        dtype="str",
        keep_default_na=False,  # a speaker may be called NA
        quoting=csv.QUOTE_NONE,
        skipinitialspace=True,
    )
    return frame.fillna("")


def widths(frame: pd.DataFrame) -> pd.Series:
    """Number of fields of each line."""
    return (frame != "").sum(axis=1)


def named(frame: pd.DataFrame, columns: Sequence[str], path: Path) -> pd.DataFrame:
    """Fields as columns with these names; what a line has too many belongs to its `id`.

    Raises:
        ValueError: if a line has too few.
    """
    width = widths(frame)
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


def _wrong_width(path: Path, found: str, layouts: Layouts) -> ValueError:
    known = " or ".join(
        f"{number} columns ({', '.join(name or '-' for name in names)})" for number, names in layouts.items()
    )
    return ValueError(f"{path} has {found}; dfx reads {known}. Give the protocol as the corpus ships it.")
