"""Building a waveform store: which parts are missing or damaged, decoding them in parallel, the index at the end."""

from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import json
import os
import shutil
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfx import audio, parallel, store_parts
from dfx.store_parts import BAD, SAMPLE_BYTES, Job

CHECK_BYTES = 256 << 20  # read and compared at every opening: 0.2 s, and all of a store of 2 hours
PROBED_FILES = 64  # headers read for the estimate of the size
FEW_BYTES = 32 << 20  # of source files: fewer are decoded faster than worker processes start


class Plan(NamedTuple):
    """A store as it has to be: the distinct files in order, their sizes in bytes, and the first file of each part."""

    folder: Path
    sample_rate: int
    paths: list[str]
    sizes: NDArray[np.int64]
    first: NDArray[np.int64]  # (parts + 1,), ends with the number of files


class Index(NamedTuple):
    """A store as it is: what is known of each file, in the order of the plan."""

    first: NDArray[np.int64]
    lengths: NDArray[np.int64]  # (files,) in samples, -1 for a bad file
    checksums: NDArray[np.uint32]  # (files,) CRC-32
    bad: NDArray[np.int64]  # files of length -1
    reasons: NDArray[np.str_]  # why, for each of them


def load_index(plan: Plan) -> Index | None:
    """Index of a finished store, or None where there is none that fits the plan."""
    arrays = store_parts.load_arrays(plan.folder / "index.npz")
    if set(arrays) != set(Index._fields):
        return None
    index = Index(**arrays)
    fits = np.array_equal(index.first, plan.first) and len(index.lengths) == len(plan.paths)
    return index if fits else None


def complete(plan: Plan, num_workers: int | None, progress: bool, suspects: list[int]) -> Index:
    """Build what a store lacks, and decode again what is damaged; one process at a time.

    Raises:
        ValueError: if the disk has too little room or fills up, or a decoding process dies.
    """
    try:
        with parallel.locked(plan.folder, "building the waveform store"):
            index = load_index(plan)  # another process may have finished it while this one waited
            if index is not None:
                again = damaged(plan.folder, index, suspects)  # repaired meanwhile by another process, or not
                if not again:
                    return index
                names = ", ".join(store_parts.data_path(plan.folder, part).name for part in again)
                parallel.say(f"The waveform store {plan.folder} is damaged; decoding again: {names}")
                for part in again:
                    store_parts.notes_path(plan.folder, part).unlink(missing_ok=True)
            return _build(plan, num_workers, progress)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ValueError(
            f"The disk filled up while waveforms were written to {plan.folder}. Free some room, or give another folder "
            f"by $DFX_CACHE or cache=; what is finished there is kept and will not be decoded again."
        ) from error


def damaged(folder: Path, index: Index, suspects: list[int] | None = None) -> list[int]:
    """Parts that are missing, of the wrong size, or fail a checksum.

    Every part's size is looked at. Checksums are of all clips up to `CHECK_BYTES`, and beyond of a random choice,
    another one at each opening; with `suspects`, of all clips of these parts.
    """
    sizes = np.maximum(index.lengths, 0) * SAMPLE_BYTES
    ends = np.concatenate([[0], np.cumsum(sizes)])
    damaged = set()
    for part, (begin, end) in enumerate(zip(index.first[:-1], index.first[1:], strict=True)):
        try:
            size = store_parts.data_path(folder, part).stat().st_size
        except OSError:
            size = -1
        if size != ends[end] - ends[begin]:
            damaged.add(part)
    files = np.flatnonzero(sizes)
    if suspects is not None:
        files = files[np.isin(np.searchsorted(index.first, files, side="right") - 1, suspects)]
    elif ends[-1] > CHECK_BYTES:
        files = np.random.default_rng().permutation(files)
        files = np.sort(files[np.cumsum(sizes[files]) <= CHECK_BYTES])
    parts = np.searchsorted(index.first, files, side="right") - 1
    for part in np.unique(parts):
        if part in damaged:
            continue
        with store_parts.data_path(folder, int(part)).open("rb") as data:
            for file in files[parts == part]:
                data.seek(ends[file] - ends[index.first[part]])
                if _checksum(data, int(sizes[file])) != index.checksums[file]:
                    damaged.add(int(part))
                    break
    return sorted(damaged)


