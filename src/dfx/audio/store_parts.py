"""The parts of a waveform store: which files go together, and the work of decoding one part.

A part is the unit of work, of resuming and of repair. It is two files: `part-00042.i16`, the clips one after another as
little-endian 16-bit samples, and `part-00042.npz`, written after it, with the length, checksum and (for a bad file)
reason of each clip. Worker processes import this module: it must stay free of torch and pandas.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfx import audio
from dfx.audio import workers

Entry = tuple[int, int, str]  # length, checksum and reason of a clip

MAX_PARTS = 256  # each holds an open file while it is read; processes may open 1,024
MIN_PART_BYTES = 4 << 20  # of source files: about a second of decoding, so a killed build loses little
FILE_BYTES = 16 << 10  # what a file costs at least; hence at most 256 files in a small part
BAD = -1  # length of a clip that cannot be used
SAMPLE_BYTES = 2
SLOWEST_BYTES = (
    50_000  # of a file each second; of Opus at 5 kbit/s, the slowest for its size, it is ten times that
)
HEADER_SECONDS = 60.0  # for the headers of a sample of the files
USUAL_GROWTH = 2.0  # FLAC about halves speech
LEFT_OVER_SECONDS = 3600  # after which an unfinished file that nobody wrote to is nobody's
WARM_UP_BYTES = 16 << 20  # more than the blocks of a clip of a minute


class Part(NamedTuple):
    """The clips of one part: `lengths` in samples (-1: bad), `checksums` (CRC-32), `reasons` ("" where good)."""

    lengths: NDArray[np.int64]
    checksums: NDArray[np.uint32]
    reasons: NDArray[np.str_]


class Job(NamedTuple):
    """One part to decode.

    Attributes:
        folder: of the store.
        number: of the part.
        paths: the files, in order.
        sample_rate: of the waveforms, in Hz.
        owner: who decodes it, `owner()`; stands in the names of files that are not finished.
        seconds: time limit of a small file, in a worker process.
        bad: reasons of files that are not to be touched, by place in `paths`.
    """

    folder: Path
    number: int
    paths: list[str]
    sample_rate: int
    owner: str
    seconds: float
    bad: dict[int, str]


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

    A journal grows by a line with each file. When the process is killed by a file, the same job goes on behind the last
    line, and `num_done` tells which file it was.
    """
    if load(job.folder, job.number, len(job.paths)) is not None:
        return len(job.paths)  # meanwhile another process finished it
    # glibc learns from the first large block it gets back to keep blocks up to that size. Without this one, each clip
    # is decoded into fresh pages from the kernel, and takes up to twice as long.
    bytes(WARM_UP_BYTES)
    temporary, notes, journal = _temporary(job)
    entries = _entries(journal)
    written = sum(max(length, 0) for length, _, _ in entries) * SAMPLE_BYTES
    try:
        temporary.touch()
        if temporary.stat().st_size < written:  # killed when the samples were renamed and the notes were not
            entries, written = [], 0
            journal.unlink()
        os.truncate(temporary, written)
        with temporary.open("ab") as file, journal.open("a") as log:
            for number in range(len(entries), len(job.paths)):
                entries.append(_append(file, job, number))
                file.flush()  # before the line that says so
                log.write(json.dumps(entries[-1]) + "\n")
                log.flush()
        workers.time_limit(0)
        lengths, checksums, reasons = zip(*entries, strict=True)
        with notes.open("wb") as file:
            np.savez(
                file,
                lengths=np.array(lengths, np.int64),
                checksums=np.array(checksums, np.uint32),
                reasons=np.array(reasons, np.str_),
            )
        temporary.replace(data_path(job.folder, job.number))
        notes.replace(notes_path(job.folder, job.number))
    finally:
        for path in (temporary, notes, journal):
            path.unlink(missing_ok=True)
    return len(job.paths)


def growth(sample: tuple[list[str], int]) -> float:
    """Bytes of samples for each byte of a file, from the headers of some files, at a sample rate."""
    paths, sample_rate = sample
    workers.time_limit(HEADER_SECONDS)
    source, decoded = 0, 0.0
    for path in paths:
        with contextlib.suppress(audio.AudioError, OSError):
            info = audio.probe(path)
            if info.num_samples:
                source += Path(path).stat().st_size
                decoded += info.num_samples / info.sample_rate * sample_rate * SAMPLE_BYTES
    return decoded / source if source else USUAL_GROWTH


def num_done(job: Job) -> int:
    """Files that a process decoded before it died at this job."""
    return len(_entries(_temporary(job)[2]))


def limit_seconds(job: Job, number: int) -> float:
    """Seconds that a file may take: generous, since other programs may be using the machine."""
    size = 0
    with contextlib.suppress(OSError):
        size = os.stat(job.paths[number]).st_size  # noqa: PTH116  (pathlib takes three times as long)
    return job.seconds + size / SLOWEST_BYTES


def owner() -> str:
    """This process among those of all hosts that write to the same folder."""
    return f"{_host()}-{os.getpid()}"


def remove_left_overs(folder: Path) -> None:
    """Delete what builds that are over left unfinished; what other processes and hosts are writing stays."""
    for path in folder.glob("*.tmp*"):
        with contextlib.suppress(FileNotFoundError):
            if _is_over(path):
                path.unlink()


def _temporary(job: Job) -> tuple[Path, Path, Path]:
    """Samples, notes and journal of a part that is being decoded."""
    name = f"{data_path(job.folder, job.number).name}@{job.owner}.tmp"
    return job.folder / name, job.folder / f"{name}.npz", job.folder / f"{name}.log"


def _entries(journal: Path) -> list[Entry]:
    try:
        lines = journal.read_text().split("\n")[:-1]  # behind the last line break stands at most half a line
    except FileNotFoundError:
        return []
    return [tuple(json.loads(line)) for line in lines]


def _host() -> str:
    """Where process numbers mean the same: containers may have the name of their host, and numbers of their own."""
    with contextlib.suppress(OSError):  # systems other than Linux have none
        return f"{platform.node()}-{Path('/proc/self/ns/pid').stat().st_ino}"
    return platform.node()


def _is_over(path: Path) -> bool:
    host, _, pid = path.name.partition("@")[2].partition(".tmp")[0].rpartition("-")
    if host == _host() and pid.isdigit():
        if int(pid) == os.getpid():
            return True
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
    return time.time() - path.stat().st_mtime > LEFT_OVER_SECONDS


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


def _append(file: BinaryIO, job: Job, number: int) -> Entry:
    """Write the samples of one clip; returns its entry, and takes back what it wrote of a bad one."""
    if number in job.bad:
        return BAD, 0, job.bad[number]
    start, checksum = file.tell(), 0
    workers.time_limit(limit_seconds(job, number))
    try:
        for block in audio.read_pcm(job.paths[number], job.sample_rate):
            samples = np.ascontiguousarray(block, "<i2").data
            checksum = zlib.crc32(samples, checksum)
            file.write(samples)
    except audio.AudioError as error:
        file.seek(start)
        file.truncate()
        return BAD, 0, error.reason
    return (file.tell() - start) // SAMPLE_BYTES, checksum, ""
