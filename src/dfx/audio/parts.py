"""Parts of a store: file format, and a catalogue of the recordings in a folder of parts.

A part is `<name>.pcm`, the concatenated arrays, and `<name>.parquet`, a row for each recording in it (`PartEntry`).
Both files are moved into place when complete, the table last: a part is valid if its table exists. Parts are never
changed. If two parts hold the same recording, the older one is used; names begin with the time.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import itertools
import os
import time
import uuid
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import filelock
import numpy as np
from numpy.typing import NDArray

from dfx import console, files
from dfx.audio.read_write import MAX_HOURS

if TYPE_CHECKING:
    import pyarrow as pa

BAD = -1  # length of a recording that cannot be used
MISSING = -1  # part of a recording that no part holds
MAX_MEMORY = 1 << 30  # bytes for decoding a file; a header may claim any number
MOST_SECONDS = 7200.0  # for one file, however large
FILE_SECONDS = 120.0  # time limit of a small file: thousands of times the usual duration
MIN_BATCH_BYTES = 4 << 20  # of source files: about a second of decoding, which a killed build loses
MAX_BATCH_BYTES = 64 << 20
FILE_BYTES = 16 << 10  # smallest cost of a file: a small batch has at most 256 files
NUM_THREADS = 8  # to read tables and file status: hides the latency of network file systems
CHECK_BYTES = 256 << 20  # compared with checksums at every opening: 0.2 s, and all of a store of 2 hours
ROWS_AT_ONCE = 1 << 17  # of tables compared with the catalogue together: limits memory


class PartEntry(NamedTuple):
    """One recording in a part: a row of the part's table.

    Attributes:
        path: the file as bytes, since names need not be UTF-8.
        size: of the file in bytes, -1 without access.
        mtime_ns: modification time of the file.
        offset: where its array begins in the part, in samples (of a map: in frames).
        length: in samples (frames); `BAD` for a file that cannot be used.
        scale: power of two that the samples are multiplied by.
        crc32: checksum of its bytes in the part.
        reason: why the file cannot be used; empty for a good one.
    """

    path: bytes
    size: int
    mtime_ns: int
    offset: int
    length: int
    scale: int
    crc32: int
    reason: str


def new_part_name() -> str:
    """Return a unique name for a new part.

    Names sort by time.
    """
    return f"{time.time_ns():016x}-{uuid.uuid4().hex[:8]}"


def _limits() -> str:
    """Return the limits of decoding and the decoder versions as text.

    Files that failed by time-out or crash are tried again when these change.
    """
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("soundfile", "soxr", "av")]
    limits = f"{FILE_SECONDS:g} to {MOST_SECONDS:g} s, {MAX_HOURS:g} h, {MAX_MEMORY / 2**20:g} MiB"
    return f"limit {limits}, {', '.join(versions)}"


def reason_with_limits(reason: str) -> str:
    """Append limits of decoding and decoder versions to the reason of a bad file.

    The file is tried again when they change.
    """
    return f"{reason} [{_limits()}]"


def write_part_table(folder: Path, name: str, entries: Sequence[PartEntry], unit_bytes: int) -> None:
    """Write the table of a part after its samples; the part is then valid.

    A sample has `unit_bytes` bytes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = (pa.binary(), *[pa.int64()] * 4, pa.int32(), pa.uint32(), pa.string())
    columns = [pa.array(column, kind) for column, kind in zip(zip(*entries, strict=True), kinds, strict=True)]
    buffer = io.BytesIO()
    table = pa.table(columns, names=PartEntry._fields)
    table = table.replace_schema_metadata({"unit_bytes": str(unit_bytes)})
    # Without dictionary and statistics: half the time, which a build takes from its workers.
    pq.write_table(table, buffer, use_dictionary=False, write_statistics=False, write_page_checksum=True)
    with files.atomic_write(folder / f"{name}.parquet") as temporary:
        temporary.write_bytes(buffer.getvalue())


