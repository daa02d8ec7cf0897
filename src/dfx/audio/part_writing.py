"""Write the parts of a store in worker processes, by decoding or conditioning recordings.

Worker processes import this module: it must not import torch or pandas.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfx import audio, files
from dfx.audio import parts, workers
from dfx.audio.conditioning import Conditions, condition_pcm_blocks
from dfx.audio.part_catalogue import PartCatalogue
from dfx.audio.parts import BAD, DecodingLimits, PartEntry
from dfx.audio.samples import Pcm

WARM_UP_BYTES = 16 << 20  # larger than the blocks of a clip of a minute
SAMPLE_BYTES = 2


class DecodedClip(NamedTuple):
    """Location of a decoded clip in a store: file, offset, length and scale."""

    path: Path
    offset: int
    length: int
    scale: int


class StoreJob(NamedTuple):
    """Job of a worker process: the recordings that it writes to one part of a store.

    Attributes:
        batch: number of the batch that they are from.
        name: of the part.
        recordings: their numbers in the catalogue.
        paths: of their files.
        stats: size and modification time of each file as the catalogue has them.
        sources: their decoded clips, if the part is made from these.
        attempts: number of workers that died at them.
        reason: why their file is bad; empty for a file to be read.
    """

    batch: int
    name: str
    recordings: list[int]
    paths: list[str]
    stats: list[tuple[int, int]]
    sources: list[DecodedClip] = []  # noqa: RUF012
    attempts: int = 0
    reason: str = ""

    def share(self, begin: int, end: int) -> StoreJob:
        """Create a job with a new part for the recordings from `begin` to `end`."""
        return self._replace(
            name=parts.new_part_name(),
            **{key: getattr(self, key)[begin:end] for key in ("recordings", "paths", "stats", "sources")},
        )


Made = tuple[StoreJob, list[PartEntry]]
# Blocks of one recording of a job, each with its scale; a block with another scale is the first one again.
Blocks = Iterable[tuple[int, NDArray[Any]]]


def decode_job(job: StoreJob, folder: Path, sample_rate: int, limits: DecodingLimits) -> Made:
    """Decode the audio files of a job, and write the samples of its part."""
    return write_part_samples(
        job, folder, lambda at: audio.read_pcm(job.paths[at], sample_rate, limits.hours), SAMPLE_BYTES, limits
    )


def write_conditioned_part(job: StoreJob, folder: Path, sample_rate: int, conditions: Conditions) -> Made:
    """Apply the conditioning to the decoded clips of a job, and write them as one part of the store."""
    sources = job.sources

    def blocks(at: int) -> Iterator[tuple[int, Pcm]]:
        nonlocal sources
        if not sources[at].path.exists():  # it was merged into another part
            sources = _decoded_clips(sources[at].path.parent, job)
        path, offset, length, scale = sources[at]
        with path.open("rb") as file:

            def read(start: int, count: int) -> audio.Waveform:
                file.seek((offset + start) * SAMPLE_BYTES)
                return audio.from_int16(np.fromfile(file, "<i2", min(count, length - start)), scale)

            yield from condition_pcm_blocks(read, length, sample_rate, conditions)

    return write_part_samples(job, folder, blocks, SAMPLE_BYTES)


def decoded_clip(plain: PartCatalogue, recording: int) -> DecodedClip:
    """Return the location of a decoded clip, given its number in the catalogue."""
    place = (int(values[recording]) for values in (plain.offset, plain.length, plain.scale))
    return DecodedClip(plain.path_of(recording), *place)


def _decoded_clips(folder: Path, job: StoreJob) -> list[DecodedClip]:
    """Find the locations of a job's decoded clips again, after parts of the store were merged."""
    sizes, times = np.array(job.stats, np.int64).T
    plain = PartCatalogue(folder, job.paths, sizes, times, SAMPLE_BYTES)
    if (plain.length == BAD).any():
        raise ValueError(f"Clips vanished from {folder} while they were conditioned: start again.")
    return [decoded_clip(plain, recording) for recording in range(len(job.paths))]


