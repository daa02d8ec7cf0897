"""Fingerprint of a clip, to find its copies, and the mean and deviation of its cepstra.

NumPy and SciPy only: worker processes import this module, and torch takes seconds to load in each of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NUM_CEPSTRA = 20
NUM_LFCC = 2 * NUM_CEPSTRA  # mean and deviation of each
WINDOW_MS, HOP_MS, FFT_SIZE, PRE_EMPHASIS = 20, 10, 512, 0.97
FINGERPRINT_BANDS = 8
FINGERPRINT_SLOTS = 32
FINGERPRINT_SIZE = FINGERPRINT_BANDS * FINGERPRINT_SLOTS
FINGERPRINT_HZ = (100.0, 3400.0)  # the telephone band, so that a copy at 8 kHz is found
FINGERPRINT_FLOOR = 1e-5  # 50 dB below the strongest cell, to ignore noise that a codec adds or removes
ACTIVE = (0.01, 0.99)  # the active part lies between these shares of the summed amplitude


class SpectralSummary(NamedTuple):
    """Cepstral statistics and fingerprint of a clip, computed by `ClipSpectra`.

    Attributes:
        lfcc: (40,) mean and standard deviation of 20 linear-frequency cepstra.
        fingerprint: (256,) int8, levels of 8 bands in 32 time slots, without the mean of each band; 0 for silence.
        start_s: where the active part begins, in seconds.
        active_s: length of the active part.
    """

    lfcc: Floats
    fingerprint: NDArray[np.int8]
    start_s: float
    active_s: float


class ClipSpectra:
    """Accumulator for the cepstral statistics and the fingerprint of one clip, fed block by block.

    Memory grows by 3 kB for each second of audio. Cepstra: windows of 20 ms every 10 ms, pre-emphasis .97, 20
    triangular filters from 0 Hz to half the sample rate, logarithm, orthonormal DCT. Fingerprint: log energies of bands
    from 100 to 3,400 Hz in equal slots of the active part. A copy at another gain or sample rate has the same
    fingerprint, a copy through a codec nearly the same.
    """

    def __init__(self, sample_rate: int) -> None:
        self._size, self._hop = sample_rate * WINDOW_MS // 1000, sample_rate * HOP_MS // 1000
        self._window = np.hamming(self._size).astype(np.float32)
        self._fft = max(FFT_SIZE, scipy.fft.next_fast_len(self._size, real=True))
        hz = scipy.fft.rfftfreq(self._fft, 1 / sample_rate)
        edges = np.linspace(0, sample_rate / 2, NUM_CEPSTRA + 2)
        rising = (hz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
        falling = (edges[2:, None] - hz) / (edges[2:] - edges[1:-1])[:, None]
        triangles = np.maximum(0, np.minimum(rising, falling))
        cuts = np.geomspace(*FINGERPRINT_HZ, FINGERPRINT_BANDS + 1)
        bands = (hz >= cuts[:-1, None]) & (hz < cuts[1:, None])
        self._bank = np.concatenate([triangles, bands]).T.astype(np.float32)
        self._last = np.float32(0)
        self._rest = np.zeros(0, np.float32)
        self._count = 0
        self._sum = np.zeros((2, NUM_CEPSTRA))
        self._bands: list[Floats] = []

    def add(self, block: Floats) -> None:
        """Add the next block of the clip, (samples,)."""
        if not len(block):
            return
        before = np.concatenate([[self._last], block[:-1]]).astype(np.float32)
        samples = np.concatenate([self._rest, block - np.float32(PRE_EMPHASIS) * before])
        self._last = block[-1]
        count = max(0, (len(samples) - self._size) // self._hop + 1)
        self._rest = samples[count * self._hop :]
        if count:
            self._take(np.lib.stride_tricks.sliding_window_view(samples, self._size)[:: self._hop][:count])

    def summary(self) -> SpectralSummary:
        """Return the cepstral statistics and the fingerprint of all samples so far."""
        if not self._count:
            self._take(np.pad(self._rest, (0, self._size - len(self._rest)))[None])
        mean = self._sum[0] / self._count
        deviation = np.sqrt(np.maximum(0, self._sum[1] / self._count - mean**2))
        return SpectralSummary(np.concatenate([mean, deviation]).astype(np.float32), *self._fingerprint())

    def _take(self, frames: Floats) -> None:
        spectrum = scipy.fft.rfft(frames * self._window, self._fft, axis=1)
        energies = (spectrum.real**2 + spectrum.imag**2) @ self._bank
        cepstra = scipy.fft.dct(np.log(energies[:, :NUM_CEPSTRA] + 1e-10), axis=1, norm="ortho")
        self._count += len(frames)
        self._sum += cepstra.sum(axis=0, dtype=np.float64), (cepstra.astype(np.float64) ** 2).sum(axis=0)
        self._bands.append(energies[:, NUM_CEPSTRA:])

    def _fingerprint(self) -> tuple[NDArray[np.int8], float, float]:
        energies = np.concatenate(self._bands).astype(np.float64)
        amplitude = np.cumsum(np.sqrt(energies.sum(axis=1)))
        seconds = HOP_MS / 1000
        if amplitude[-1] == 0:
            return np.zeros(FINGERPRINT_SIZE, np.int8), 0.0, 0.0
        begin, end = np.searchsorted(amplitude / amplitude[-1], ACTIVE)
        active = energies[begin : end + 1]
        # Means over slots of equal length; the edge of a slot may lie inside a frame.
        summed = np.vstack([np.zeros(FINGERPRINT_BANDS), np.cumsum(active, axis=0)])
        cuts = np.linspace(0, len(active), FINGERPRINT_SLOTS + 1)
        at = np.column_stack(
            [np.interp(cuts, np.arange(len(summed)), summed[:, band]) for band in range(FINGERPRINT_BANDS)]
        )
        slots = np.diff(at, axis=0)
        level = np.log10(slots + slots.max() * FINGERPRINT_FLOOR)
        level -= level.mean(axis=0)
        largest = np.abs(level).max()
        scaled = np.rint(level * (127 / largest)) if largest > 0 else level
        return scaled.astype(np.int8).ravel(), float(begin * seconds), float(len(active) * seconds)
