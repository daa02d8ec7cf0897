"""The parts of a waveform store: which files go together, and the work of decoding one part.

A part is the unit of work, of resuming and of repair. It is two files: `part-00042.i16`, the clips one after another as
little-endian 16-bit samples, and `part-00042.npz`, written after it, with the length, checksum and (for a bad file)
reason of each clip. Worker processes import this module: it must stay free of torch and pandas.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfx import audio

MAX_PARTS = 256  # each holds an open file while it is read; processes may open 1,024
MIN_PART_BYTES = 4 << 20  # of source files: about a second of decoding, so a killed build loses little
FILE_BYTES = 16 << 10  # what a file costs at least; hence at most 256 files in a small part
BAD = -1  # length of a clip that cannot be used
SAMPLE_BYTES = 2
WARM_UP_BYTES = 16 << 20  # more than the blocks of a clip of a minute


class Part(NamedTuple):
    """The clips of one part: `lengths` in samples (-1: bad), `checksums` (CRC-32), `reasons` ("" where good)."""

    lengths: NDArray[np.int64]
    checksums: NDArray[np.uint32]
    reasons: NDArray[np.str_]


class Job(NamedTuple):
    """One part to decode: the files, in order, and where to."""

    folder: Path
    number: int
    paths: list[str]
    sample_rate: int


def plan(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """First file of each part, and the number of files at the end: (parts + 1,), from the file sizes in bytes.

    Deterministic, so that a build that was killed finds its parts again. The parts are of about equal size: 4 MiB of
    files, more where that would give more than 256 parts; a file larger than that is a part of its own.
    """
    cost = np.maximum(sizes, FILE_BYTES)
    before = np.cumsum(cost) - cost
    limit = max(MIN_PART_BYTES, -(-int(cost.sum()) // MAX_PARTS))
    first = np.unique(before // limit, return_index=True)[1]
    return np.append(first, len(sizes)).astype(np.int64)


def decode(job: Job) -> int:
    """Decode one part and write it, atomically; returns its number of files.

    Bad files are noted in the part. What cannot be written is an OSError, and leaves no file behind. Nothing is forced
    to the disk (that would double the time): what a power cut takes away has the wrong size or checksum afterwards.
    """
    # glibc learns from the first large block it gets back to keep blocks up to that size. Without this one, each clip
    # is decoded into fresh pages from the kernel, and takes up to twice as long.
    bytes(WARM_UP_BYTES)
    data = data_path(job.folder, job.number)
    temporary = data.with_name(f"{data.name}.{os.getpid()}.tmp")
    notes = temporary.with_name(f"{temporary.name}.npz")
    lengths, checksums, reasons = [], [], []
    try:
        with temporary.open("wb") as file:
            for path in job.paths:
                length, checksum, reason = _append(file, path, job.sample_rate)
                lengths.append(length)
                checksums.append(checksum)
                reasons.append(reason)
        with notes.open("wb") as file:
            np.savez(
                file,
                lengths=np.array(lengths, np.int64),
                checksums=np.array(checksums, np.uint32),
                reasons=np.array(reasons, np.str_),
            )
        temporary.replace(data)
        notes.replace(notes_path(job.folder, job.number))
    finally:
        temporary.unlink(missing_ok=True)
        notes.unlink(missing_ok=True)
    return len(job.paths)


def load(folder: Path, number: int, num_files: int) -> Part | None:
    """A finished part, or None where it is missing, half written or not of `num_files` files."""
    try:
        part = Part(**load_arrays(notes_path(folder, number)))
        size = data_path(folder, number).stat().st_size
    except (OSError, TypeError):
        return None
    whole = len(part.lengths) == num_files and size == num_samples(part.lengths) * SAMPLE_BYTES
    return part if whole else None


def load_arrays(path: Path) -> dict[str, NDArray]:
    """Arrays of an .npz file; none where it is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return {}


def num_samples(lengths: NDArray[np.int64]) -> int:
    """Samples of all good clips together."""
    return int(np.maximum(lengths, 0).sum())


def data_path(folder: Path, number: int) -> Path:
    """File of the samples of a part."""
    return folder / f"part-{number:05d}.i16"


def notes_path(folder: Path, number: int) -> Path:
    """File of the lengths, checksums and reasons of a part."""
    return folder / f"part-{number:05d}.npz"


def _append(file: BinaryIO, path: str, sample_rate: int) -> tuple[int, int, str]:
    """Write the samples of one clip; returns length, checksum and reason, and takes back what it wrote of a bad one."""
    start, checksum = file.tell(), 0
    try:
        for block in audio.read_blocks(path, sample_rate):
            samples = audio.to_int16(block).astype("<i2", copy=False).tobytes()
            checksum = zlib.crc32(samples, checksum)
            file.write(samples)
    except audio.AudioError as error:
        file.seek(start)
        file.truncate()
        return BAD, 0, error.reason
    return (file.tell() - start) // SAMPLE_BYTES, checksum, ""
