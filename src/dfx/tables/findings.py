"""Findings about a corpus (errors, warnings, notes), and errors that name the wrong rows of a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

SEVERITIES = ("error", "warning", "note")
MAX_EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """Error, warning or note about a corpus or about scores.

    Attributes:
        kind: short fixed name in kebab case, "rows-without-file".
        severity: "error" (results would be wrong), "warning" (look before you trust them) or "note".
        text: what is wrong, what was got and what to do.
        count: number of utterances, files or values that it concerns.
        examples: names of the first of them.
    """

    kind: str
    severity: str
    text: str
    count: int = 0
    examples: tuple[str, ...] = ()


def make_finding(kind: str, severity: str, text: str, items: Iterable[Any] = (), count: int | None = None) -> Finding:
    """Make a finding with the number and the first names of the affected items."""
    if severity not in SEVERITIES:
        raise ValueError(f"Unknown severity {severity!r}: use one of {', '.join(SEVERITIES)}.")
    names = [str(item) for item in items]
    return Finding(kind, severity, text, len(names) if count is None else count, tuple(names[:MAX_EXAMPLES]))


def some_items(items: Iterable[Any]) -> str:
    """Format the first items of a list as text: `'a', 'b', ... (7 in all)`."""
    names = [repr(str(item)) for item in items]
    rest = f", ... ({len(names)} in all)" if len(names) > MAX_EXAMPLES else ""
    return f"{', '.join(names[:MAX_EXAMPLES])}{rest}"


def refuse_rows(table: pd.DataFrame, bad: Any, what: str, advice: str, show: str | None = None) -> None:
    """Raise an error that names the wrong rows of a table; do nothing if there are none.

    Args:
        table: utterances, with a column `id`.
        bad: `(rows,)` bool.
        what: the problem, as a verb and its object: "repeat an id".
        advice: what to do.
        show: column whose value is shown beside each id.
    """
    if bad.any():
        rows = table[bad]
        names = [f"{row['id']} ({row[show]})" if show else row["id"] for row in rows.to_dict("records")]
        raise ValueError(f"{len(rows)} of {len(table)} utterances {what}: {some_items(names)}. {advice}.")
