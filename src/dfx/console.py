"""Messages and progress bars on the standard error stream."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def progress_bar(counts: Generator[int], label: str, total: int, show: bool) -> None:
    """Show a progress bar on standard error, advanced by each number that `counts` yields.

    The generator is closed at the end, also after a Ctrl-C, so that no worker continues to write.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with contextlib.closing(counts), Progress(*columns, console=_console(), disable=not show) as bar:
        task = bar.add_task(label, total=total)
        for count in counts:
            bar.advance(task, count)


def say(text: str) -> None:
    """Print a message for the user on standard error, without markup or line breaks."""
    _console().print(text, markup=False, highlight=False, soft_wrap=True)


def say_findings(findings: Iterable[Any]) -> None:
    """Print the errors and warnings among findings about a corpus (`Finding`); only `dfx.audit` shows the notes."""
    for found in findings:
        if found.severity != "note":
            say(f"{found.severity.capitalize()}: {found.text}")


@functools.cache
def _console() -> Console:
    """Shared console on standard error, so that a message appears above a progress bar, not behind it."""
    from rich.console import Console

    return Console(stderr=True)
