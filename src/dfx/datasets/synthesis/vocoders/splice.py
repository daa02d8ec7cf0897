"""Concatenative resynthesis: short units of speech are replaced by nearby units and joined."""

from __future__ import annotations

import numpy as np

from dfx.datasets.synthesis.frames import Real
from dfx.datasets.synthesis.speaker import SAMPLE_RATE


def splice(
    waveform: Real,
    rng: np.random.Generator,
    unit_seconds: tuple[float, float] = (0.015, 0.035),
    shift_seconds: float = 0.03,
    fade_seconds: float = 0.001,
) -> Real:
    """Replace short units of speech by nearby units, joined by cross-fades: pitch and formants jump there."""
    num_samples, fade = len(waveform), int(fade_seconds * SAMPLE_RATE)
    longest = int(unit_seconds[1] * SAMPLE_RATE) + fade
    padded = np.pad(waveform, (0, longest))
    result = np.zeros(num_samples + longest, dtype=np.float32)
    ramp = (np.arange(fade, dtype=np.float32) + 0.5) / fade
    start = 0
    while start < num_samples:
        length = int(rng.uniform(*unit_seconds) * SAMPLE_RATE)
        moved = start + int(rng.uniform(-shift_seconds, shift_seconds) * SAMPLE_RATE)
        source = min(max(moved, 0), num_samples)
        piece = padded[source : source + length + fade].copy()
        if start:
            piece[:fade] *= ramp
        piece[length:] *= ramp[::-1][: len(piece) - length]
        result[start : start + len(piece)] += piece
        start += length
    return result[:num_samples]
