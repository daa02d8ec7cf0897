"""Files that several processes share: the cache folder, locks, and a full disk."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """Folder of everything dfx makes once and keeps: `$DFX_CACHE`, or dfx in the user's cache directory."""
    given = os.environ.get("DFX_CACHE")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("dfx", appauthor=False))


@contextlib.contextmanager
def locked(folder: Path, doing: str, say: Callable[[str], None], name: str = "build.lock") -> Iterator[None]:
    """Hold the only right to do something in a folder; the system frees it when the process dies.

    Args:
        folder: made if it is not there.
        doing: what the holder does, for the process that waits: "building the waveform store".
        say: called with a sentence when another process holds it.
        name: of the file that is locked; those who lock different ones do not wait for each other.
    """
    import filelock

    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / name)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        say(f"Another process is {doing} {folder}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def full_disk_is_an_error(folder: Path, what: str) -> Iterator[None]:
    """A full disk becomes a sentence, a ValueError; `what` is written: "waveforms"."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ValueError(
            f"The disk filled up while {what} were written to {folder}. Free some room, or give another folder by "
            "$DFX_CACHE or cache=; what is finished there is kept and will not be made again."
        ) from error
