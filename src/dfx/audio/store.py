"""The waveform store: files of a manifest decoded once, to 16-bit samples of which later runs read slices.

A store is a folder `<cache>/waveforms/<key>`; the key is a hash of path, size and modification time of every file,
and of the sample rate, so a changed file gives a new store. It holds parts (`store_parts`), `bad_files.csv`,
`store.json` for people, and the index, which is written last: a folder with an index is a finished store.

Slices are read with `pread` from files that stay open. The page cache of the operating system serves them as it
would a memory map, but what was read does not count as memory of the process, and a crop takes half the time.
"""

from __future__ import annotations

import hashlib
import os
import weakref
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx import audio, files
from dfx.audio import store_build, store_index, store_parts
from dfx.audio.store_index import Index, Plan
from dfx.audio.store_parts import BAD, SAMPLE_BYTES
from dfx.tables.manifest import Manifest

SCALE = np.float32(1 / audio.FULL_SCALE)


class WaveformStore:
    """Waveforms of the rows of a manifest, read slice by slice; made by `open_store`.

    Copies sent to other processes open their files themselves.

    Attributes:
        path: folder of the store.
        sample_rate: of every waveform, in Hz.
        lengths: (rows,) in samples, -1 for a bad file.
        bad: table id, path, reason of the bad files.
    """

    def __init__(
        self, path: Path, sample_rate: int, index: Index, manifest: Manifest, rows: NDArray[np.intp]
    ):
        offsets = np.cumsum(np.maximum(index.lengths, 0)) - np.maximum(index.lengths, 0)
        part = np.searchsorted(index.first, np.arange(len(index.lengths)), side="right") - 1
        offsets -= offsets[index.first[:-1]][part]
        self.path = path
        self.sample_rate = sample_rate
        self.lengths: NDArray[np.int64] = index.lengths[rows]
        self.bad = _bad_table(index, manifest, rows)
        self._offsets = offsets[rows]
        self._part = part[rows].astype(np.int32)
        self._open_files()

    def __len__(self) -> int:
        return len(self.lengths)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_files", "_close")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open_files()

    def length(self, row: int) -> int:
        """Samples of one row of the manifest; -1 for a bad file."""
        return int(self.lengths[row])

    def read(self, row: int, start: int = 0, num_samples: int | None = None) -> NDArray[np.float32]:
        """Samples of one row from `start`: `num_samples`, or fewer where the clip ends; (samples,) float32.

        Raises:
            ValueError: if the file of the row is bad, or `start` is outside the clip.
        """
        length = int(self.lengths[row])
        if length == BAD:
            raise ValueError(
                f"Row {row} is a bad file and has no waveform: leave out rows of length {BAD}. "
                f"The reason is in {self.path / 'bad_files.csv'}."
            )
        if not 0 <= start <= length:
            raise ValueError(
                f"Row {row} has {length} samples, but was to be read from {start}: start inside it."
            )
        stop = length if num_samples is None else min(length, start + num_samples)
        size = (stop - start) * SAMPLE_BYTES
        part = int(self._part[row])
        data = os.pread(self._file(part), size, (int(self._offsets[row]) + start) * SAMPLE_BYTES)
        if len(data) != size:
            raise ValueError(
                f"{store_parts.data_path(self.path, part)} ends early: it was changed while in use. Start again: "
                f"opening a store repairs it."
            )
        waveform: NDArray[np.float32] = np.multiply(np.frombuffer(data, "<i2"), SCALE, dtype=np.float32)
        return waveform

    def _open_files(self) -> None:
        self._files: dict[int, int] = {}
        self._close = weakref.finalize(self, _close_all, self._files)

    def _file(self, part: int) -> int:
        descriptor = self._files.get(part)
        if descriptor is None:
            descriptor = os.open(store_parts.data_path(self.path, part), os.O_RDONLY)
            self._files[part] = descriptor
        return descriptor


class Shard(NamedTuple):
    """What `build_shard` did.

    Attributes:
        path: folder of the store.
        num_files: files of this shard.
        num_decoded: those that were not there yet.
        num_bad: how many of this shard are bad.
        whole: whether all other shards are done as well.
    """

    path: Path
    num_files: int
    num_decoded: int
    num_bad: int
    whole: bool


