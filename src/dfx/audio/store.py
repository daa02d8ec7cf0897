"""Waveform store: audio files are decoded once to 16-bit samples; later runs read slices of these samples.

A store is a folder `<cache>/waveforms/v3-<rate>[-<conditioning>]`, shared by all corpora of that rate: recordings are
found by path, size and modification time, so a corpus that grows by one file decodes one file. Nothing in it
is overwritten (`parts`); `store_builder` adds what is missing.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx import audio, files
from dfx.audio import parts, store_builder
from dfx.audio.conditioning import Conditions
from dfx.audio.part_catalogue import PartCatalogue
from dfx.audio.part_writing import SAMPLE_BYTES
from dfx.audio.parts import BAD, DEFAULT_LIMITS, DecodingLimits
from dfx.tables.manifest import FileList, Manifest

VERSION = 3  # of format and decoder; increase it to decode all files again
MAX_OPEN_FILES = 256  # for each process, which may open 1,024


class StoreReader:
    """Base class of stores: reads slices of the stored array of each manifest row.

    Slices are read with `pread`. Unlike pages of a memory map, these do not count as memory of the process, and a crop
    takes half the time. Each process opens the files itself, at most 256 at a time.

    Attributes:
        path: folder of the store.
        lengths: (rows,) in samples (of maps: in frames), -1 without an array.
        recordings: (rows,) number of each row's recording in the catalogue.
    """

    unit = "samples"

    def __init__(self, catalogue: PartCatalogue, rows: NDArray[np.intp]) -> None:
        self.path = catalogue.folder
        self.catalogue = catalogue
        self.lengths: NDArray[np.int64] = catalogue.length[rows]
        self.recordings = rows
        self._open_none()

    def __len__(self) -> int:
        return len(self.lengths)

    def __getstate__(self) -> dict[str, Any]:
        own = ("_descriptors", "_lock", "_pid", "_close")
        return {name: value for name, value in vars(self).items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open_none()

    def read_bytes(self, row: int, start: int, num_units: int | None) -> bytes:
        """Read up to `num_units` samples (or frames) of one row, from `start`, as bytes.

        Raises:
            ValueError: if `start` is outside the row, or the store was changed or damaged while it was in use.
        """
        length = int(self.lengths[row])
        if not 0 <= start <= length:
            raise ValueError(
                f"Row {row} has {max(length, 0)} {self.unit}, but was to be read from {start}: start inside it."
            )
        stop = length if num_units is None else min(length, start + num_units)
        try:
            data = self._pread(row, start, stop)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                raise
            with self._lock:  # another thread would read where the catalogue is not filled yet
                self.catalogue.reload()  # the part was merged into another one, or rebuilt
                data = self._pread(row, start, stop)
        if len(data) != (stop - start) * self.catalogue.unit_bytes:
            raise ValueError(
                f"{self.catalogue.path_of(self.recordings[row])} ends early: it was changed while in use. Start again: "
                "opening a store repairs it."
            )
        return data

    def _pread(self, row: int, start: int, stop: int) -> bytes:
        recording, unit = self.recordings[row], self.catalogue.unit_bytes
        if os.getpid() != self._pid:  # before the lock, which another thread may have held at the fork
            self._open_none()
        with self._lock:  # another thread might close the file
            if self.catalogue.length[recording] != self.lengths[row]:  # the catalogue was read again since
                raise ValueError(
                    f"Row {row} is gone from {self.path}: it was changed while in use. Start again: opening a store "
                    "makes what is missing."
                )
            descriptor = self._descriptor(str(self.catalogue.path_of(recording)))
            offset = (int(self.catalogue.offset[recording]) + start) * unit
            return os.pread(descriptor, (stop - start) * unit, offset)

    def _descriptor(self, path: str) -> int:
        if path in self._descriptors:
            self._descriptors.move_to_end(path)
        else:
            descriptor = os.open(path, os.O_RDONLY)
            self._descriptors[path] = descriptor
            if len(self._descriptors) > MAX_OPEN_FILES:
                os.close(self._descriptors.popitem(last=False)[1])
        return self._descriptors[path]

    def _open_none(self) -> None:
        self._descriptors: OrderedDict[str, int] = OrderedDict()
        self._lock, self._pid = threading.RLock(), os.getpid()
        self._close = weakref.finalize(self, _close_all, self._descriptors)


class WaveformStore(StoreReader):
    """Store of the decoded waveform of each manifest row, read in slices.

    Attributes:
        sample_rate: of every waveform, in Hz.
        bad: table id, path, reason of the bad files.
        bad_files: path of this table as CSV; written if there are bad files.
    """

    def __init__(
        self, catalogue: PartCatalogue, rows: NDArray[np.intp], sample_rate: int, manifest: Manifest | FileList
    ) -> None:
        super().__init__(catalogue, rows)
        self.sample_rate = sample_rate
        self._scales = catalogue.scale[rows]
        bad = np.flatnonzero(self.lengths == BAD)
        reasons = [catalogue.reasons.get(recording, "") for recording in rows[bad].tolist()]
        table = manifest.table.iloc[bad][["id", "path"]].reset_index(drop=True)
        self.bad = table.assign(reason=pd.Series(reasons, dtype=object))
        listed = "\0".join(self.bad.to_numpy().ravel())
        digest = hashlib.sha256(listed.encode(errors="surrogateescape"))
        self.bad_files = self.path / f"bad_files-{digest.hexdigest()[:8]}.csv"

    def read(self, row: int, start: int = 0, num_samples: int | None = None) -> NDArray[np.float32]:
        """Read up to `num_samples` samples of one row, from `start`, as (samples,) float32.

        Raises:
            ValueError: if the file of the row is bad, or `start` is outside the clip.
        """
        if self.lengths[row] == BAD:
            raise ValueError(
                f"Row {row} is a bad file and has no waveform: leave out rows of length {BAD}. The reason is in "
                f"{self.bad_files}."
            )
        data = self.read_bytes(row, start, num_samples)
        return audio.from_int16(np.frombuffer(data, "<i2"), self._scales[row])


def open_store(
    manifest: Manifest | FileList,
    sample_rate: int,
    conditions: Conditions = Conditions(),  # noqa: B008  (immutable)
    cache: str | Path | None = None,
    max_bad_fraction: float = 0.01,
    num_workers: int | None = None,
    progress: bool = True,
    limits: DecodingLimits = DEFAULT_LIMITS,
) -> WaveformStore:
    """Open the waveform store of a manifest, and decode the files that are missing in it.

    Several processes and hosts may call it at the same time: they share the work.

    Args:
        manifest: the corpus, or files without labels; rows may share files.
        sample_rate: of the waveforms, in Hz.
        conditions: conditioning of every clip after decoding; stored in a separate folder.
        cache: folder of the stores; the default one if None.
        max_bad_fraction: a larger fraction of bad files is an error.
        num_workers: decoding processes; one for each core if None, in this process if 0.
        progress: show a bar and messages on stderr.
        limits: of decoding a file; one beyond them is bad.

    Raises:
        ValueError: if too many files are bad, the disk is too small or fills up, a condition is invalid, or
            decoding processes are killed.
    """
    catalogue, rows = plain_store_catalogue(manifest, sample_rate, cache, limits)
    catalogue.remove_damaged()
    batches = parts.part_batches(catalogue.sizes)
    store_builder.build_decoded_store(catalogue, batches, sample_rate, num_workers, progress)
    # Another command may have decoded a longer clip with another limit.
    too_long = np.flatnonzero(catalogue.length > limits.hours * 3600 * sample_rate).tolist()
    reason = f"{audio.too_long_reason(limits.hours)} [{limits.text()}]"
    catalogue.exclude(dict.fromkeys(too_long, reason))
    store = WaveformStore(catalogue, rows, sample_rate, manifest)
    if conditions != Conditions():
        conditioned = PartCatalogue(
            catalogue.folder.with_name(f"{catalogue.folder.name}-{conditions.key(sample_rate)}"),
            catalogue.paths,
            catalogue.sizes,
            catalogue.mtimes,
            SAMPLE_BYTES,
        )
        conditioned.remove_damaged()
        conditioned.exclude(catalogue.reasons)
        store_builder.build_conditioned_store(catalogue, conditioned, sample_rate, conditions, num_workers, progress)
        store = WaveformStore(conditioned, rows, sample_rate, manifest)
    _report_bad(store, max_bad_fraction)
    return store


class StoreShard(NamedTuple):
    """Result of `build_store_shard`: folder of the store, and numbers of decoded and bad files.

    Attributes:
        path: folder of the store.
        num_files: files of this shard.
        num_decoded: files that this call decoded.
        num_bad: bad files of this shard.
        whole: whether all other shards are complete too.
    """

    path: Path
    num_files: int
    num_decoded: int
    num_bad: int
    whole: bool


def build_store_shard(
    manifest: Manifest,
    sample_rate: int,
    shard: int,
    num_shards: int,
    cache: str | Path | None = None,
    num_workers: int | None = None,
    progress: bool = True,
    limits: DecodingLimits = DEFAULT_LIMITS,
) -> StoreShard:
    """Decode one share of the files of a manifest into the waveform store; there are `num_shards` shares.

    Shards are numbered from 0; all of them together are the files that `open_store` decodes. For processes or hosts on
    which the files and the cache have the same paths.

    Raises:
        ValueError: as `open_store`.
    """
    catalogue, _ = plain_store_catalogue(manifest, sample_rate, cache, limits)
    batches = parts.part_batches(catalogue.sizes)[shard::num_shards]
    decoded = store_builder.build_decoded_store(catalogue, batches, sample_rate, num_workers, progress)
    mine = {recording for batch in batches for recording in batch.tolist()}
    num_bad = len(mine & catalogue.reasons.keys())
    return StoreShard(catalogue.folder, len(mine), decoded, num_bad, not len(catalogue.missing()))


def plain_store_catalogue(
    manifest: Manifest | FileList, sample_rate: int, cache: str | Path | None, limits: DecodingLimits
) -> tuple[PartCatalogue, NDArray[np.intp]]:
    """Open the catalogue of a store without conditioning; also return the number of each manifest row in it."""
    rows, unique = pd.factorize(manifest.table["path"], sort=True)
    paths = unique.tolist()
    folder = files.cache_dir(cache) / "waveforms" / f"v{VERSION}-{sample_rate}"
    return PartCatalogue(folder, paths, *parts.stat_recordings(paths), SAMPLE_BYTES, limits), rows


def recordings_fingerprint(manifest: Manifest) -> str:
    """Hash (16 hex digits) of the sizes and modification times of all files of a manifest, without their paths."""
    sizes, times = parts.stat_recordings(manifest.table["path"].tolist())
    return hashlib.sha256(sizes.tobytes() + times.tobytes()).hexdigest()[:16]


def _report_bad(store: WaveformStore, max_bad_fraction: float) -> None:
    """Write the list of bad files, and raise a ValueError if there are too many."""
    if not len(store.bad):
        return
    if not store.bad_files.exists():  # a cache that is shared may be read-only
        with files.atomic_write(store.bad_files) as temporary:  # file names need not be UTF-8
            store.bad.to_csv(temporary, index=False, errors="backslashreplace")
    fraction = len(store.bad) / len(store)
    if fraction > max_bad_fraction:
        first = "; ".join(f"{row.path}: {row.reason}" for row in store.bad.head(3).itertuples())
        raise ValueError(
            f"{len(store.bad)} of {len(store)} files ({fraction:.1%}) are bad, more than max_bad_fraction "
            f"{max_bad_fraction:.1%} allows: {first}. All are listed in {store.bad_files}: repair them, take them out "
            f"of the corpus, or go on without them, max_bad_fraction={np.ceil(100 * fraction) / 100:g} (dfx.train: "
            "data.max_bad_fraction). If the files were not to blame (permissions, a library), "
            "`python -m dfx.prepare verify=true` tries them again."
        )


def _close_all(descriptors: OrderedDict[str, int]) -> None:
    for descriptor in descriptors.values():
        os.close(descriptor)
    descriptors.clear()
