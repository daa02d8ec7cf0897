"""Files that visitors of the page send, kept apart and deleted: after the answer, and when the visitor leaves."""

from __future__ import annotations

import asyncio
import contextlib
import math
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

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
    """

    def __init__(self, folder: Path) -> None:
        self.uploads, self._claimed = folder.resolve() / "uploads", folder.resolve() / "claimed"
        for each in (self.uploads, self._claimed):
            each.mkdir()
        self._lock = threading.Lock()
        self._waiting: dict[str, Path] = {}  # session -> file

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
        try:
            yield path
        finally:
            _delete(path)

    def leave(self, session: str) -> None:
        """Forget a session: its file is deleted."""
        with self._lock:
            path = self._waiting.pop(session, None)
        _delete(path)

    def sweep(self) -> None:
        """Delete uploads that nobody claimed, such as those that were broken off, and files of lost sessions."""
        for root, seconds in ((self.uploads, UNCLAIMED_SECONDS), (self._claimed, FORGOTTEN_SECONDS)):
            before = time.time() - seconds
            for path in [path for path in sorted(root.rglob("*"), reverse=True) if _modified(path) < before]:
                with contextlib.suppress(OSError):
                    path.rmdir() if path.is_dir() else path.unlink()

    @contextlib.asynccontextmanager
    async def sweeping(self, _: object) -> AsyncIterator[None]:
        """Sweep every few seconds while the server runs."""

        async def sweep_again_and_again() -> None:
            while True:
                await asyncio.sleep(SWEEP_SECONDS)
                await asyncio.to_thread(self.sweep)

        task = asyncio.create_task(sweep_again_and_again())
        try:
            yield
        finally:
            task.cancel()


def _delete(path: Path | None) -> None:
    """Delete a file with the folder that was made for it."""
    if path is not None:
        shutil.rmtree(path.parent, ignore_errors=True)


def _modified(path: Path) -> float:
    """Return when a file was modified last; infinity if it has gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return math.inf
