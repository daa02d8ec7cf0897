"""Parts of a store: their file format, reading, writing and deleting them.

A part is `<name>.pcm`, the concatenated arrays, and `<name>.parquet`, a row for each recording in it (`PartEntry`).
Both files are moved into place when complete, the table last: a part is valid if its table exists. Parts are never
changed. If two parts hold the same recording, the older one is used; names begin with the time.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
import time
import uuid
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import filelock
import numpy as np
from numpy.typing import NDArray

from dfx import files
from dfx.audio.read_write import MAX_HOURS

if TYPE_CHECKING:
    import pyarrow as pa

BAD = -1  # length of a recording that cannot be used
FILE_SECONDS = 120.0  # time limit of a small file: thousands of times the usual duration
MIN_BATCH_BYTES = 4 << 20  # of source files: about a second of decoding, which a killed build loses
MAX_BATCH_BYTES = 64 << 20
FILE_BYTES = 16 << 10  # smallest cost of a file: a small batch has at most 256 files
NUM_THREADS = 8  # to read tables and file status: hides the latency of network file systems


class DecodingLimits(NamedTuple):
    """Limits of decoding a file, so that no file decides how much time and memory a corpus takes.

    Seconds and memory are limited in worker processes only.

    Attributes:
        hours: of audio.
        seconds: of decoding, for a file of any size.
        memory_mib: of memory, beyond that of an idle worker.
    """

    hours: float = MAX_HOURS
    seconds: float = 7200.0
    memory_mib: int = 1024

    def text(self) -> str:
        """Return the limits and the decoder versions as text."""
        versions = [f"{name} {importlib.metadata.version(name)}" for name in ("soundfile", "soxr", "av")]
        limits = f"{FILE_SECONDS:g} to {self.seconds:g} s, {self.hours:g} h, {self.memory_mib} MiB"
        return f"limit {limits}, {', '.join(versions)}"

    def add_to(self, reason: str) -> str:
        """Append the limits to the reason of a bad file, which is tried again when they change."""
        return f"{reason} [{self.text()}]"


DEFAULT_LIMITS = DecodingLimits()


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
    """Return a unique name for a new part; names sort by time."""
    return f"{time.time_ns():016x}-{uuid.uuid4().hex[:8]}"


def write_part_table(folder: Path, name: str, entries: Sequence[PartEntry], unit_bytes: int) -> None:
    """Write the table of a part, after its samples; the part is then valid."""
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
    """Return sizes in bytes and modification times in ns of files; -1 and 0 for a file without access."""
    chunks = [paths[i : i + 4096] for i in range(0, len(paths), 4096)]
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        facts = np.concatenate(
            [np.array(chunk, np.int64) for chunk in pool.map(lambda chunk: [*map(stat_recording, chunk)], chunks)]
        )
    return facts[:, 0].copy(), facts[:, 1].copy()


def stat_recording(path: str | bytes) -> tuple[int, int]:
    """Return size in bytes and modification time in ns of a file; -1 and 0 for a file without access."""
    try:
        status = os.stat(path)  # noqa: PTH116  (pathlib takes three times as long, 600,000 times)
    except (OSError, ValueError):
        return -1, 0
    return status.st_size, status.st_mtime_ns


def part_batches(costs: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Divide recordings into about 256 batches of equal size, each of 4 to 64 MiB of files if possible."""
    costs = np.maximum(costs, FILE_BYTES)
    limit = min(max(MIN_BATCH_BYTES, int(costs.sum()) // 256), MAX_BATCH_BYTES)
    group = (np.cumsum(costs) - costs) // limit
    return np.split(np.arange(len(costs)), np.flatnonzero(np.diff(group)) + 1)


def part_entries(table: pa.Table) -> list[PartEntry]:
    """Convert the table of a part to a list of its rows."""
    return [PartEntry(**row) for row in table.to_pylist()]
