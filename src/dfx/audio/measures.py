"""What can be measured of a recording without listening to it, at its own sample rate."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from dfx import audio
from dfx.audio.spectrum import MeanSpectrum, bandwidth_hz, cliff_db

Floats = NDArray[np.float32]

FRAME_S = 0.01
SILENCE_DB = 40.0  # under the loudest frame: what is not speech
NOISE_PERCENTILE = 5
LEAST_POWER = 1e-12  # -120 dB: what digital silence is given
VALUES = 1 << 16
COARSE = 14.5  # bits; short or loud clips come down to 15 by chance, which is no trace of a coding
FLAT_RUN = 3  # equal samples in a row, at the highest level of the clip: its tops were cut off
FLAT_LEAST = 0.05  # of full scale; in fainter clips such runs come by chance

SCALARS = (
    *("duration", "leading_silence", "trailing_silence", "loudness", "peak", "noise_floor"),
    *("dc", "zeros", "clipped", "bandwidth", "relative_bandwidth", "cliff", "effective_bits"),
)


class Clip:
    """The measures of one clip that comes in blocks; memory grows by a kilobyte a second.

    A stereo file is measured as what a detector gets of it, the mean of its channels.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.num_samples = 0
        self._sum = self._squares = 0.0
        self._zeros = 0
        self._peak = np.float32(0)
        self._flat = 0  # samples in flat runs at the peak
        self._values = np.zeros(VALUES, np.int64)
        self._frame = max(1, round(FRAME_S * sample_rate))
        self._rest = np.zeros(0, np.float32)
        self._powers: list[NDArray[np.float64]] = []
        self._spectrum = MeanSpectrum()
        self._digest = hashlib.blake2b(digest_size=8)

    def add(self, block: Floats) -> None:
        """The next samples (samples,), full scale 1."""
        self.num_samples += len(block)
        self._sum += float(block.sum(dtype=np.float64))
        self._squares += float(np.dot(block, block))
        self._zeros += int(np.count_nonzero(block == 0))
        self._count_flat(block)
        samples = audio.to_int16(block)
        self._digest.update(samples.tobytes())
        self._values += np.bincount(samples.astype(np.int64) + VALUES // 2, minlength=VALUES)
        rest = np.concatenate([self._rest, block])
        whole = len(rest) // self._frame * self._frame
        self._powers.append(np.square(rest[:whole].reshape(-1, self._frame), dtype=np.float64).mean(axis=1))
        self._rest = rest[whole:]
        self._spectrum.add(block)

    @property
    def digest(self) -> int:
        """64 bits that two clips share if their samples are the same to 16 bits, at whatever rate."""
        return int.from_bytes(self._digest.digest(), "little")

    def measures(self) -> dict[str, float]:
        """The value of each of `SCALARS`; only of a clip that has samples."""
        powers = np.concatenate(self._powers)
        if not len(powers):
            powers = np.square(self._rest, dtype=np.float64).mean(keepdims=True)
        levels = 10 * np.log10(powers + LEAST_POWER)
        loud = np.flatnonzero(levels > levels.max() - SILENCE_DB)
        spectrum = self._spectrum.power()
        bandwidth = bandwidth_hz(spectrum, self.sample_rate)
        return {
            "duration": self.num_samples / self.sample_rate,
            "leading_silence": float(loud[0]) * FRAME_S,
            "trailing_silence": float(len(levels) - 1 - loud[-1]) * FRAME_S,
            "loudness": 10 * np.log10(self._squares / self.num_samples + LEAST_POWER),
            "peak": 20 * np.log10(float(self._peak) + LEAST_POWER**0.5),
            "noise_floor": float(np.percentile(levels, NOISE_PERCENTILE)),
            "dc": abs(self._sum) / self.num_samples,
            "zeros": self._zeros / self.num_samples,
            "clipped": self._flat / self.num_samples if self._peak >= FLAT_LEAST else 0.0,
            "bandwidth": bandwidth,
            "relative_bandwidth": 2 * bandwidth / self.sample_rate,
            "cliff": cliff_db(spectrum, self.sample_rate),
            "effective_bits": self._effective_bits(),
        }

    def _count_flat(self, block: Floats) -> None:
        """Samples in runs of three or more at the peak; a clip that was made softer after clipping counts too."""
        level = np.abs(block)
        peak = level.max(initial=np.float32(0))
        if peak > self._peak:
            self._peak, self._flat = peak, 0
        if peak == self._peak and peak > 0:
            edges = np.flatnonzero(np.diff(np.concatenate([[False], level == peak, [False]])))
            runs = edges[1::2] - edges[::2]
            self._flat += int(runs[runs >= FLAT_RUN].sum())

    def _effective_bits(self) -> float:
        """16 less the bits that the small samples do not use: about 8 after 8-bit coding, 11 after mu-law.

        Of the values up to the median magnitude, how many occur, against how many would by chance at 16 bits. Zeros
        are left out, since digital silence is no coarse coding.
        """
        middle = VALUES // 2
        values = self._values.copy()
        values[middle] = 0
        folded = values[middle:]
        folded = folded + np.append(0, values[middle - 1 : 0 : -1])
        below = np.cumsum(folded)
        if not below[-1]:
            return 16.0
        median = int(np.searchsorted(below, below[-1] / 2))
        span = values[middle - median : middle + median + 1]
        used = np.count_nonzero(span) / (2 * median)
        chance = -np.expm1(-span.sum() / (2 * median))
        bits = float(16 + np.log2(min(1.0, used / chance)))
        return bits if bits < COARSE else 16.0