def read_part_table(folder: Path, name: str) -> tuple[pa.Table, int] | None:
    """Read the table of a part and the bytes per sample; None if the part no longer exists.

    Raises:
        ValueError: if it is damaged, or the file of the samples is missing or of another size.
        OSError: if the system cannot read it (permissions, too many open files, a network that stands still): that
            does not make it a damaged part.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / f"{name}.parquet"
    try:
        data = path.read_bytes()
        with (folder / f"{name}.pcm").open("rb") as samples:  # opened: on NFS a mere stat may be a minute old
            size = os.fstat(samples.fileno()).st_size
    except FileNotFoundError as error:
        if not path.exists():  # another process merged it into a larger part
            return None
        raise ValueError(f"{name}.pcm is missing") from error
    try:
        table = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True).read()
        ends = table["offset"].to_numpy() + np.maximum(table["length"].to_numpy(), 0)
        unit_bytes = int(table.schema.metadata[b"unit_bytes"])
    except MemoryError:  # of Arrow too; it says nothing of the part
        raise
    except (OSError, pa.ArrowException, KeyError, TypeError) as error:
        raise ValueError(f"{name}.parquet cannot be read: {error}") from error
    if size != ends.max(initial=0) * unit_bytes:
        raise ValueError(f"{name}.pcm has {size} bytes, and its table says {ends.max(initial=0) * unit_bytes}")
    return table, unit_bytes


def read_in_pieces(data: BinaryIO, offset: int, length: int, crc32: int, unit_bytes: int) -> Iterator[bytes]:
    """Read the bytes of a recording piece by piece, and verify its checksum.

    It may be hours long.

    Raises:
        ValueError: at the end, if the checksum is another.
    """
    data.seek(offset * unit_bytes)
    left, checksum = max(length, 0) * unit_bytes, 0
    while left and (piece := data.read(min(left, 1 << 20))):
        left, checksum = left - len(piece), zlib.crc32(piece, checksum)
        yield piece
    if left or checksum != crc32:
        raise ValueError("its checksum is wrong")


def part_names(folder: Path) -> list[str]:
    """Return the names of the parts in a folder, the oldest first."""
    try:
        found = os.listdir(folder)  # noqa: PTH208  (glob takes a folder that cannot be read for an empty one)
    except FileNotFoundError:
        return []
    return sorted(
        name.removesuffix(".parquet")
        for name in found
        if name.endswith(".parquet") and not name.startswith(files.TEMPORARY)
    )


def remove_part(folder: Path, name: str) -> None:
    """Delete the files of a part, the table first."""
    for suffix in ("parquet", "pcm"):
        (folder / f"{name}.{suffix}").unlink(missing_ok=True)


def remove_abandoned_parts(folder: Path) -> None:
    """Delete unfinished files, samples without a table, and locks, if they are older than an hour."""
    files.remove_abandoned_files(folder)
    for path in [*folder.glob("*.pcm"), *folder.glob("*.lock")]:
        with contextlib.suppress(FileNotFoundError):
            old = time.time() - path.stat().st_mtime > files.ABANDONED_SECONDS
            if old and path.suffix == ".lock":
                # Its time is that of the first use: one that is old may be held.
                with contextlib.suppress(filelock.Timeout), filelock.FileLock(path).acquire(timeout=0):
                    path.unlink()
            elif old and not path.with_suffix(".parquet").exists():
                path.unlink()


def stat_recordings(paths: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the size in bytes and the modification time in ns of each file.

    They are -1 and 0 for a file without access.
    """
    chunks = [paths[i : i + 4096] for i in range(0, len(paths), 4096)]
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        facts = np.concatenate(
            [np.array(chunk, np.int64) for chunk in pool.map(lambda chunk: [*map(stat_recording, chunk)], chunks)]
        )
    return facts[:, 0].copy(), facts[:, 1].copy()


def stat_recording(path: str | bytes) -> tuple[int, int]:
    """Return the size in bytes and the modification time in ns of a file.

    They are -1 and 0 for a file without access.
    """
    try:
        status = os.stat(path)  # noqa: PTH116  (pathlib takes three times as long, 600,000 times)
    except (OSError, ValueError):
        return -1, 0
    return status.st_size, status.st_mtime_ns


