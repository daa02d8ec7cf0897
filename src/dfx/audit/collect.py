"""The measures of a whole corpus: made in parts by all cores, kept below the waveform store, read back as one table."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import union_categoricals

from dfx import console, files
from dfx.audio import store_parts
from dfx.audio.measures import SCALARS
from dfx.audio.store import WaveformStore, open_store
from dfx.audio.workers import each, num_cores
from dfx.audit import measure
from dfx.tables.manifest import Manifest

VERSION = 1  # of the measures: a new number measures everything anew
FEW_CLIPS = 200  # fewer are measured faster than worker processes start
NUMBERS = ("sample_rate", "channels", "bits", "num_samples", "digest", *SCALARS, "start_s", "active_s")
WORDS = ("format", "reason")


class Measures:
    """What was measured of the rows of a manifest.

    Attributes:
        table: the manifest's, with `NUMBERS` and `WORDS` (see `measure.measure`; as categories, since as text each
            would take a hundred bytes), and `good`: whether a clip can be used.
        store: the waveforms that a detector would get.
        seconds: processor time that the measuring took, whenever that was.
    """

    def __init__(self, manifest: Manifest, store: WaveformStore, files: list[Path]):
        self.store = store
        self._files = files
        # The store holds every file once, sorted by path, whatever the order of the rows.
        self._rows = pd.factorize(manifest.table["path"], sort=True)[0]
        self.seconds = float(sum(part.sum() for part in self._parts("seconds")))
        words = {
            name: union_categoricals([pd.Categorical(part) for part in self._parts(name)]) for name in WORDS
        }
        # What is measured takes the place of metadata of the same name, for example a corpus' own sample_rate.
        self.table = manifest.table.assign(
            **{name: self.array(name) for name in NUMBERS},
            **{name: categories[self._rows] for name, categories in words.items()},
        )
        self.table["good"] = (self.table["reason"] == "").to_numpy() & (store.lengths > 0)

    def array(self, name: str) -> NDArray[Any]:
        """(rows, ...) one measure of every row: `lfcc` (rows, 40), `fingerprint` (rows, 256), ..."""
        return np.concatenate(list(self._parts(name)))[self._rows]

    def _parts(self, name: str) -> Iterator[NDArray[Any]]:
        for file in self._files:
            with np.load(file) as arrays:
                yield np.atleast_1d(arrays[name])


def collect(
    manifest: Manifest,
    sample_rate: int,
    cache: str | Path | None = None,
    num_workers: int | None = None,
    progress: bool = True,
) -> Measures:
    """Measure what has not been measured yet of a manifest's clips; a killed audit goes on where it was.

    Args:
        manifest: the utterances.
        sample_rate: of the waveform store, in Hz.
        cache: folder of the stores; the usual one if None.
        num_workers: processes; as many as there are cores if None.
        progress: show a bar on stderr.
    """
    store = open_store(
        manifest, sample_rate, cache, max_bad_fraction=1.0, num_workers=num_workers, progress=progress
    )
    folder = store.path / f"audit-{VERSION}"
    with files.locked(folder, "measuring the corpus", console.say):
        for left_over in folder.glob("*.tmp"):
            left_over.unlink()
        jobs = _jobs(store, manifest, folder)
        missing = [job for job in jobs if not _whole(job)]
        count = sum(len(job.paths) for job in missing)
        if missing:
            workers = num_cores() if num_workers is None else num_workers
            workers = workers if count >= FEW_CLIPS else 0
            done = each(measure.measure, missing, workers, "measuring the corpus")
            console.advancing(done, "measuring", count, progress)
    return Measures(manifest, store, [job.notes for job in jobs])


def _jobs(store: WaveformStore, manifest: Manifest, folder: Path) -> list[measure.Job]:
    """A job for each part of the store, which is of a size to be done, and lost, at once."""
    paths = sorted(set(manifest.table["path"]))
    index = store_parts.load_arrays(store.path / "index.npz")
    reasons = dict(zip(index["bad"].tolist(), index["reasons"].tolist(), strict=True))
    return [
        measure.Job(
            folder / f"part-{number:05d}.npz",
            paths[begin:end],
            store_parts.data_path(store.path, number),
            index["lengths"][begin:end].tolist(),
            {file - begin: reasons[file] for file in range(begin, end) if file in reasons},
            store.sample_rate,
        )
        for number, (begin, end) in enumerate(pairwise(index["first"].tolist()))
    ]


def _whole(job: measure.Job) -> bool:
    """Whether a part was measured; a power cut can leave a file that is none."""
    try:
        with job.notes.open("rb") as file, np.load(file) as arrays:  # a damaged one stays open otherwise
            return len(arrays["num_samples"]) == len(job.paths)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return False