def write_part_samples(
    job: StoreJob, folder: Path, blocks: Callable[[int], Blocks], unit_bytes: int, limits: DecodingLimits | None = None
) -> Made:
    """Write the samples of a part atomically.

    Returns the job and the rows of the part's table. A write error is an OSError, and leaves no file behind. There is
    no fsync (it would double the time): data lost in a power cut are found by their size or checksum.

    Args:
        job: the recordings.
        folder: of the store.
        blocks: gives the blocks of a recording of the job, by its position.
        unit_bytes: of a sample, or of a frame of a map.
        limits: of decoding, if blocks are read from the source files, which may change at the same time.
    """
    # After this large block is freed, glibc keeps freed blocks up to that size. Otherwise each clip is decoded into new
    # pages from the kernel, and takes up to twice as long.
    with contextlib.suppress(MemoryError):  # of a worker with little memory
        bytes(WARM_UP_BYTES)
    if limits:
        workers.limit_worker_memory(limits.memory_mib << 20)
    entries: list[PartEntry] = []
    progress = _progress_path(folder, job.name)
    try:
        with (
            files.atomic_write(folder / f"{job.name}.pcm") as temporary,
            temporary.open("wb") as data,
            progress.open("wb", buffering=0) as note,
        ):
            for at, (path, known) in enumerate(zip(job.paths, job.stats, strict=True)):
                os.pwrite(note.fileno(), b"%9d" % at, 0)  # in place: truncating takes milliseconds
                start, facts, reason = data.tell(), known, job.reason
                for _ in range(1 if job.reason else 3):
                    _rewind(data, start)
                    facts = parts.stat_recording(path) if limits else known
                    scale, checksum, reason = (1, 0, reason) if job.reason else _append(data, blocks(at), limits)
                    if not limits or facts == parts.stat_recording(path):
                        break
                    reason = limits.add_to("it was changed while it was decoded, three times")
                if reason:
                    _rewind(data, start)
                length = BAD if reason else (data.tell() - start) // unit_bytes
                row = (start // unit_bytes, length, scale, checksum)
                entries.append(PartEntry(path.encode(errors="surrogateescape"), *facts, *row, reason))
    finally:
        progress.unlink(missing_ok=True)
    return job, entries


def _append(data: Any, blocks: Blocks, limits: DecodingLimits | None) -> tuple[int, int, str]:
    """Write the samples of one recording; return its scale, its checksum, and the reason if it is bad."""
    start, scale, checksum = data.tell(), 0, 0
    try:
        for block_scale, block in blocks:
            if block_scale != scale:
                _rewind(data, start)
                scale, checksum = block_scale, 0
            samples = np.ascontiguousarray(block, block.dtype.newbyteorder("<")).data.cast("B")
            checksum = zlib.crc32(samples, checksum)
            data.write(samples)
    except audio.AudioError as error:
        reason = error.reason.encode(errors="backslashreplace").decode()
        return 1, 0, limits.add_to(reason) if error.may_pass and limits else reason
    return scale, checksum, ""


def _rewind(data: Any, start: int) -> None:
    """Discard all data written after position `start`.

    An unnecessary truncate would make ext4 flush the file.
    """
    if data.tell() != start:
        data.seek(start)
        data.truncate()


def _progress_path(folder: Path, name: str) -> Path:
    """Path of the file that tells which recording a worker is writing; it remains if the worker dies."""
    return folder / f"{files.TEMPORARY}{name}.at"


def read_progress(folder: Path, name: str) -> int | None:
    """Return which recording of a job (its position) the worker was writing when it died; None if unknown."""
    try:
        return int(_progress_path(folder, name).read_text())
    except (OSError, ValueError):
        return None


def remove_unfinished_part(folder: Path, name: str) -> None:
    """Delete the unfinished files of a part after its worker died or was stopped."""
    _progress_path(folder, name).unlink(missing_ok=True)
    for path in folder.glob(f"{files.TEMPORARY}*{name}*"):
        path.unlink(missing_ok=True)
    if not (folder / f"{name}.parquet").exists():
        (folder / f"{name}.pcm").unlink(missing_ok=True)
