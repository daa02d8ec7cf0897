"""What a waveform store has to be, what it is, and whether it is still whole."""

from __future__ import annotations

import hashlib
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfx.audio import store_parts
from dfx.audio.store_parts import SAMPLE_BYTES

CHECK_BYTES = 256 << 20  # read and compared at every opening: 0.2 s, and all of a store of 2 hours
VERSION = 2  # of the decoding and the layout on disk: a new number builds every store anew
NUM_STAT_THREADS = 8  # hides the latency of network file systems; costs nothing on local ones


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


def look_at(paths: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sizes and modification times (ns); -1 and 0 for a file that cannot be looked at."""

    def look(chunk: list[str]) -> list[tuple[int, int]]:
        found = []
        for path in chunk:
            try:
                status = os.stat(path)  # noqa: PTH116  (pathlib takes three times as long, 600,000 times)
                found.append((status.st_size, status.st_mtime_ns))
            except OSError:
                found.append((-1, 0))
        return found

    chunks = [paths[i : i + 4096] for i in range(0, len(paths), 4096)]
    with ThreadPoolExecutor(NUM_STAT_THREADS) as pool:
        facts = np.concatenate([np.array(chunk, np.int64) for chunk in pool.map(look, chunks)])
    return facts[:, 0].copy(), facts[:, 1].copy()


def key(paths: list[str], sizes: NDArray[np.int64], times: NDArray[np.int64], sample_rate: int) -> str:
    """Name of a store: another one when a file, the rate or dfx's decoding changes."""
    digest = hashlib.sha256(f"{VERSION} {sample_rate}\0".encode())
    digest.update("\0".join(paths).encode(errors="surrogateescape"))
    digest.update(sizes.tobytes() + times.tobytes())
    return digest.hexdigest()[:20]
