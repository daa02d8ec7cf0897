"""How long the audit of a large corpus of like clips would take on this machine."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from dfx import audio
from dfx.audio.spectrum import FINGERPRINT_SIZE
from dfx.audio.workers import num_cores
from dfx.audit.collect import Measures

MANY = 600_000  # utterances; the evaluation set of ASVspoof 2021 DF
TIMED_FILES = 50
TIMED_SECONDS = 2.0


def estimate(measures: Measures, compared: int, num_workers: int | None) -> dict[str, Any]:
    """Hours for 600,000 clips like these, by part: decoding for the store, measuring, comparing fingerprints.

    Args:
        measures: of the corpus.
        compared: pairs of fingerprints that were compared.
        num_workers: processes; as many as there are cores if None.
    """
    workers = max(1, num_cores() if num_workers is None else num_workers)
    count = len(measures.table)
    decoding = _decoding_s(measures) * MANY / workers
    measuring = measures.seconds / count * MANY / workers
    comparing = compared * (MANY / count) ** 2 * 2 * FINGERPRINT_SIZE / _operations_per_s()
    hours = {
        name: seconds / 3600
        for name, seconds in (("decoding", decoding), ("measuring", measuring), ("comparing", comparing))
    }
    total = sum(hours.values())
    parts = ", ".join(f"{name} {_time(part)}" for name, part in hours.items())
    return {
        "clips": MANY,
        "workers": workers,
        "hours": total,
        "parts": hours,
        "text": f"An audit of {MANY:,} clips like these takes about {_time(total)} on {workers} "
        f"free core{'s' if workers > 1 else ''} ({parts}); again, minutes. Training needs the decoding too.",
    }


def _decoding_s(measures: Measures) -> float:
    """Seconds that one clip takes to be decoded and resampled, of a few that lie apart."""
    good = measures.table.loc[measures.table["good"], "path"]
    began, done = time.process_time(), 0
    for path in good.iloc[:: max(1, len(good) // TIMED_FILES)]:
        for _ in audio.read_blocks(path, measures.store.sample_rate):
            if time.process_time() - began > TIMED_SECONDS:
                break
        done += 1
        if time.process_time() - began > TIMED_SECONDS:
            break
    return (time.process_time() - began) / max(1, done)


def _operations_per_s() -> float:
    """Multiplications and additions a second in a product of matrices like those of the comparison."""
    left, right = np.ones((1024, FINGERPRINT_SIZE), np.float32), np.ones((FINGERPRINT_SIZE, 4096), np.float32)
    left @ right  # warms up
    began = time.process_time()
    (left @ right >= 0.5).sum()
    return 2 * left.shape[0] * right.size / (time.process_time() - began)


def _time(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{max(1, round(60 * hours))} min"
