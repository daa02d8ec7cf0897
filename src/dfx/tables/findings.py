"""What dfx noticed about a corpus, in words that a person can act on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SEVERITIES = ("error", "warning", "note")
MAX_EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with, or worth knowing of, a corpus.

    Attributes:
        kind: short fixed name in kebab case, "rows-without-file".
        severity: "error" (results would be wrong), "warning" (look before you trust them) or "note".
        text: what is wrong, what was got and what to do.
        count: how many utterances, files or values it concerns.
        examples: the first of them by name.
    """

    kind: str
    severity: str
    text: str
    count: int = 0
    examples: tuple[str, ...] = ()


def finding(
    kind: str, severity: str, text: str, items: Iterable[Any] = (), count: int | None = None
) -> Finding:
    """A finding whose `count` and `examples` come from the items that it is about.

    Raises:
        ValueError: if the severity is unknown.
    """
    if severity not in SEVERITIES:
        raise ValueError(f"Unknown severity {severity!r}: use one of {', '.join(SEVERITIES)}.")
    names = [str(item) for item in items]
    return Finding(kind, severity, text, len(names) if count is None else count, tuple(names[:MAX_EXAMPLES]))


def some(items: Iterable[Any]) -> str:
    """The first items in words: `'a', 'b', ... (7 in all)`."""
    names = [repr(str(item)) for item in items]
    rest = f", ... ({len(names)} in all)" if len(names) > MAX_EXAMPLES else ""
    return f"{', '.join(names[:MAX_EXAMPLES])}{rest}"
