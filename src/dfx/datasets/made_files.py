"""Generate the audio files of the demo corpus and of vocoded twins once, in the cache folder."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from dfx import console, files
from dfx.audio import workers

Job = TypeVar("Job")
CHUNK = 8  # files that a process makes at a time, about a second: the bar moves, and all end together
FEW_FILES = 50  # fewer are made without worker processes


def make_missing_files(
    folder: Path,
    missing: Callable[[], Sequence[Job]],
    make: Callable[[Sequence[Job]], int],
    doing: str,
    num_workers: int | None,
    progress: bool,
    on_crash: Callable[[Sequence[Job], int], Sequence[Sequence[Job]]] | None = None,
) -> None:
    """Generate the files that do not exist yet, in worker processes if there are many.

    Other processes that need the same files wait.

    Args:
        folder: locked meanwhile.
        missing: gives the jobs whose files do not exist; called again after waiting for another process.
        make: does some jobs and returns their number; a function of a module, or a `functools.partial` of one.
        doing: for messages, "making the demo corpus".
        num_workers: as many as there are cores if None.
        progress: show a bar on stderr.
        on_crash: see `workers.run_in_workers`.

    Raises:
        ValueError: if a file cannot be written, or a worker process dies.
    """
    if not missing():
        return
    with files.locked_folder(folder, doing, console.say):
        jobs = missing()
        if len(jobs) < FEW_FILES:
            num_workers = 0
        elif num_workers is None:
            num_workers = workers.num_cores()
        chunks = [jobs[first : first + CHUNK] for first in range(0, len(jobs), CHUNK)]
        counts = workers.run_in_workers(make, chunks, num_workers, doing, failed=on_crash)
        with files.full_disk_is_an_error(folder, "audio files"):
            console.progress_bar(counts, doing, len(jobs), progress)


def made_files_version(paths: Iterable[Path]) -> str:
    """Hash (12 hex digits) of the code in Python files; comments, docstrings and layout do not count."""
    digest = hashlib.sha256()
    for path in paths:
        tree = ast.parse(path.read_bytes())
        for node in ast.walk(tree):
            if isinstance(body := getattr(node, "body", None), list):
                body[:] = [line for line in body if not _is_constant(line)] or [ast.Pass()]
        digest.update(ast.unparse(tree).encode())
    return digest.hexdigest()[:12]


def _is_constant(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
