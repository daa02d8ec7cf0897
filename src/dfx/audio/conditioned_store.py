"""A waveform store whose clips are conditioned as they are read.

Where a clip begins and ends and its gain are measured once, and kept in the folder of the store as
`conditions-<key>.npz`, one for each choice of options; the low-pass runs on the blocks that a slice touches.
"""

from __future__ import annotations

import copy
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx import console
from dfx.audio import store_parts, workers
from dfx.audio.conditioning import Chain, Conditions, Span
from dfx.audio.low_pass import Read, Waveform
from dfx.audio.store import WaveformStore
from dfx.files import locked
from dfx.tables.manifest import Manifest

VERSION = 1  # of the steps before the gain: a new number measures every clip anew
FILES_PER_JOB = 256


class Spans(NamedTuple):
    """What is kept of each clip: its first sample, its length (-1 for a bad file) and its gain."""

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    gains: NDArray[np.float64]


class ConditionedStore:
    """A waveform store that gives its clips conditioned; to be used like the store itself. Made by `conditioned`.

    Attributes:
        path: folder of the store.
        sample_rate: of every waveform, in Hz.
        lengths: (rows,) in samples, of what is kept; -1 for a bad file.
        bad: table id, path, reason of the bad files.
    """

    def __init__(self, store: WaveformStore, chain: Chain, spans: Spans) -> None:
        self.path = store.path
        self.sample_rate = store.sample_rate
        self.bad = store.bad
        self.lengths = spans.lengths
        self._store = store
        self._chain = chain
        self._spans = spans

    def __len__(self) -> int:
        return len(self.lengths)

    def length(self, row: int) -> int:
        """Samples of one row of the manifest; -1 for a bad file."""
        return int(self.lengths[row])

    def read(self, row: int, start: int = 0, num_samples: int | None = None) -> Waveform:
        """Samples of one row from `start`: `num_samples`, or fewer where the clip ends; (samples,) float32.

        Raises:
            ValueError: if the file of the row is bad, or `start` is outside what is kept of the clip.
        """
        length = self.length(row)
        if length < 0:
            return self._store.read(row)  # says why it cannot be read
        if not 0 <= start <= length:
            raise ValueError(
                f"Row {row} has {length} samples, but was to be read from {start}: start inside it."
            )
        stop = length if num_samples is None else min(length, start + num_samples)
        begin = int(self._spans.starts[row])
        span = Span(begin, begin + length, float(self._spans.gains[row]))
        return self._chain.read(_reader(self._store, row), self._store.length(row), span, start, stop)


Waveforms = WaveformStore | ConditionedStore


def conditioned(
    store: WaveformStore, manifest: Manifest, conditions: Conditions, progress: bool = True
) -> Waveforms:
    """A store whose clips are conditioned; the store itself where there is nothing to do.

    The first time, every clip is measured; several processes may ask at once.

    Args:
        store: the clips as they were decoded.
        manifest: the one that the store was opened with.
        conditions: what to do to each clip.
        progress: show a bar on stderr.

    Raises:
        ValueError: if a value of the conditions cannot be.
    """
    if conditions == Conditions():
        return store
    chain = Chain(conditions, store.sample_rate)
    if not chain.measures:
        return ConditionedStore(store, chain, _whole(store.lengths))
    # By file, as the store keeps them: rows in another order, or several of one file, share what was measured.
    files = pd.factorize(manifest.table["path"], sort=True)[0]
    digest = hashlib.sha256(f"{VERSION} {conditions!r}".encode()).hexdigest()
    kept = store.path / f"conditions-{digest[:16]}.npz"
    rows = np.unique(files, return_index=True)[1]
    spans = _load(kept, store.lengths[rows])
    if spans is None:
        with locked(store.path, "measuring the clips of", console.say):
            # Another process may have measured them while this one waited.
            spans = _load(kept, store.lengths[rows])
            if spans is None:
                for left_over in store.path.glob("conditions-*.tmp"):
                    left_over.unlink(missing_ok=True)
                spans = _measure(store, chain, rows, progress)
                _save(kept, spans)
    return ConditionedStore(
        store, chain, Spans(spans.starts[files], spans.lengths[files], spans.gains[files])
    )


def _measure(store: WaveformStore, chain: Chain, rows: NDArray[np.intp], progress: bool) -> Spans:
    """Spans of the clips of some rows."""
    spans = _whole(store.lengths[rows])

    def work(first: int) -> int:
        own = copy.copy(store)  # opens its files itself: threads must not open one at the same time
        chosen = range(first, min(first + FILES_PER_JOB, len(rows)))
        for number in chosen:
            row = int(rows[number])
            span = chain.measure(_reader(own, row), own.length(row))
            spans.starts[number], spans.gains[number] = span.start, span.gain
            spans.lengths[number] = span.stop - span.start
        return len(chosen)

    # Threads, since nearly all of the time is spent in reading, in FFTs and in sums, which run side by side.
    pool = ThreadPoolExecutor(workers.num_cores())
    try:
        counts = (count for count in pool.map(work, range(0, len(rows), FILES_PER_JOB)))
        console.advancing(counts, "measuring", len(rows), progress)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return spans


def _whole(lengths: NDArray[np.int64]) -> Spans:
    """Spans of clips as they are."""
    return Spans(np.zeros(len(lengths), np.int64), lengths, np.ones(len(lengths)))


def _reader(store: WaveformStore, row: int) -> Read:
    return lambda start, num_samples: store.read(row, start, num_samples)


def _load(path: Path, lengths: NDArray[np.int64]) -> Spans | None:
    """Spans of files of these lengths as they were kept; None where there is nothing whole."""
    arrays = store_parts.load_arrays(path)
    if set(arrays) != set(Spans._fields) or len(arrays["starts"]) != len(lengths):
        return None
    spans = Spans(**arrays)
    # A file that could not be read when the clips were measured may have been decoded since, in a repair of the store.
    fit = ((spans.lengths < 0) == (lengths < 0)) & (spans.starts + spans.lengths <= lengths)
    return spans if fit.all() else None


def _save(path: Path, spans: Spans) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **spans._asdict())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
