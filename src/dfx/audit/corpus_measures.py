"""Measure every file of a corpus once, on all cores, and store the measurements in the cache folder.

The measures are Parquet tables in `<cache>/measures/`, addressed by path, size and modification time of the file: a
corpus that grows by one recording measures one file. A table holds what an audit measured in some seconds; if two
tables hold the same file, the first by name is used. The next audit tries a file again that could not be measured.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx import console, files
from dfx.audio import parts
from dfx.audio.conditioning import Conditions
from dfx.audio.measures import COLUMNS, measure_clips, unusable_clip
from dfx.audio.parts import DEFAULT_LIMITS, DecodingLimits
from dfx.audio.store import WaveformStore, open_store
from dfx.audio.workers import num_cores, run_in_workers
from dfx.tables.manifest import Manifest

VERSION = 1  # increase it when a measure changes: then everything is measured again
FEW_FILES = 200  # fewer files are measured faster than worker processes start
SAVE_SECONDS = 10.0  # time between two tables; a killed audit loses at most this much work


class CorpusMeasures(NamedTuple):
    """Measurements of every clip of a corpus.

    Attributes:
        table: the manifest's table with the measures (`COLUMNS`; they replace metadata of the same name), and `good`:
            whether the clip can be used.
        lfcc: (rows, 40), NaN for bad files.
        fingerprint: (rows, 256), 0 for bad files.
        store: the waveforms that a detector gets.
    """

    table: pd.DataFrame
    lfcc: NDArray[np.float32]
    fingerprint: NDArray[np.int8]
    store: WaveformStore


def measure_corpus(
    manifest: Manifest,
    sample_rate: int,
    cache: str | Path | None = None,
    num_workers: int | None = None,
    progress: bool = True,
    limits: DecodingLimits = DEFAULT_LIMITS,
) -> CorpusMeasures:
    """Measure all files of a corpus; earlier measurements are read from the cache folder.

    Args:
        manifest: the utterances.
        sample_rate: sample rate of the waveform store, in Hz.
        cache: cache folder of dfx; the default one if None.
        num_workers: processes; one for each core if None.
        progress: show a bar on stderr.
        limits: of decoding a file; one beyond them is bad.
    """
    how = sample_rate, Conditions(), cache, 1.0, num_workers, progress, limits
    store = open_store(manifest, *how)
    folder = files.cache_dir(cache) / "measures" / f"v{VERSION}-{sample_rate}"
    bad = store.bad.drop_duplicates("path").set_index("path")["reason"]
    catalogue = store.catalogue
    wanted = pd.DataFrame({"size": catalogue.sizes, "time": catalogue.mtimes}, index=catalogue.paths)
    wanted = wanted.drop(bad.index)  # a file that crashed a decoder is not opened again
    with files.locked_folder(folder, "measuring the corpus", console.say, f"{manifest.hash}.lock"):
        files.remove_abandoned_files(folder)
        known = _read(folder, wanted)
        missing = wanted[~wanted.index.isin(known["path"][known["reason"] == ""])]
        if len(missing):
            workers = num_cores() if num_workers is None else num_workers
            counts = _measure(missing, sample_rate, workers, folder, limits.hours)
            console.progress_bar(counts, "measuring", len(missing), progress)
            known = _read(folder, wanted)
    refused = _table([{"path": path, **unusable_clip(reason)} for path, reason in bad.items()])
    rows = pd.concat([known, refused]).set_index("path").loc[manifest.table["path"]]
    lfcc, fingerprint = _matrix(rows.pop("lfcc"), np.float32), _matrix(rows.pop("fingerprint"), np.int8)
    rows = rows.astype({"format": "category", "reason": "category"})
    table = manifest.table.assign(**{str(name): rows[name].array for name in rows})
    table["good"] = (table["reason"] == "").to_numpy() & (store.lengths > 0)
    return CorpusMeasures(table, lfcc, fingerprint, store)


def _measure(
    wanted: pd.DataFrame, sample_rate: int, num_workers: int, folder: Path, max_hours: float
) -> Generator[int]:
    """Measure files in batches and store the measurements; yield the number of files of each batch."""
    batches = [wanted.index[rows].tolist() for rows in parts.part_batches(wanted["size"].to_numpy())]
    workers = num_workers if len(wanted) >= FEW_FILES else 0
    measure = partial(measure_clips, sample_rate=sample_rate, max_hours=max_hours)
    measured = run_in_workers(measure, batches, workers, "measuring the corpus")
    rows: list[dict[str, Any]] = []
    saved = time.monotonic()
    try:
        with contextlib.closing(measured):
            for found in measured:
                rows += found
                if time.monotonic() - saved >= SAVE_SECONDS:
                    _write(folder, rows, wanted)
                    rows, saved = [], time.monotonic()
                yield len(found)
    finally:
        _write(folder, rows, wanted)


def _write(folder: Path, rows: list[dict[str, Any]], wanted: pd.DataFrame) -> None:
    if rows:
        table = _table(rows)
        state = wanted.loc[table["path"]]
        table = table.assign(size=state["size"].to_numpy(), time=state["time"].to_numpy())
        place = folder / f"{parts.new_part_name()}.parquet"
        with files.full_disk_is_an_error(folder, "measures"), files.atomic_write(place) as temporary:
            table.to_parquet(temporary)


def _read(folder: Path, wanted: pd.DataFrame) -> pd.DataFrame:
    tables = [_table([])]
    for name in parts.part_names(folder):
        try:
            table = pd.read_parquet(folder / f"{name}.parquet")
        except (OSError, ValueError):  # a power cut can damage what was written last
            parts.remove_part(folder, name)
            continue
        state = wanted.reindex(table["path"])
        same = (state["size"].to_numpy() == table["size"]) & (state["time"].to_numpy() == table["time"])
        tables.append(table[same].drop(columns=["size", "time"]))
    return pd.concat(tables).sort_values("reason", kind="stable").drop_duplicates("path")  # "", good, comes first


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["path", *COLUMNS]).astype(COLUMNS)


def _matrix(column: pd.Series, dtype: type) -> NDArray[Any]:
    return np.frombuffer(b"".join(column), dtype).reshape(len(column), -1)