class PartCatalogue:
    """Index of recordings in a folder of parts: part, offset, length and scale of each recording.

    Attributes:
        folder: of the parts.
        paths: of the recordings, distinct.
        sizes, mtimes: of their files, as they are now.
        unit_bytes: of a sample (of a map: of a frame).
        names: of the parts.
        part: (recordings,) number of the part, `MISSING` where none holds it.
        offset, length, scale, crc32: (recordings,), see `PartEntry`.
        reasons: of bad files, by the number of the recording.
    """

    def __init__(
        self, folder: Path, paths: list[str], sizes: NDArray[np.int64], mtimes: NDArray[np.int64], unit_bytes: int
    ) -> None:
        import pyarrow as pa

        self.folder, self.paths, self.unit_bytes = folder, paths, unit_bytes
        self.sizes, self.mtimes = sizes, mtimes
        self._wanted = pa.array([os.fsencode(path) for path in paths], pa.binary())
        self.reload()

    def reload(self) -> None:
        """Read the tables of all parts again, after parts were merged or rebuilt."""
        count = len(self.paths)
        self.names: list[str] = []
        self.part = np.full(count, MISSING, np.int32)
        self.offset, self.length = np.zeros(count, np.int64), np.full(count, BAD, np.int64)
        self.scale, self.crc32 = np.ones(count, np.float32), np.zeros(count, np.uint32)
        self.reasons: dict[int, str] = {}
        self._seen: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Read the tables of new parts, and remove damaged parts so that they are rebuilt."""
        new = [name for name in part_names(self.folder) if name not in self._seen]
        self._seen.update(new)
        tables: list[pa.Table] = []
        numbers: list[int] = []
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            for first in range(0, len(new), 64):
                chunk = new[first : first + 64]
                for name, table in zip(chunk, pool.map(self._read, chunk), strict=True):
                    if table is not None and len(table):
                        tables.append(table)
                        numbers.append(len(self.names))
                        self.names.append(name)
                if sum(map(len, tables)) > ROWS_AT_ONCE:
                    self._add(tables, numbers)
                    tables, numbers = [], []
        if tables:
            self._add(tables, numbers)

    def add_part(self, name: str, recordings: list[int], entries: Sequence[PartEntry]) -> None:
        """Add a part that this process has written, without reading its table.

        A damaged part is not added; `refresh` reads it.
        """
        size, mtime, offset, length, scale, crc32 = np.array([entry[1:-1] for entry in entries], np.int64).T
        # The files may have changed since the catalogue was made.
        self.sizes[recordings], self.mtimes[recordings] = size, mtime
        end = int((offset + np.maximum(length, 0)).max())
        if stat_recording(str(self.folder / f"{name}.pcm"))[0] != end * self.unit_bytes:
            return
        self.part[recordings] = np.where(length >= 0, len(self.names), MISSING)
        self.offset[recordings], self.length[recordings] = offset, length
        self.scale[recordings], self.crc32[recordings] = scale, crc32
        self.reasons |= {
            number: entry.reason for number, entry in zip(recordings, entries, strict=True) if entry.reason
        }
        self.names.append(name)
        self._seen.add(name)

    def remove_damaged(self) -> None:
        """Verify the checksums of randomly chosen recordings, up to 256 MiB, and remove damaged parts.

        It is all of a small store; of a large one another choice at each opening. `prepare verify=true` compares
        everything.
        """
        held = np.flatnonzero((self.part != MISSING) & (self.length > 0))
        sizes = self.length[held] * self.unit_bytes
        if sizes.sum() > CHECK_BYTES:
            order = np.random.default_rng().permutation(len(held))
            held = held[order[np.cumsum(sizes[order]) <= CHECK_BYTES]]
        held = held[np.lexsort((self.offset[held], self.part[held]))]
        changed = False
        for part, group in itertools.groupby(held.tolist(), key=lambda number: int(self.part[number])):
            name = self.names[part]
            try:
                with (self.folder / f"{name}.pcm").open("rb") as data:
                    for number in group:
                        offset, length, crc32 = self.offset[number], self.length[number], self.crc32[number]
                        for _ in read_in_pieces(data, int(offset), int(length), int(crc32), self.unit_bytes):
                            pass
            except FileNotFoundError:  # another process has put it into a larger part
                changed = True
            except ValueError as error:
                console.say(f"The store {self.folder} is damaged, this part is made again: {name} ({error})")
                remove_part(self.folder, name)
                changed = True
        if changed:
            self.reload()

    def missing(self, chosen: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
        """Return the numbers of the recordings that are in no part and are not known as bad.

        All recordings are searched, or only `chosen`.
        """
        chosen = np.arange(len(self.paths)) if chosen is None else chosen
        lacking: NDArray[np.intp] = chosen[self.part[chosen] == MISSING]
        return lacking[~np.isin(lacking, np.fromiter(self.reasons, np.intp, len(self.reasons)))]

    def path_of(self, number: int) -> Path:
        """Path of the .pcm file that contains a recording."""
        return self.folder / f"{self.names[self.part[number]]}.pcm"

    def _read(self, name: str) -> pa.Table | None:
        try:
            found = read_part_table(self.folder, name)
            return None if found is None else found[0]
        except ValueError as error:
            console.say(f"The store {self.folder} is damaged, what this part held is made again: {error}")
            remove_part(self.folder, name)
            return None

    def _numbers(self, paths: pa.Array) -> NDArray[np.intp]:
        """Return the recording number of each path; -1 for a path that is not in the catalogue."""
        import pyarrow.compute as pc

        wanted, numbers = self._wanted, np.arange(len(self.paths))
        if len(paths) < len(wanted):  # after each part of a build: ten times as fast
            numbers = np.flatnonzero(pc.is_in(wanted, value_set=paths))
            wanted = wanted.take(numbers)
        found = pc.fill_null(pc.index_in(paths, value_set=wanted), -1).to_numpy()
        of_paths: NDArray[np.intp] = np.append(numbers, -1)[found]
        return of_paths

    def _add(self, tables: list[pa.Table], numbers: list[int]) -> None:
        import pyarrow as pa

        part = np.repeat(np.array(numbers, np.int32), [len(table) for table in tables])
        table = pa.concat_tables(tables)
        file = self._numbers(table["path"].combine_chunks())
        columns: dict[str, NDArray[Any]] = {
            name: table[name].to_numpy() for name in ("size", "mtime_ns", "offset", "length", "scale", "crc32")
        }
        wanted = (file >= 0) & (columns["size"] == self.sizes[file]) & (columns["mtime_ns"] == self.mtimes[file])
        good = np.flatnonzero(wanted & (columns["length"] >= 0) & (self.part[file] == MISSING))
        good = good[np.unique(file[good], return_index=True)[1]]
        self.part[file[good]] = part[good]
        for name in ("offset", "length", "scale", "crc32"):
            getattr(self, name)[file[good]] = columns[name][good]
        for row in np.flatnonzero(wanted & (columns["length"] < 0)).tolist():
            reason = table["reason"][row].as_py()
            if " [limit " not in reason or reason.endswith(f"[{_limits()}]"):
                self.reasons.setdefault(int(file[row]), reason)


def part_batches(costs: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Divide recordings into about 256 batches of equal cost in bytes.

    The target size of a batch is between 4 and 64 MiB, so there may be fewer or more.
    """
    costs = np.maximum(costs, FILE_BYTES)
    limit = min(max(MIN_BATCH_BYTES, int(costs.sum()) // 256), MAX_BATCH_BYTES)
    group = (np.cumsum(costs) - costs) // limit
    return np.split(np.arange(len(costs)), np.flatnonzero(np.diff(group)) + 1)


def part_entries(table: pa.Table) -> list[PartEntry]:
    """Convert the table of a part to a list of its rows."""
    return [PartEntry(**row) for row in table.to_pylist()]
