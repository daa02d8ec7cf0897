"""The work of one process of an audit: measure the clips of one part of the waveform store, and write what was found.

Worker processes import this module: it must stay free of torch and pandas.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfx import audio
from dfx.audio.measures import SCALARS, Clip
from dfx.audio.spectrum import FINGERPRINT_SIZE, NUM_LFCC, Describer, Description
from dfx.audio.store_parts import SAMPLE_BYTES

BLOCK_SECONDS = 10.0
UNKNOWN_BITS = 0  # bit depth of a lossy format
BITS = {"pcm_s8": 8, "pcm_u8": 8, "pcm_16": 16, "pcm_24": 24, "pcm_32": 32, "float": 32, "double": 64} | {
    "ulaw": 8,
    "alaw": 8,
}


class Job(NamedTuple):
    """One part: its files in order, and where the store keeps their waveforms."""

    notes: Path  # to be written
    paths: list[str]
    data: Path  # samples of the part, 16 bit
    lengths: list[int]  # of each clip in it; -1 for a bad file
    bad: dict[int, str]  # reasons of bad files, by place; a decoder that one crashed is not to meet it again
    sample_rate: int


def measure(job: Job) -> int:
    """Measure one part and write it, atomically; returns its number of files.

    The arrays of the file are `digest`, `sample_rate`, `channels`, `bits`, `format`, `num_samples`, `reason` ("" for a
    good file), each of `clip.SCALARS`, `lfcc`, `fingerprint`, `start_s`, `active_s` (see `spectrum.Description`), and
    `seconds`, the processor time that it took.
    """
    began = time.process_time()
    count = len(job.paths)
    table: dict[str, NDArray[Any]] = {
        "digest": np.zeros(count, np.uint64),
        "num_samples": np.zeros(count, np.int64),
        **{name: np.zeros(count, np.int32) for name in ("sample_rate", "channels", "bits")},
        **{name: np.full(count, np.nan, np.float32) for name in (*SCALARS, "start_s", "active_s")},
        "lfcc": np.full((count, NUM_LFCC), np.nan, np.float32),
        "fingerprint": np.zeros((count, FINGERPRINT_SIZE), np.int8),
    }
    formats, reasons = [""] * count, [""] * count
    start = 0
    for row, path in enumerate(job.paths):
        if row in job.bad:
            reasons[row] = job.bad[row]
            continue
        try:
            info = audio.probe(path)
            clip = Clip(info.sample_rate)
            formats[row] = info.format
            table["sample_rate"][row] = info.sample_rate
            table["channels"][row] = info.channels
            table["bits"][row] = BITS.get(info.format.rpartition("/")[2], UNKNOWN_BITS)
            for block in audio.read_blocks(path, info.sample_rate, BLOCK_SECONDS):
                clip.add(block)
        except audio.AudioError as error:
            reasons[row] = error.reason
        else:
            table["digest"][row] = clip.digest
            table["num_samples"][row] = clip.num_samples
            for name, value in clip.measures().items():
                table[name][row] = value
        length = job.lengths[row]
        if length > 0 and not reasons[row]:
            described = _describe(job.data, start, length, job.sample_rate)
            for name, entry in described._asdict().items():
                table[name][row] = entry
        start += max(length, 0)
    table |= {"format": np.array(formats, np.str_), "reason": np.array(reasons, np.str_)}
    table["seconds"] = np.array(time.process_time() - began)
    write(job.notes, table)
    return count


def write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write an .npz file, whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _describe(data: Path, start: int, length: int, sample_rate: int) -> Description:
    """Description of one clip of a part of the store, read block by block."""
    describer = Describer(sample_rate)
    size = round(BLOCK_SECONDS * sample_rate)
    with data.open("rb") as file:
        file.seek(start * SAMPLE_BYTES)
        for done in range(0, length, size):
            samples = np.fromfile(file, "<i2", min(size, length - done))
            describer.add(samples.astype(np.float32) / np.float32(audio.FULL_SCALE))
    return describer.done()
