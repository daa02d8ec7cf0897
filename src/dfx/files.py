"""File functions that are safe with several processes: atomic writing, locks, cache folder, full disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

DATA = "DFX_DATA"  # environment variable: folder that holds the corpora
TEMPORARY = ".tmp-"  # start of the name of a file that is being written
_FULL = ("The disk is full", "Free some room there, or work in another folder; what is finished is kept")
_DENIED = ("There is no permission to read or write", "Change the rights, or choose another file or folder")
_ABSENT = "Correct the path, or make what it names"
_OS_ERRORS = {  # what is wrong and what to do, where the words of the system say neither
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: (
        "A file is larger than the system allows",
        "Raise the limit (`ulimit -f`), or use another file system",
    ),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: ("The file system is read-only", "Choose a folder that can be written"),
    errno.ENOENT: ("There is no such file or folder", _ABSENT),
    errno.ENOTDIR: ("A file is where a folder should be", _ABSENT),
    errno.EISDIR: ("A folder is where a file should be", _ABSENT),
    errno.EEXIST: ("There is a file where a folder should be made", "Remove it, or choose another folder"),
    errno.ELOOP: ("Links lead to each other", "Remove one of them"),
    errno.ENAMETOOLONG: ("A name is too long for the file system", "Choose a shorter one"),
    errno.EMFILE: ("Too many files are open", "Raise the limit, `ulimit -n 4096`"),
    errno.EIO: ("The disk or the network cannot be read or written", "Look at it, and repeat the command"),
    errno.ESTALE: ("A network folder was changed or is gone", "Repeat the command"),
}
ABANDONED_SECONDS = 3600  # age after which a temporary file is no longer in use by any process


def cache_dir(given: str | Path | None = None) -> Path:
    """Return the cache folder of dfx, which holds decoded audio, feature maps and other computed files.

    Args:
        given: a user's choice (`cache=DIR`); None: `$DFX_CACHE`, or dfx in the user's cache directory.

    Raises:
        ValueError: if it is in the home of a user who does not exist.
    """
    chosen = given or os.environ.get("DFX_CACHE")
    if chosen:
        try:
            return Path(chosen).expanduser().absolute()
        except RuntimeError as error:
            raise ValueError(f"The cache folder {chosen} is in an unknown home: give its whole path.") from error
    return Path(platformdirs.user_cache_dir("dfx", appauthor=False))


def file_digest(path: Path) -> str:
    """Return the SHA-256 hash of a file."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def path_digest(path: Path) -> str:
    """Return the SHA-256 hash of a file, or of the names and contents of the files in a folder, without hidden ones."""
    if path.is_file():
        return file_digest(path)
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        name = file.relative_to(path)
        if not any(part.startswith(".") for part in name.parts):  # .git, .cache
            digest.update(f"{file_digest(file)} {name.as_posix()}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


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
    except OSError as error:
        if error.errno and (error.filename is None or str(temporary) in (error.filename, error.filename2)):
            error.filename, error.filename2 = str(path), None  # a full disk, for one, is an error without a name
        raise
    finally:
        temporary.unlink(missing_ok=True)


def os_error_sentence(error: OSError) -> str:
    """Describe an error of the operating system for the user: what is wrong, where, and what to do."""
    if not error.errno:  # a library's own words
        return str(error)
    what, advice = os_error_words(error)
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else ""
    for path in [Path(name), *Path(name).parents] if name else []:
        if path.is_symlink() and not path.exists():
            target = os.readlink(path)  # noqa: PTH115  (as it is written)
            wrong = "leads back to it" if _is_loop(path) else "does not exist"
            return f"{path} is a link to {target}, which {wrong}. Make what it names, or remove the link."
    return f"{what}{f': {name}' if name else ''}. {advice}."


def _is_loop(link: Path) -> bool:
    try:
        link.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def os_error_words(error: OSError) -> tuple[str, str]:
    """Return what is wrong and what to do, without the name of the file."""
    unknown = f"The system reports: {error.strerror or error}", "Look at the disk, the rights and the path, and repeat"
    return _OS_ERRORS.get(error.errno or 0, unknown)


def write_text_file(path: str | Path, text: str) -> None:
    """Write a text file atomically, in UTF-8; characters that cannot be encoded (odd file names) are escaped."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def remove_abandoned_files(folder: Path) -> None:
    """Delete temporary files of killed processes in a folder, if they are older than an hour."""
    for path in folder.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


@contextlib.contextmanager
def temporary_folder(root: Path) -> Iterator[Path]:
    """Make a folder below `root` that only this user may read, and remove it afterwards.

    It is locked while it is used. The folders of processes that were killed are removed too: their locks can be had.
    Where a folder cannot be removed, as while a thread still writes to it, its lock stays; the next call tries again.
    """
    import filelock

    root.mkdir(parents=True, exist_ok=True)
    for abandoned in root.glob("*.lock"):
        with contextlib.suppress(filelock.Timeout, OSError), filelock.FileLock(abandoned, timeout=0):
            _remove_locked_folder(abandoned.with_suffix(""))
    folder = root / uuid.uuid4().hex
    with filelock.FileLock(folder.with_suffix(".lock")):
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            _remove_locked_folder(folder)


def _remove_locked_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        folder.with_suffix(".lock").unlink(missing_ok=True)


@contextlib.contextmanager
def locked_folder(folder: Path, doing: str, say: Callable[[str], None], name: str = "build.lock") -> Iterator[None]:
    """Hold a lock on a folder, which the system frees when the process dies.

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


def require_free_space(what: str, size: int, folder: Path, otherwise: str = "") -> None:
    """Raise a ValueError if the disk has less than `size` bytes free."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ValueError(
            f"{what}, but {folder} has {size_in_mib(free)} free. Free some room, or give another folder by $DFX_CACHE "
            f"or cache={otherwise}."
        )


def size_in_mib(size: int) -> str:
    """Format a number of bytes as MiB or GiB."""
    if size >= 1 << 30:
        return f"{size / 2**30:,.1f} GiB"
    return f"{size / 2**20:,.{0 if size > 10 << 20 else 1}f} MiB"
