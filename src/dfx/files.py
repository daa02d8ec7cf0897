"""File functions that are safe with several processes: atomic writing, locks, cache folder, full disk."""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

DATA = "DFX_DATA"  # environment variable: folder that holds the corpora
TEMPORARY = ".tmp-"  # start of the name of a file that is being written
ABANDONED_SECONDS = 3600  # age after which a temporary file is no longer in use by any process


def cache_dir(given: str | Path | None = None) -> Path:
    """Return the cache folder of dfx, which holds decoded audio, feature maps and other computed files.

    Args:
        given: a user's choice (`cache=DIR`); None: `$DFX_CACHE`, or dfx in the user's cache directory.
    """
    chosen = given or os.environ.get("DFX_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("dfx", appauthor=False))


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write a file atomically: it is complete or unchanged, even after a crash.

    Yields a temporary path in the same folder, with the same suffix. It is renamed to `path` at the end of the block,
    and removed if the block raises. The folder is created if it does not exist.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex[:12]}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_file(path: str | Path, text: str) -> None:
    """Write a text file atomically, in UTF-8.

    Characters that cannot be encoded (from odd file names) are escaped.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def remove_abandoned_files(folder: Path) -> None:
    """Delete temporary files of killed processes in a folder, if they are older than an hour."""
    for path in folder.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


@contextlib.contextmanager
def locked_folder(folder: Path, doing: str, say: Callable[[str], None], name: str = "build.lock") -> Iterator[None]:
    """Hold a lock on a folder.

    The system frees it when the process dies.

    Args:
        folder: created if it does not exist.
        doing: what the holder does, for the message of a waiting process: "building the waveform store".
        say: called with a sentence when another process holds it.
        name: name of the lock file; locks of different names do not wait for each other.
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
def full_disk_is_an_error(folder: Path, what: str, options: str = "$DFX_CACHE or cache=") -> Iterator[None]:
    """Convert the OSError of a full disk to a ValueError with advice for the user.

    `what` is written to the folder, for example "waveforms".

    Args:
        folder: where files are written.
        what: what is written.
        options: how users give another folder.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ValueError(
            f"The disk filled up while {what} were written to {folder}. Free some room, or give another folder by "
            f"{options}; what is finished there is kept and will not be made again."
        ) from error
