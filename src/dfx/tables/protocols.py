"""Read protocols and keys of challenges: text files with columns separated by spaces, without a header."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from dfx.tables.findings import some_items

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


def read_protocol(path: Path, layouts: Layouts) -> pd.DataFrame:
    """Read a protocol as a table of text.

    The number of columns determines its layout.

    Where a line has more columns than the others, its id holds spaces.

    Args:
        path: the file.
        layouts: names of the columns by their number; one is `id`, and a column without a name is left out.

    Raises:
        ValueError: if the file is empty, has another number of columns, or lines that are too short.
    """
    text = read_protocol_text(path)
    first = first_protocol_line(text, path)
    known = " or ".join(
        f"{number} columns ({', '.join(name or '-' for name in names)})" for number, names in layouts.items()
    )
    hint = f"dfx reads {known}. Give the protocol as the corpus ships it"
    frame = split_protocol_columns(text, path, max(max(layouts), len(first.split())), hint)
    found = [int(width) for width in protocol_line_widths(frame).value_counts().index if width in layouts]
    if not found:
        raise ValueError(f"{path} has {len(first.split())} columns in its first line ({first[:120]!r}); {hint}.")
    return name_protocol_columns(frame, layouts[found[0]], path)


def read_protocol_text(path: Path) -> str:
    """Read a text file, plain or gzip, without byte-order mark and comments (lines that begin with `#`)."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is packed with gzip and damaged ({error}): obtain it again.") from error
    text = data.decode(_ENCODINGS.get(data[:2], "utf-8-sig"), errors="replace")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"(?m)^[ \t]*#.*\n?", "", text) if "#" in text else text


def first_protocol_line(text: str, path: Path) -> str:
    """Return the first line that is not blank; raise a ValueError if there is none."""
    found = re.search(r"\S.*", text)
    if found is None:
        raise ValueError(f"{path} is empty: obtain it again.")
    return found[0].strip()


def split_protocol_columns(text: str, path: Path, width: int, hint: str, separator: str = r"\s+") -> pd.DataFrame:
    """Split lines of text into a table of columns, `(lines, width + MAX_SPACES)`.

    A column after the end of its line is `""`.

    Args:
        text: text of the file.
        path: named in the error.
        width: number of columns of a line if no id holds spaces.
        hint: what to do, for the error.
        separator: separator of the columns, a regular expression.

    Raises:
        ValueError: if a line has more columns.
    """
    widest = width + MAX_SPACES
    try:
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
    except pd.errors.ParserError as error:
        raise ValueError(f"{path} has lines of more than {widest} columns; {hint}.") from error
    return frame.fillna("")


def protocol_line_widths(frame: pd.DataFrame) -> pd.Series:
    """Count the columns of each line."""
    return (frame != "").sum(axis=1)


def name_protocol_columns(frame: pd.DataFrame, names: Sequence[str], path: Path) -> pd.DataFrame:
    """Name the columns of a protocol; in lines with extra columns, the id contains spaces."""
    widths, width = protocol_line_widths(frame), len(names)
    short = frame[widths < width]
    if len(short):
        lines = some_items(" ".join(row).strip() for row in short.to_numpy())
        raise ValueError(
            f"{path}: {len(short)} of {len(frame)} lines have fewer than {width} columns ({lines}): the file is "
            "damaged or cut short. Obtain it again."
        )
    table = frame.iloc[:, :width].set_axis(list(names), axis=1)
    long = widths > width
    if long.any():
        start = list(names).index("id")
        rows = zip(frame[long].to_numpy().tolist(), (widths[long] - width).tolist(), strict=True)
        table.loc[long] = [
            [*row[:start], " ".join(row[start : start + spaces + 1]), *row[start + spaces + 1 : width + spaces]]
            for row, spaces in rows
        ]
    return table[[name for name in names if name]]
