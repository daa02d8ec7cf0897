"""Worker processes with a time limit for each job and recovery from crashes (pebble).

Workers are spawned, not forked: a process that runs threads (torch, MLflow) cannot be forked safely. Unlike other
spawned processes they do not import the script of their parent, so a script needs no main guard.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
import types
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

Job = TypeVar("Job")
Result = TypeVar("Result")

TOOK_TOO_LONG = 0  # instead of an exit status, if the time limit was exceeded

_is_worker = False  # set in worker processes
_starting = threading.Lock()


def num_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_in_workers(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    num_workers: int,
    doing: str,
    seconds: Callable[[Job], float] | None = None,
    failed: Callable[[Job, int], Sequence[Job]] | None = None,
) -> Generator[Result, None, None]:
    """Call a function with every job in worker processes, and yield the results as they finish.

    Closing the generator stops the workers.

    Args:
        function: defined in a module, or a `functools.partial` of one.
        jobs: its arguments; read one ahead of the workers.
        num_workers: processes; with 0 the work is done in this one, without time limits.
        doing: the task, for error messages: "decoding audio".
        seconds: time limit of a job; None: no limit.
        failed: called with a job whose worker died or took too long, and the exit status (negative: the signal) or
            `TOOK_TOO_LONG`; returns the jobs that replace it, or raises. None: it is an error.

    Raises:
        ValueError: if a worker dies or takes too long and `failed` is None, or workers cannot start.
    """
    if num_workers < 1 or _is_worker or multiprocessing.current_process().daemon:
        yield from map(function, jobs)
        return
    source, again = iter(jobs), deque[Job]()
    running: dict[Future[Any], Job] = {}
    if isinstance(jobs, Sequence):
        num_workers = min(num_workers, max(len(jobs), 1))
    pool = ProcessPool(num_workers, initializer=_become_worker, context=_Context())
    try:
        while True:
            while len(running) <= num_workers:
                try:
                    job = again.popleft() if again else next(source)
                except StopIteration:
                    break
                limit = None if seconds is None else seconds(job)
                running[pool.schedule(_call, (function, job), timeout=limit)] = job
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                try:
                    result, error = future.result()
                except (ProcessExpired, TimeoutError) as end:
                    status = end.exitcode if isinstance(end, ProcessExpired) else TOOK_TOO_LONG
                    if failed is None:
                        raise ValueError(
                            f"A process that was {doing} died ({worker_exit_status(status)}): it ran out of memory, or "
                            "a library crashed. num_workers=0 does the work in this process instead."
                        ) from None
                    again.extend(failed(job, status))
                    continue
                if error is not None:
                    raise error
                yield result
    except (BrokenProcessPool, RuntimeError) as error:
        if not isinstance(error, BrokenProcessPool) and pool.active:
            raise
        raise ValueError(
            f"Processes for {doing} could not start, or were ended from outside: the memory ran out, or another "
            "error, printed above. num_workers=0 does the work in this process instead."
        ) from error
    finally:
        pool.stop()
        pool.join()


def worker_exit_status(status: int) -> str:
    """Describe the exit status of a process: "signal 11, SIGSEGV" or "exit status 1"."""
    if status == TOOK_TOO_LONG:
        return "it took too long"
    try:
        return f"signal {-status}, {signal.Signals(-status).name}"
    except ValueError:
        return f"exit status {status}"


def _call(function: Callable[[Job], Result], job: Job) -> tuple[Result | None, Exception | None]:
    """Call a function, and return its result or its exception."""
    try:
        return function(job), None
    except Exception as error:
        error.add_note(traceback.format_exc())
        return None, error


class _Process(SpawnProcess):
    """Spawned process that computes in one thread and does not import the script of its parent."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802  (the name is multiprocessing's)
        with _starting:
            main, threads = sys.modules["__main__"], os.environ.get("OMP_NUM_THREADS")
            # joblib's processes have a start method of their own, which a new interpreter does not know.
            method = multiprocessing.get_start_method(allow_none=True)
            multiprocessing.set_start_method("spawn", force=True)
            sys.modules["__main__"] = types.ModuleType("__main__")
            os.environ["OMP_NUM_THREADS"] = "1"  # there are as many workers as cores
            try:
                return SpawnProcess._Popen(process_obj)
            finally:
                multiprocessing.set_start_method(method, force=True)
                sys.modules["__main__"] = main
                del os.environ["OMP_NUM_THREADS"]
                if threads is not None:
                    os.environ["OMP_NUM_THREADS"] = threads


class _Context(SpawnContext):
    Process = _Process


def limit_worker_memory(extra: int) -> None:
    """Limit the additional memory of this worker process, in bytes; only on Linux."""
    status = Path("/proc/self/statm")
    if _is_worker and status.exists():
        import resource

        taken = int(status.read_text().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = taken + extra if hard == resource.RLIM_INFINITY else min(taken + extra, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _become_worker() -> None:
    global _is_worker
    _is_worker = True
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # also stops a decoder that does not return to Python
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Messages of decoders about a damaged file would break the progress bar.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