def open_store(
    manifest: Manifest,
    sample_rate: int,
    cache: str | Path | None = None,
    max_bad_fraction: float = 0.01,
    num_workers: int | None = None,
    progress: bool = True,
) -> WaveformStore:
    """Store of a manifest's waveforms; decodes what is not there yet.

    Rows that name the same file share its waveform, and the order of the rows does not matter to the store.

    Args:
        manifest: the utterances.
        sample_rate: rate to resample to, in Hz.
        cache: folder of the stores; `cache_dir()` if None.
        max_bad_fraction: more bad files than this are an error.
        num_workers: processes that decode; as many as there are cores if None. With 0 it is done in this process, which
            a file that crashes its decoder takes along.
        progress: show a bar on stderr.

    Raises:
        ValueError: if too many files are bad, the disk has too little room, or processes that decode are killed.
    """
    plan, rows = _plan(manifest, sample_rate, cache)
    index = store_index.load_index(plan)
    suspects = [] if index is None else store_index.damaged(plan.folder, index)
    if index is None or suspects:
        index = store_build.complete(plan, num_workers, progress, suspects)
    store = WaveformStore(plan.folder, sample_rate, index, manifest, rows)
    _list_bad(store, max_bad_fraction)
    return store


def build_shard(
    manifest: Manifest,
    sample_rate: int,
    shard: int,
    num_shards: int,
    cache: str | Path | None = None,
    num_workers: int | None = None,
    progress: bool = True,
) -> Shard:
    """Do share number `shard`, from 0, of `num_shards` of the decoding that `open_store` would do.

    For processes or hosts that see the same files and the same folder under the same paths. Whichever finishes last
    writes the index; `open_store` decodes what shards have left undone.

    Raises:
        ValueError: if there is no such shard, or as `open_store`.
    """
    check_shard(shard, num_shards)
    plan, _ = _plan(manifest, sample_rate, cache)
    decoded, index = store_build.complete_shard(plan, shard, num_shards, num_workers, progress)
    sizes = np.diff(plan.first)
    mine = range(shard, len(sizes), num_shards)
    parts = [store_parts.load(plan.folder, part, int(sizes[part])) for part in mine]
    bad = sum(int((part.lengths == BAD).sum()) for part in parts if part is not None)
    return Shard(plan.folder, int(sizes[shard::num_shards].sum()), decoded, bad, index is not None)


def check_shard(shard: int, num_shards: int) -> None:
    """Refuse a shard that does not exist.

    Raises:
        ValueError: if it does not.
    """
    if not 0 <= shard < num_shards:
        raise ValueError(
            f"There is no shard {shard} of {num_shards}: they are numbered from 0, so give one from 0 to "
            f"{max(num_shards, 1) - 1}."
        )


def fingerprint(manifest: Manifest) -> str:
    """16 hex digits over size and modification time of every file of a manifest, wherever the files lie."""
    sizes, times = store_index.look_at(manifest.table["path"].tolist())
    return hashlib.sha256(sizes.tobytes() + times.tobytes()).hexdigest()[:16]


def _plan(manifest: Manifest, sample_rate: int, cache: str | Path | None) -> tuple[Plan, NDArray[np.intp]]:
    """The store that a manifest needs, and the number of each row's file in it."""
    rows, unique = pd.factorize(manifest.table["path"], sort=True)
    paths = unique.tolist()
    sizes, times = store_index.look_at(paths)
    root = Path(cache).expanduser() if cache else files.cache_dir()
    folder = root.absolute() / "waveforms" / store_index.key(paths, sizes, times, sample_rate)
    return Plan(folder, sample_rate, paths, sizes, store_parts.plan(sizes)), rows


def _bad_table(index: Index, manifest: Manifest, rows: NDArray[np.intp]) -> pd.DataFrame:
    bad = np.flatnonzero(index.lengths[rows] == BAD)
    table = manifest.table.iloc[bad][["id", "path"]].reset_index(drop=True)
    return table.assign(reason=index.reasons[np.searchsorted(index.bad, rows[bad])].astype(object))


def _list_bad(store: WaveformStore, max_bad_fraction: float) -> None:
    """Write the list of bad files where there is none yet, and refuse a store with too many."""
    listed = store.path / "bad_files.csv"
    if not listed.exists():
        store.bad.to_csv(listed, index=False, errors="backslashreplace")  # file names that are no UTF-8
    fraction = len(store.bad) / len(store)
    if fraction > max_bad_fraction:
        first = "; ".join(f"{row.path}: {row.reason}" for row in store.bad.head(3).itertuples())
        raise ValueError(
            f"{len(store.bad)} of {len(store)} files ({fraction:.1%}) are bad, more than max_bad_fraction "
            f"{max_bad_fraction:.1%} allows: {first}. All are listed in {listed}: repair them, take them out of the "
            f"corpus, or go on without them, max_bad_fraction={np.ceil(100 * fraction) / 100:g} (dfx.train: "
            f"data.max_bad_fraction). If the files were not to blame (permissions, a library), delete {store.path}."
        )


def _close_all(files: dict[int, int]) -> None:
    for descriptor in files.values():
        os.close(descriptor)
    files.clear()
