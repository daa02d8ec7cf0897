"""Text output for the user: results, messages and progress bars."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def progress_bar(counts: Generator[int], label: str, total: int, show: bool) -> None:
    """Show a progress bar on standard error, advanced by each number that `counts` yields."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with contextlib.closing(counts), Progress(*columns, console=_message_console(), disable=not show) as bar:
        task = bar.add_task(label, total=total)
        for count in counts:
            bar.advance(task, count)


@contextlib.contextmanager
def byte_progress_bar(label: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar of bytes; yields a function to call with (bytes so far, bytes in all)."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=_message_console()) as bar:
        task = bar.add_task(label, total=total or None)
        yield lambda done, whole: bar.update(task, completed=done, total=whole or None)


def say(text: str) -> None:
    """Print a message to the user on standard error, unchanged and without line breaks."""
    _message_console().print(text, soft_wrap=True)


def say_findings(findings: Iterable[Any]) -> None:
    """Print the errors and warnings, but not the notes, among the findings about a corpus."""
    for found in findings:
        if found.severity != "note":
            say(f"{found.severity.capitalize()}: {found.text}")


def plain_console(stderr: bool = False) -> Console:
    """Create a console that prints text unchanged: names of users may hold `[b]` and `:smile:`."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


@functools.cache
def _message_console() -> Console:
    """Return the shared console on standard error: a message then appears above a progress bar."""
    return plain_console(stderr=True)