def _checksum(data: Any, size: int) -> int:
    """CRC-32 of the next `size` bytes, read in pieces: a clip may be hours long."""
    value = 0
    while size > 0 and (piece := data.read(min(size, 1 << 20))):
        value = zlib.crc32(piece, value)
        size -= len(piece)
    return value


def _build(plan: Plan, num_workers: int | None, progress: bool) -> Index:
    """Decode every part that is not finished, then write the index."""
    for left_over in plan.folder.glob("*.tmp*"):
        left_over.unlink(missing_ok=True)
    bounds = list(zip(plan.first[:-1].tolist(), plan.first[1:].tolist(), strict=True))
    jobs = [
        Job(plan.folder, part, plan.paths[begin:end], plan.sample_rate)
        for part, (begin, end) in enumerate(bounds)
        if store_parts.load(plan.folder, part, end - begin) is None
    ]
    if jobs:
        source = sum(
            int(plan.sizes[plan.first[job.number] : plan.first[job.number + 1]].sum()) for job in jobs
        )
        _announce(jobs, plan, source)
        wanted = num_workers if num_workers is not None else parallel.num_cores()
        workers = wanted if source > FEW_BYTES else 0
        counts = parallel.each(store_parts.decode, jobs, workers, "decoding audio")
        parallel.advancing(counts, "decoding", sum(len(job.paths) for job in jobs), progress)

    parts = [store_parts.load(plan.folder, part, end - begin) for part, (begin, end) in enumerate(bounds)]
    whole = [part for part in parts if part is not None]
    if len(whole) != len(parts):
        raise ValueError(
            f"Parts of {plan.folder} vanished while it was built: keep it to dfx, and start again."
        )
    lengths = np.concatenate([part.lengths for part in whole])
    checksums = np.concatenate([part.checksums for part in whole])
    # Only those of bad files: NumPy gives every string the room of the longest.
    reasons = np.concatenate([part.reasons[part.lengths == BAD] for part in whole])
    bad = np.flatnonzero(lengths == BAD)
    index = Index(plan.first, lengths, checksums, bad, reasons)
    facts = {
        "sample_rate": plan.sample_rate,
        "files": len(lengths),
        "bad_files": len(bad),
        "hours": round(store_parts.num_samples(lengths) / plan.sample_rate / 3600, 3),
        "first_file": plan.paths[0],
        "decoders": {name: importlib.metadata.version(name) for name in ("soundfile", "soxr", "av")},
    }
    (plan.folder / "store.json").write_text(json.dumps(facts, indent=2))
    temporary = plan.folder / f"index.{os.getpid()}.tmp"
    with temporary.open("wb") as file:
        np.savez(file, **index._asdict())
    temporary.replace(plan.folder / "index.npz")
    return index


def _announce(jobs: list[Job], plan: Plan, source: int) -> None:
    """Say what is about to be written, or refuse where the disk is too small for it."""
    paths = [path for job in jobs for path in job.paths]
    estimate = int(source * _growth(paths[:: max(1, len(paths) // PROBED_FILES)], plan.sample_rate))
    free = shutil.disk_usage(plan.folder).free
    if estimate > free:
        raise ValueError(
            f"{len(paths)} files take about {_mib(estimate)} as {plan.sample_rate} Hz waveforms, but {plan.folder} has "
            f"{_mib(free)} free. Free some room, or give another folder by $DFX_CACHE or cache=."
        )
    parallel.say(
        f"Decoding {len(paths)} files ({_mib(source)}), once, to about {_mib(estimate)} in {plan.folder}"
    )


def _growth(paths: list[str], sample_rate: int) -> float:
    """Decoded bytes for each byte of source, from the headers of some files."""
    source, decoded = 0, 0.0
    for path in paths:
        with contextlib.suppress(audio.AudioError, OSError):
            info = audio.probe(path)
            if info.num_samples:
                source += Path(path).stat().st_size
                decoded += info.num_samples / info.sample_rate * sample_rate * SAMPLE_BYTES
    return decoded / source if source else 2.0  # FLAC about halves speech


def _mib(size: int) -> str:
    digits = 0 if size > 10 << 20 else 1
    return f"{size / 2**20:,.{digits}f} MiB"
