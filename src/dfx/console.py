"""Messages and progress bars on the standard error stream."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def advancing(counts: Generator[int], label: str, total: int, show: bool) -> None:
    """Draw a progress bar on the standard error stream, moved by each count that arrives.

    The generator is closed at the end, also after a Ctrl-C: then no worker of `each` writes any more.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with contextlib.closing(counts), Progress(*columns, console=_console(), disable=not show) as bar:
        task = bar.add_task(label, total=total)
        for count in counts:
            bar.advance(task, count)


def say(text: str) -> None:
    """Tell the user something on the standard error stream, as it is."""
    _console().print(text, markup=False, highlight=False, soft_wrap=True)


def say_findings(findings: Iterable[Any]) -> None:
    """Tell the errors and warnings among findings about a corpus (`Finding`); `dfx.audit` shows the notes too."""
    for found in findings:
        if found.severity != "note":
            say(f"{found.severity.capitalize()}: {found.text}")


@functools.cache
def _console() -> Console:
    """The standard error stream; one console for all, so that a line is put above a bar, not behind it."""
    from rich.console import Console

    return Console(stderr=True)
