"""The steps of conditioning for a clip: which they are, what is measured for them, what they make of it.

Levels are in dB of the RMS, 0 dB = amplitude 1. Samples may exceed 1 after a gain: they are not clipped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfx.audio.low_pass import TRANSITION, LowPass, Read, Waveform

FRAME_SECONDS = 0.01  # over which the level of a stretch is taken
PIECE_FRAMES = 5000  # measured at once: bounds the memory that a clip of hours takes
MAX_GAIN = 100.0  # 40 dB; a clip that needs more is no speech but the rounding of 16 bits


class Conditions(NamedTuple):
    """What is done to every clip; None leaves a step out.

    Attributes:
        bandwidth_hz: low-pass: from here up 80 dB are taken away, up to 1/80 of the sample rate below it nothing.
        trim_db: both ends are cut up to the first and from the last 10 ms that come this close to the loudest.
        loudness_db: level that a clip is brought to; one of digital silence stays as it is, none gains over 40 dB.
    """

    bandwidth_hz: float | None = None
    trim_db: float | None = None
    loudness_db: float | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Conditions:
        """Those of the node `conditioning`; what it does not name is left out."""
        values = (options.get(name) for name in cls._fields)
        return cls(*(None if value is None else float(value) for value in values))

    def problems(self, sample_rate: float) -> Iterator[str]:
        """A sentence for each value that cannot be, beginning with its name."""
        low, high = 2 * TRANSITION * sample_rate, sample_rate / 2
        if self.bandwidth_hz is not None and not low <= self.bandwidth_hz <= high:
            yield (
                f"bandwidth_hz={self.bandwidth_hz:g}: a low-pass at {sample_rate:g} Hz ends between {low:g} and "
                f"{high:g} Hz; use a frequency from there, or null."
            )
        if self.trim_db is not None and not 0 < self.trim_db < math.inf:
            yield (
                f"trim_db={self.trim_db:g}: it is how far below the loudest 10 ms silence begins; use a positive "
                "number such as 40, or null."
            )
        if self.loudness_db is not None and not -100 <= self.loudness_db <= 0:
            yield (
                f"loudness_db={self.loudness_db:g}: it is an RMS level below full scale; use a number from -100 to 0 "
                "such as -23, or null."
            )


class Span(NamedTuple):
    """What is kept of a clip, samples `start` to `stop`, and the factor that brings it to its level."""

    start: int
    stop: int
    gain: float


class Chain:
    """The steps for clips of one sample rate.

    Raises:
        ValueError: if a value cannot be.
    """

    def __init__(self, conditions: Conditions, sample_rate: int) -> None:
        for problem in conditions.problems(sample_rate):
            raise ValueError(problem)
        self.conditions = conditions
        self.frame = max(1, round(FRAME_SECONDS * sample_rate))
        bandwidth = conditions.bandwidth_hz
        self.low_pass = None if bandwidth is None else LowPass(bandwidth, sample_rate)

    @property
    def measures(self) -> bool:
        """Whether a clip has to be looked at as a whole first."""
        return self.conditions.trim_db is not None or self.conditions.loudness_db is not None

    def measure(self, read: Read, length: int) -> Span:
        """Where a clip of `length` samples begins and ends, and its gain."""
        if not self.measures or length <= 0:
            return Span(0, length, 1.0)
        energy = self._frame_energies(read, length)
        start, stop, gain = 0, length, 1.0
        trim_db, loudness_db = self.conditions.trim_db, self.conditions.loudness_db
        if trim_db is not None:
            sizes = np.full(len(energy), float(self.frame))
            sizes[-1] = length - (len(energy) - 1) * self.frame
            power = energy / sizes
            kept = np.flatnonzero(
                power >= power.max() * 10 ** (-trim_db / 10)
            )  # the loudest always, so never none
            energy = energy[kept[0] : kept[-1] + 1]
            start, stop = int(kept[0]) * self.frame, min(int(kept[-1] + 1) * self.frame, length)
        if loudness_db is not None and energy.any():
            rms = math.sqrt(float(energy.sum()) / (stop - start))
            gain = min(10 ** (loudness_db / 20) / rms, MAX_GAIN)
        return Span(start, stop, gain)

    def read(self, read: Read, length: int, span: Span, start: int, stop: int) -> Waveform:
        """Samples `start` to `stop` of what the span keeps of a clip, at its level."""
        start, stop = span.start + start, span.start + stop
        waveform = self._filtered(read, length, start, stop)
        return waveform if span.gain == 1 else np.multiply(waveform, span.gain, dtype=np.float32)

    def _filtered(self, read: Read, length: int, start: int, stop: int) -> Waveform:
        if self.low_pass is None:
            return read(start, stop - start)
        return self.low_pass.read(read, length, start, stop)

    def _frame_energies(self, read: Read, length: int) -> NDArray[np.float64]:
        energies = []
        piece = PIECE_FRAMES * self.frame
        for start in range(0, length, piece):
            waveform = self._filtered(read, length, start, min(start + piece, length))
            frames = np.pad(waveform, (0, -len(waveform) % self.frame)).reshape(-1, self.frame)
            energies.append(np.square(frames, dtype=np.float64).sum(axis=1))
        return np.concatenate(energies)


def condition(waveform: Waveform, sample_rate: int, conditions: Conditions) -> Waveform:
    """A whole clip, conditioned, as a `ConditionedStore` gives it.

    Args:
        waveform: (samples,) float32.
        sample_rate: in Hz.
        conditions: what to do to it.

    Returns:
        (samples,) float32, fewer where its ends were cut.

    Raises:
        ValueError: if a value of the conditions cannot be.
    """
    chain = Chain(conditions, sample_rate)

    def read(start: int, num_samples: int) -> Waveform:
        return waveform[start : start + num_samples]

    span = chain.measure(read, len(waveform))
    return chain.read(read, len(waveform), span, 0, span.stop - span.start)
