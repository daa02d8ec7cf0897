"""Long work in several processes: locks, one progress bar, workers whose death is survived.

A worker is a fresh interpreter that imports this module and the one of its function, and nothing of the script that
asked: not forked, because a process that already runs threads (torch, MLflow) cannot be forked safely, and not
spawned by multiprocessing, which would run the script once more in each worker and so demand a main guard of it. Jobs
and results go through a socket. The pool of `concurrent.futures` ends every worker when one dies, and cannot say at
which job; here a dead worker costs its own job, and the caller may put another in its place.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    pass

Job = TypeVar("Job")
Result = TypeVar("Result")

_is_worker = False  # set in worker processes


def num_cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    num_workers: int,
    doing: str,
    died: Callable[[Job, int], Job] | None = None,
) -> Generator[Result, None, None]:
    """Results of a function for every job, as they come; closing it ends the workers.

    Args:
        function: of a module that can be imported, or a `functools.partial` of one.
        jobs: what it is called with.
        num_workers: processes; with 0 the work is done in this one.
        doing: what is done, for the error: "decoding audio".
        died: called when a worker died, with its job and the exit status (negative: the signal); gives the job that
            is done in its place, or raises. None: the death is an error.

    Raises:
        ValueError: if a worker dies, or cannot start.
    """
    if num_workers < 1 or _is_worker or multiprocessing.current_process().daemon:
        yield from map(function, jobs)
        return
    waiting = deque(jobs)
    workers: list[_Worker[Job]] = []
    left = len(jobs)
    try:
        while len(workers) < min(num_workers, len(jobs)):
            workers.append(_Worker(function))
        while left:
            ready = wait([worker.connection for worker in workers])
            for worker in [worker for worker in workers if worker.connection in ready]:
                try:
                    results, error = worker.connection.recv()
                except (EOFError, OSError):
                    workers.remove(worker)
                    waiting.extendleft(_left_by(worker, doing, died))
                    if waiting:
                        workers.append(_Worker(function))
                    continue
                if error is not None:
                    raise error
                left -= len(results)
                worker.give(waiting)
                yield from results
    finally:
        for worker in workers:
            worker.end()


def time_limit(seconds: float) -> None:
    """End this worker process by SIGALRM unless it calls again within so many seconds; 0: no limit.

    The system keeps the time, so a decoder that never returns to Python is ended as well. Outside a worker nothing
    happens.
    """
    if _is_worker:
        signal.setitimer(signal.ITIMER_REAL, seconds)


class _Worker(Generic[Job]):
    """A worker process; `job` is what it is at, None when it has nothing to do."""

    def __init__(self, function: Callable[[Job], Any]) -> None:
        self.started = False
        self.job: Job | None = None
        self.connection, theirs = multiprocessing.Pipe()
        serve = f"from dfx.audio import workers; workers._serve({theirs.fileno()})"
        code = f"import sys; sys.path[:] = {sys.path!r}; {serve}"
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.PIPE,  # nothing is written to it: its end tells that this process is gone
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the parent alone
                # As many workers as cores: more threads would only be in each other's way.
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        self._send(function)

    def give(self, waiting: deque[Job]) -> None:
        """The next job, or none; called when the worker has told that it has started, and after each result."""
        self.started = True
        self.job = waiting.popleft() if waiting else None
        if self.job is not None:
            self._send(self.job)

    def _send(self, message: Any) -> None:
        with contextlib.suppress(ConnectionError):  # it has just died, which `each` is told by the socket
            self.connection.send(message)

    def end(self) -> int:
        """Exit status; a process that still runs is killed."""
        self.connection.close()
        self.process.kill()
        if self.process.stdin:
            self.process.stdin.close()
        return self.process.wait()


def _left_by(worker: _Worker[Job], doing: str, died: Callable[[Job, int], Job] | None) -> list[Job]:
    """What a dead worker leaves to be done."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        worker.process.wait(timeout=10)  # its end of the socket closes a moment before it is gone
    status = worker.end()
    if not worker.started:
        raise ValueError(
            f"A process for {doing} could not start ({ending(status)}): it ran out of memory, or wrote above what is "
            "wrong. num_workers=0 does the work in this process instead."
        )
    if worker.job is None:
        return []
    if died is not None:
        return [died(worker.job, status)]
    raise ValueError(
        f"A process that was {doing} died ({ending(status)}): it ran out of memory, or a library crashed. "
        "num_workers=0 does the work in this process instead."
    )


def ending(status: int) -> str:
    """Exit status of a process in words: "signal 11, SIGSEGV" or "exit status 1"."""
    try:
        return f"signal {-status}, {signal.Signals(-status).name}"
    except ValueError:
        return f"exit status {status}"


def _serve(descriptor: int) -> None:
    """The life of a worker: it takes a job, sends the result, and ends with its parent."""
    global _is_worker
    _is_worker = True
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # what the parent ignores, a new process ignores too
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection: Connection = Connection(descriptor)
    function = connection.recv()
    connection.send(([], None))
    # What decoders have to say about a damaged file would tear the progress bar apart.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        answer: tuple[list[Any], Exception | None]
        try:
            answer = ([function(job)], None)
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = ([], error)
        time_limit(0)
        connection.send(answer)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)
