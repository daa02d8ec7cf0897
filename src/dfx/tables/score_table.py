"""Score table: scores of a detector with labels and attacks, and its score files.

One row for each utterance: `id`, `attack` (`-` where unknown), `label` (1 bona fide, 0 spoof) and `score` (higher =
more bona fide), then any metadata column. As a file it is CSV, or the plain format of the challenges; labels are words
there.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx.tables.findings import refuse_rows, some_items
from dfx.tables.labels import BONAFIDE, NAMES, SPOOF, parse_label
from dfx.tables.line_breaks import LINE_BREAKS, refuse_joined_lines, without_line_breaks

COLUMNS = ["id", "attack", "label", "score"]
UNKNOWN_ATTACK = "-"
_FILE: dict[str, Any] = {"encoding": "utf-8", "lineterminator": "\n"}
_PLAIN: dict[str, Any] = {"sep": " ", "quoting": csv.QUOTE_NONE}


class ScoreTable:
    """Scores of a set of trials with their labels and attacks; every row is checked.

    `write` and `write_plain` are not atomic. Where a killed process must not leave half a file, use
    `with files.atomic_write(path) as temporary: table.write(temporary)`.

    Attributes:
        table: columns id (str, unique), attack (str), label (int64), score (float64), then the metadata.

    >>> rows = pd.DataFrame({"id": ["a", "b"], "attack": ["-", "A01"], "label": [1, 0], "score": [2.5, -1.0]})
    >>> ScoreTable(rows).spoof.tolist()
    [-1.0]
    """

    def __init__(self, table: pd.DataFrame) -> None:
        missing = [name for name in COLUMNS if name not in table]
        if missing:
            raise ValueError(
                f"A score table needs the columns {', '.join(COLUMNS)}; {', '.join(missing)} missing, "
                f"got {', '.join(map(str, table.columns))}. Rename or add them."
            )
        table = table[COLUMNS + [name for name in table if name not in COLUMNS]].reset_index(drop=True)
        for name in ("id", "attack"):
            empty = table[name].isna() | (table[name].astype(str) == "")
            refuse_rows(table, empty, f"have no {name}", "Every row needs an id, and an attack or `-`")
            table[name] = table[name].astype(str)
        broken = table["id"].str.contains(LINE_BREAKS)
        refuse_rows(table, broken, "have a line break in the id", "Give each an id of one line")
        refuse_rows(table, table["id"].duplicated(), "repeat an id", "Score each utterance once")
        unknown = ~table["label"].isin(list(NAMES))
        refuse_rows(table, unknown, "have an unknown label", "Use 1 for bona fide and 0 for spoof", "label")
        scores = np.array([parse_score(value) for value in table["score"]], dtype=np.float64)
        cure = "Look at these recordings, and at the training of the detector that scored them"
        refuse_rows(table, ~np.isfinite(scores), "have a score that is not a finite number", cure, "score")
        self.table = table.assign(label=table["label"].astype(np.int64), score=scores)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def bonafide(self) -> NDArray[np.float64]:
        """Scores of the bona fide trials, `(trials,)`."""
        return self._of(BONAFIDE)["score"].to_numpy()

    @property
    def spoof(self) -> NDArray[np.float64]:
        """Scores of the spoof trials, `(trials,)`."""
        return self._of(SPOOF)["score"].to_numpy()

    def attacks(self) -> dict[str, NDArray[np.float64]]:
        """Scores of the spoof trials by attack, sorted by name; those of unknown attacks are left out."""
        groups = self._of(SPOOF).groupby("attack", sort=True)["score"]
        return {str(name): scores.to_numpy() for name, scores in groups if name != UNKNOWN_ATTACK}

    def with_scores(self, scores: NDArray[np.float64]) -> ScoreTable:
        """Return the same trials with new scores, `(trials,)`."""
        return ScoreTable(self.table.assign(score=scores))

    @property
    def trials_hash(self) -> str:
        """Hash of the trials (ids and labels) in any order, 16 hex digits."""
        trials = sorted(map("{!r} {}\n".format, self.table["id"].tolist(), self.table["label"].tolist()))
        return hashlib.sha256("".join(trials).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a CSV file with a header.

        Labels are words, scores have all their digits, and metadata columns are at the end.
        """
        table = self.table.assign(label=self.table["label"].map(NAMES))
        without_line_breaks(table).to_csv(path, index=False, **_FILE)

    def write_plain(self, path: str | os.PathLike[str]) -> None:
        """Write a text file in the format of the challenges, `utterance attack key score`, without a header.

        Blanks separate the fields there, so a blank or a `%` inside an id or attack is written as in a URL
        (`my file` becomes `my%20file`); `read` decodes it.
        """
        table = self.table[COLUMNS].assign(label=self.table["label"].map(NAMES))
        for name in ("id", "attack"):
            table[name] = table[name].str.replace(r"[\s%]", lambda found: quote(found[0]), regex=True)
        options = _FILE | _PLAIN | {"header": False, "quotechar": None}
        table.to_csv(path, index=False, **options)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> ScoreTable:
        """Read a score file in dfx's CSV format or in the text format of the challenges.

        The first line determines the format. Metadata columns are read as text.

        Raises:
            ValueError: if the file is neither, or its content is not valid.
        """
        path = Path(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
        header = set(next(csv.reader([first.rstrip("\r\n")]), []))
        is_plain = not header.issuperset(COLUMNS)
        if is_plain and len(first.split()) != len(COLUMNS):
            raise ValueError(
                f"{path.name} is not a score file; its first line is {first[:80].strip()!r}. "
                f"Use CSV with the header {','.join(COLUMNS)}, or lines of `utterance attack key score`."
            )
        options: dict[str, Any] = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
        if is_plain:
            options |= {**_PLAIN, "sep": r"\s+", "header": None, "names": COLUMNS}
        try:
            table = pd.read_csv(path, **options)
            if not is_plain:
                text = path.read_text(encoding="utf-8-sig")
                refuse_joined_lines(text, len(table) + 1, list(table), COLUMNS, path.name)
            else:
                table = table.assign(id=table["id"].map(unquote), attack=table["attack"].map(unquote))
            table["label"] = table["label"].map({word: parse_label(word) for word in table["label"].unique()})
            return cls(table)
        except ValueError as error:
            raise ValueError(f"{path.name} cannot be used: {error}") from error

    def _of(self, label: int) -> pd.DataFrame:
        return self.table[self.table["label"] == label]


def scores_side_by_side(tables: Sequence[ScoreTable]) -> NDArray[np.float64]:
    """Stack the scores of several systems on the same trials, `(systems, trials)`.

    The trials have the order of the first table.

    Raises:
        ValueError: if the tables do not hold the same trials with the same labels.
    """
    first = tables[0].table
    scores = [first["score"].to_numpy()]
    for number, table in enumerate(tables[1:], start=2):
        other = table.table
        rows = pd.Index(other["id"]).get_indexer(pd.Index(first["id"]))
        if len(other) != len(first) or (rows < 0).any():
            lost = [*first["id"][rows < 0], *other["id"].drop(index=rows[rows >= 0])]
            raise ValueError(
                f"Score tables 1 and {number} hold different trials: {len(first)} and {len(other)}, and "
                f"{some_items(lost)} only in one of them. Score the same files with all systems."
            )
        contrary = first["id"][other["label"].to_numpy()[rows] != first["label"].to_numpy()]
        if len(contrary):
            raise ValueError(
                f"Score tables 1 and {number} have different labels for {some_items(contrary)}: use the same key for "
                "both."
            )
        scores.append(other["score"].to_numpy()[rows])
    return np.array(scores)


def parse_score(value: Any) -> float:
    """Convert a value of a score column; NaN for text that is no number, and for `1_000`, a number of Python."""
    try:
        return np.nan if isinstance(value, str) and "_" in value else float(value)
    except (TypeError, ValueError):
        return np.nan
