"""Maintenance of stores: merge small parts, verify checksums, and remove data of deleted or changed files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from dfx import console, files
from dfx.audio import parts
from dfx.audio.parts import BAD, PartEntry

SMALL_BYTES = 16 << 20  # parts smaller than this are merged
LARGE_BYTES = 256 << 20  # approximate size of a merged part


class StaleRecordings(NamedTuple):
    """Count and size of the recordings in a store whose source files were deleted or changed.

    Attributes:
        recordings: number of these files.
        num_bytes: size of their samples.
        absent: recordings that are kept, since the folder of their file is missing: its disk may not be mounted.
    """

    recordings: int
    num_bytes: int
    absent: int


def store_folders(cache: str | Path | None) -> list[Path]:
    """Return the folders of all waveform stores and feature-map stores in a cache."""
    root = files.cache_dir(cache)
    return sorted(path for kind in ("waveforms", "features") for path in root.glob(f"{kind}/*") if path.is_dir())


def compact_store(folder: Path) -> int:
    """Merge the small parts of a store; return by how much their number decreased."""
    with _locked(folder):
        groups: list[list[str]] = [[]]
        total = 0
        for name in parts.part_names(folder):
            size = parts.stat_recording(str(folder / f"{name}.pcm"))[0]
            if size < SMALL_BYTES:
                groups[-1].append(name)
                total += size
                if total > LARGE_BYTES:
                    groups.append([])
                    total = 0
        merged = [group for group in groups if len(group) > 1]
        for group in merged:
            _rewrite(folder, group, lambda _: True)
        return sum(len(group) - 1 for group in merged)


def verify_store(folder: Path) -> tuple[int, int]:
    """Verify all checksums of a store, and remove damaged parts so that they are rebuilt.

    Entries of bad files are removed too, so that these files are tried again.

    Returns:
        Number of parts, and number of damaged ones.
    """
    with _locked(folder):
        names, damaged = parts.part_names(folder), 0
        for name in names:
            try:
                found = parts.read_part_table(folder, name)
                if found is None:
                    continue
                entries = parts.part_entries(found[0])
                good = [entry for entry in entries if entry.length != BAD]
                for entry in good:
                    for _ in _pieces(folder, name, entry, found[1]):
                        pass
            except (ValueError, OSError) as error:
                if isinstance(error, OSError) and error.errno not in (errno.EIO, errno.ENOENT):
                    raise  # permissions, too many open files: it is not the part that is damaged
                console.say(f"Removed, to be made again: {error}")
                parts.remove_part(folder, name)
                damaged += 1
                continue
            if not good:
                parts.remove_part(folder, name)
            elif len(good) < len(entries):
                parts.write_part_table(folder, name, good, found[1])
        return len(names), damaged


def clean_store(folder: Path, confirm: bool) -> StaleRecordings:
    """Find recordings whose source file was deleted or changed, and remove them if `confirm` is true."""
    stale = StaleRecordings(0, 0, 0)
    with _locked(folder):
        for name, entries, unit_bytes in _readable_parts(folder, parts.part_names(folder)):
            there: dict[PartEntry, bool | None] = {entry: _is_there(entry) for entry in entries}
            gone = [entry for entry in entries if there[entry] is False]
            size = sum(max(entry.length, 0) for entry in gone) * unit_bytes
            absent = sum(value is None for value in there.values())
            stale = StaleRecordings(stale.recordings + len(gone), stale.num_bytes + size, stale.absent + absent)
            if confirm and gone:
                _rewrite(folder, [name], lambda entry, there=there: there[entry] is not False)  # type: ignore[misc]
    return stale


def _is_there(entry: PartEntry) -> bool | None:
    """Return True if the source file of a recording is unchanged, False if not, None if its folder is missing."""
    now = parts.stat_recording(entry.path)
    if now == (entry.size, entry.mtime_ns):
        return True
    return False if now[0] >= 0 or os.path.isdir(os.path.dirname(entry.path)) else None  # noqa: PTH112, PTH120


def _rewrite(folder: Path, names: Sequence[str], keep: Callable[[PartEntry], bool]) -> None:
    """Copy selected, undamaged recordings of some parts to a new part, and delete the old parts."""
    new, rows, seen, unit_bytes = parts.new_part_name(), list[PartEntry](), set[PartEntry](), 1
    with (
        files.full_disk_is_an_error(folder, "parts"),
        files.atomic_write(folder / f"{new}.pcm") as temporary,
        temporary.open("wb") as data,
    ):
        for name, entries, unit_bytes in _readable_parts(folder, names):
            for entry in filter(keep, entries):
                start, key = data.tell(), entry._replace(offset=0)
                if key in seen:
                    continue
                seen.add(key)
                try:
                    for piece in _pieces(folder, name, entry, unit_bytes):
                        data.write(piece)
                except ValueError as error:
                    console.say(f"Left out, to be made again: {error}")
                    data.seek(start)
                    data.truncate()
                    continue
                rows.append(entry._replace(offset=start // unit_bytes))
    if rows:
        parts.write_part_table(folder, new, rows, unit_bytes)
    else:
        (folder / f"{new}.pcm").unlink()
    for name in names:
        parts.remove_part(folder, name)


def _readable_parts(folder: Path, names: Sequence[str]) -> Iterator[tuple[str, list[PartEntry], int]]:
    """Yield name, recordings and bytes per sample of each part whose table is not damaged."""
    for name in names:
        try:
            found = parts.read_part_table(folder, name)
        except ValueError as error:
            console.say(f"{folder} is damaged; opening the store, or verify=true, lets this be made again: {error}")
            continue
        if found is not None:
            yield name, parts.part_entries(found[0]), found[1]


def _pieces(folder: Path, name: str, entry: PartEntry, unit_bytes: int) -> Iterator[bytes]:
    with (folder / f"{name}.pcm").open("rb") as data:
        try:
            yield from parts.read_in_pieces(data, entry.offset, entry.length, entry.crc32, unit_bytes)
        except ValueError as error:
            raise ValueError(f"{data.name} is damaged at {os.fsdecode(entry.path)}: {error}") from None


def _locked(folder: Path) -> AbstractContextManager[None]:
    return files.locked_folder(folder, "tidying up", console.say, "upkeep.lock")
