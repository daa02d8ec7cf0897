"""Long work in several processes: one lock, one progress bar, workers that end with their parent.

Workers are spawned, not forked: a process that already runs threads (torch, MLflow) cannot be forked safely. They
import this module and the one of their function, so nothing heavy is imported at its top.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def num_cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def locked(folder: Path, doing: str) -> Iterator[None]:
    """Hold the only right to write to a folder; the system frees it when the process dies.

    Args:
        folder: made if it is not there.
        doing: what the holder does, for the process that waits: "building the waveform store".

    Raises:
        ValueError: in a worker that is importing a script without a main guard; it would wait for its parent for ever.
    """
    import filelock

    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise ValueError(
            f"A script without `if __name__ == '__main__':` is {doing}: put its code below that line, so that worker "
            "processes can import the script without running it."
        )
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / "build.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        say(f"Another process is {doing} {folder}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def each(
    function: Callable[[Job], Result], jobs: Sequence[Job], num_workers: int, doing: str
) -> Iterator[Result]:
    """Results of a function for every job, as they come; in this process for one worker or none.

    Raises:
        ValueError: if a worker dies.
    """
    workers = min(num_workers, len(jobs))
    if workers <= 1 or multiprocessing.current_process().daemon:
        yield from map(function, jobs)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=start_worker)
    try:
        for done in as_completed([pool.submit(function, job) for job in jobs]):
            yield done.result()
    except BrokenProcessPool as error:
        raise ValueError(
            f"A process that was {doing} died: it ran out of memory, a file crashed a decoder, or the script that "
            "called dfx has no `if __name__ == '__main__':`. num_workers=0 does the work in this process instead."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def start_worker() -> None:
    """Prepare a worker process: it leaves Ctrl-C to its parent, and ends when the parent was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def advancing(counts: Iterable[int], label: str, total: int, show: bool) -> None:
    """Draw a progress bar on the standard error stream, moved by each count that arrives."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not show) as bar:
        task = bar.add_task(label, total=total)
        for count in counts:
            bar.advance(task, count)


def say(text: str) -> None:
    """Tell the user something on the standard error stream, as it is."""
    from rich.console import Console

    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
