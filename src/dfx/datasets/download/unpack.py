"""Unpack archives safely: refuse paths outside the folder, and limit the unpacked size.

Members are written to a new folder beside the archive, without links, and moved to their place at the end.
"""

from __future__ import annotations

import io
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, NamedTuple

from dfx import console

MAX_RATIO = 100  # unpacked to packed size; speech is below 3, tables below 30, a zip bomb about 1,000
SMALL = 256 << 20  # bytes that any archive may unpack to
MAX_HEADER = 1 << 20  # bytes of one header of a tar member; the longest path of a system has 4,096
ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # first bytes of a zip; the second is an empty one
EXTENDED = (  # types of headers that are read into memory
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, RuntimeError)


class _Member(NamedTuple):
    """Member of an archive: name, kind, size, function to open it; `first` is the file that a hard link repeats."""

    name: str
    kind: str
    size: int = 0
    data: Callable[[], IO[bytes] | None] = lambda: None
    first: str = ""


def unpack(archive: Path, folder: Path, strip: int = 0) -> list[str]:
    """Unpack a zip or tar archive into a folder, and replace existing files.

    A tar archive may be compressed (tar.gz, tar.bz2, tar.xz). Only regular files and folders are unpacked. An
    interrupted call can be repeated.

    Args:
        archive: unpacked in its own folder first, so it should be on the same disk as `folder`.
        folder: created if missing.
        strip: number of leading folders to remove from the names of the members.

    Returns:
        Names of the files and folders that are now directly in the folder, sorted.

    Raises:
        ValueError: if a member lies outside, is a symbolic link or a device, or the archive is damaged, encrypted, no
            archive, or unpacks to far more than its size; the folder is then unchanged.
    """
    work = archive.with_name(f"{archive.name}.unpacking")
    shutil.rmtree(work, ignore_errors=True)  # left by an interrupted call
    work.mkdir(parents=True)
    size = archive.stat().st_size
    limit = _SizeLimit(archive, size)
    try:
        with (
            console.byte_progress_bar(f"unpacking {archive.name}", size) as report,
            archive.open("rb") as file,
        ):
            for member in _zip_members(file) if file.read(4) in ZIP else _tar_members(file):
                _write(member, work, strip, limit)
                report(file.tell(), size)
        names = sorted(path.name for path in work.iterdir())
        _merge(work, folder)
    except DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(":")
        raise ValueError(
            f"{archive} cannot be unpacked ({reason}): it is damaged, encrypted or no archive; delete it and start "
            "again, or unpack it by hand."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return names


class _SizeLimit:
    """Limit on the unpacked size of an archive: free disk space, and a multiple of the archive's size."""

    def __init__(self, archive: Path, size: int) -> None:
        self.archive = archive
        self.free = shutil.disk_usage(archive.parent).free
        self.believable = max(SMALL, MAX_RATIO * size)
        self.taken = 0

    def take(self, size: int) -> None:
        self.taken += size
        if self.taken > self.believable:
            raise ValueError(
                f"{self.archive} is not unpacked: it would become {self.taken:,} bytes or more, {MAX_RATIO} times its "
                "size, as archives do that are made to fill disks; get it from the page of the corpus."
            )
        if self.taken > self.free:
            raise ValueError(
                f"{self.archive} unpacks to {self.taken:,} bytes or more, but {self.archive.parent} has {self.free:,} "
                "free: make room and start again."
            )


def _zip_members(file: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        end = 0
        for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
            if info.header_offset < end:
                raise zipfile.BadZipFile(f"{info.filename!r} overlaps another member")
            end = info.header_offset + info.compress_size
        for info in archive.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)  # 0 if it was not made on Unix
            kind = "folder" if info.is_dir() else "file" if mode in (0, stat.S_IFREG) else "link or device"
            # Reading a member gives no more than its declared size, and checks its checksum.
            yield _Member(info.filename, kind, info.file_size, partial(archive.open, info))


class _TarInfo(tarfile.TarInfo):
    """Tar header reader that refuses very long extended headers, which would fill the memory."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> Any:
        info = super().frombuf(buf, encoding, errors)
        if info.type in EXTENDED and info.size > MAX_HEADER:
            raise RuntimeError(f"a header of {info.size:,} bytes")  # tarfile.open swallows its own errors
        return info


def _tar_members(file: IO[bytes]) -> Iterator[_Member]:
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:*", tarinfo=_TarInfo) as archive:
        while (info := archive.next()) is not None:
            kind = "folder" if info.isdir() else "file" if info.isreg() or info.islnk() else "link or device"
            yield _Member(
                info.name,
                kind,
                info.size,
                partial(archive.extractfile, info),
                info.linkname if info.islnk() else "",
            )
            # tarfile keeps all members, which would take a gigabyte for the 600,000 files of a corpus.
            archive.members.clear()  # type: ignore[attr-defined]


def _write(member: _Member, work: Path, strip: int, limit: _SizeLimit) -> None:
    path = _place(member.name, work, strip, limit)
    if member.kind not in ("file", "folder"):
        raise _unsafe(limit, member.name, "is a symbolic link or a device")
    if path is None:
        return
    try:
        if member.kind == "folder":
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        first = _place(member.first, work, strip, limit) if member.first else None
        if member.first and (first is None or not first.is_file()):
            raise _unsafe(limit, member.name, f"is a second name of {member.first!r}, which did not come before")
        limit.take(first.stat().st_size if first is not None else member.size)
        data = first.open("rb") if first is not None else member.data()
        with data or io.BytesIO() as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise _unsafe(limit, member.name, "is a file and a folder at once") from error


def _place(name: str, work: Path, strip: int, limit: _SizeLimit) -> Path | None:
    """Return the path of an unpacked member; None if `strip` removes its whole name."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or PureWindowsPath(name).is_absolute() or ".." in path.parts or "\0" in name:
        raise _unsafe(limit, name, "lies outside its folder")
    parts = path.parts[strip:]
    return work.joinpath(*parts) if parts else None


def _unsafe(limit: _SizeLimit, name: str, why: str) -> ValueError:
    return ValueError(
        f"{limit.archive} is not unpacked: its member {name!r} {why}, which no archive of recordings needs; get it "
        "from the page of the corpus."
    )


def _merge(source: Path, target: Path) -> None:
    """Move the contents of one folder into another, and merge sub-folders that both have."""
    target.mkdir(parents=True, exist_ok=True)
    with os.scandir(source) as found:
        entries = list(found)
    for entry in entries:
        place = target / entry.name
        if place.exists() and place.is_dir() != entry.is_dir():
            raise ValueError(
                f"{place} is in the way of a file or folder of the same name: move it away and start again."
            )
        if place.is_dir():
            _merge(Path(entry.path), place)
        else:
            Path(entry.path).replace(place)
