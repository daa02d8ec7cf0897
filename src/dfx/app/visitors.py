"""Files that visitors of the page send, kept apart and deleted: after the answer, and when the visitor leaves."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

from dfx.console import say

UNCLAIMED_SECONDS = 20.0  # an upload that no request has asked for is deleted after this time
FORGOTTEN_SECONDS = 3600.0  # a visitor whose leaving was not noticed
SWEEP_SECONDS = 5.0


class Visitors:
    """Files of the visitors who have the page open, by the session of their page.

    Gradio writes what is uploaded below `uploads`. A file is claimed at once for the session that asks for its answer:
    it moves to a folder of its own, and is deleted with it.

    Args:
        folder: of all files of the page.

    Attributes:
        uploads: folder that Gradio writes to.
        temporary: folder of other temporary files of the process.
    """

    def __init__(self, folder: Path) -> None:
        self.uploads, self._claimed = folder.resolve() / "uploads", folder.resolve() / "claimed"
        self.temporary = folder.resolve() / "temporary"
        for each in (self.uploads, self._claimed, self.temporary):
            each.mkdir()
        self._lock = threading.Lock()
        self._waiting: dict[str, Path] = {}  # session -> file
        self._taken: set[tuple[str, Path]] = set()  # session and file

    def claim(self, session: str, upload: Mapping[str, Any]) -> None:
        """Keep an uploaded file for a session until its answer; one that it claimed before is deleted.

        Args:
            session: of the page.
            upload: Gradio's record of the file.

        Raises:
            ValueError: if there is no such upload.
        """
        source = self._uploaded(upload)
        path = Path(tempfile.mkdtemp(dir=self._claimed)) / source.name
        source.replace(path)
        _delete(source)
        with self._lock:
            before, self._waiting[session] = self._waiting.get(session), path
        _delete(before)

    def _uploaded(self, upload: Mapping[str, Any]) -> Path:
        """Return the path of an upload; a visitor may name nothing else on this machine."""
        path = Path(str(upload.get("path"))).resolve()
        if path.parent.parent != self.uploads or not path.is_file():
            raise ValueError("The recording did not arrive, or waited for too long: send it again.")
        return path

    @contextlib.contextmanager
    def taken(self, session: str) -> Iterator[Path | None]:
        """Take the file that a session has claimed (None: it has none), and delete it afterwards."""
        with self._lock:
            path = self._waiting.pop(session, None)
            if path:
                self._taken.add((session, path))
        try:
            yield path
        finally:
            with self._lock:
                self._taken.discard((session, path))
            _delete(path)

    def leave(self, session: str) -> None:
        """Forget a session: its files are deleted, also one that is being judged."""
        with self._lock:
            paths = [self._waiting.pop(session, None), *(path for owner, path in self._taken if owner == session)]
        for path in paths:
            _delete(path)

    def held_bytes(self) -> int:
        """Return the bytes of all files of visitors, also of those that are still arriving."""
        return sum(_size(path) for root in (self.uploads, self._claimed) for path in _walk(root))

    def sweep(self) -> None:
        """Delete uploads that nobody claimed, such as those that were broken off, and files of lost sessions."""
        for root, seconds in ((self.uploads, UNCLAIMED_SECONDS), (self._claimed, FORGOTTEN_SECONDS)):
            before = time.time() - seconds
            for path in [path for path in _walk(root) if _modified(path) < before]:
                with contextlib.suppress(OSError):
                    path.rmdir() if path.is_dir() else path.unlink()

    @contextlib.asynccontextmanager
    async def sweeping(self, _: object) -> AsyncIterator[None]:
        """Sweep every few seconds while the server runs."""

        async def sweep_again_and_again() -> None:
            while True:
                await asyncio.sleep(SWEEP_SECONDS)
                try:
                    await asyncio.to_thread(self.sweep)
                except Exception as error:
                    say(f"Files of visitors could not be swept ({error!r}); next try in {SWEEP_SECONDS:g} s.")

        task = asyncio.create_task(sweep_again_and_again())
        try:
            yield
        finally:
            task.cancel()


def _delete(path: Path | None) -> None:
    """Delete a file with the folder that was made for it."""
    if path is not None:
        shutil.rmtree(path.parent, ignore_errors=True)


def _walk(root: Path) -> list[Path]:
    """Return the files and folders below a folder, the inner ones first; it may change at the same time."""
    found = [(folder, name) for folder, folders, names in os.walk(root, topdown=False) for name in [*names, *folders]]
    return [Path(folder, name) for folder, name in found]


def _modified(path: Path) -> float:
    """Return when a file was modified last; infinity if it has gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return math.inf


def _size(path: Path) -> int:
    """Return the bytes of a file; 0 if it has gone."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
