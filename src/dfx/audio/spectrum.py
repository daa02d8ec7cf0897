"""Spectra of whole recordings, block by block: where the band ends, cepstral statistics, a fingerprint.

NumPy and SciPy only: worker processes import this module, and torch takes seconds to load in each of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MEAN_WINDOW = 1024  # samples; at 16 kHz bins of 16 Hz, fine enough to place the end of a band
BAND_DROP_DB = 65.0  # under the strongest bin: below the noise of most rooms, above that of 16 bits
CLIFF_SPAN_HZ = 400.0  # averaged on either side of a cliff
CLIFF_GAP_HZ = 100.0  # left out on either side: no filter falls at once

NUM_CEPSTRA = 20
NUM_LFCC = 2 * NUM_CEPSTRA  # mean and deviation of each
WINDOW_MS, HOP_MS, FFT_SIZE, PRE_EMPHASIS = 20, 10, 512, 0.97

FINGERPRINT_BANDS = 8
FINGERPRINT_SLOTS = 32
FINGERPRINT_SIZE = FINGERPRINT_BANDS * FINGERPRINT_SLOTS
FINGERPRINT_HZ = (100.0, 3400.0)  # what survives a telephone, so that a copy at 8 kHz is found
FINGERPRINT_FLOOR = (
    1e-5  # 50 dB under the strongest cell: noise that a codec adds or takes away does not count
)
ACTIVE = (
    0.01,
    0.99,
)  # a clip is what lies between these shares of its summed amplitude: steadier than a threshold


class MeanSpectrum:
    """Mean power spectrum of a recording that comes in blocks; Hann windows of 1,024 samples, half overlapped."""

    def __init__(self) -> None:
        self._window = np.hanning(MEAN_WINDOW).astype(np.float32)
        self._power = np.zeros(MEAN_WINDOW // 2 + 1)
        self._count = 0
        self._rest = np.zeros(0, np.float32)

    def add(self, block: Floats) -> None:
        """The next samples (samples,)."""
        samples = np.concatenate([self._rest, block])
        hop = MEAN_WINDOW // 2
        count = max(0, (len(samples) - MEAN_WINDOW) // hop + 1)
        self._rest = samples[count * hop :]
        if count:
            frames = np.lib.stride_tricks.sliding_window_view(samples, MEAN_WINDOW)[::hop][:count]
            self._sum(frames)

    def power(self) -> NDArray[np.float64]:
        """(513,) mean over the windows so far; of a shorter clip the one window, filled up with zeros."""
        if not self._count:
            self._sum(np.pad(self._rest, (0, MEAN_WINDOW - len(self._rest)))[None])
        return self._power / self._count

    def _sum(self, frames: Floats) -> None:
        spectrum = scipy.fft.rfft(frames * self._window, axis=1)
        self._power += (spectrum.real**2 + spectrum.imag**2).sum(axis=0, dtype=np.float64)
        self._count += len(frames)


def bandwidth_hz(power: NDArray[np.float64], sample_rate: int) -> float:
    """Highest frequency of a mean power spectrum that is less than 65 dB under its strongest bin; 0 for silence."""
    if not power.any():
        return 0.0
    level = power > power.max() * 10 ** (-BAND_DROP_DB / 10)
    return float(np.flatnonzero(level)[-1] * sample_rate / MEAN_WINDOW)


def cliff_db(power: NDArray[np.float64], sample_rate: int) -> float:
    """Steepest fall of a mean power spectrum above 2 kHz, in dB; 0 for silence.

    The mean level of 400 Hz against that of 400 Hz higher up, 200 Hz left out between. Speech falls by 10 to 20 dB;
    more is the low-pass of an MP3 encoder, a resampler or a telephone.
    """
    step = sample_rate / MEAN_WINDOW
    span, gap = max(1, round(CLIFF_SPAN_HZ / step)), round(CLIFF_GAP_HZ / step)
    first = round(2000 / step)
    size = len(power) - 2 * (span + gap) - first
    if size <= 0 or not power.any():
        return 0.0
    level = 10 * np.log10(power + power.max() * 1e-12)
    mean = np.convolve(level, np.ones(span) / span, "valid")[first:]
    return float(max(0.0, np.max(mean[:size] - mean[span + 2 * gap :][:size])))


class Description(NamedTuple):
    """What `Describer` says of a clip.

    Attributes:
        lfcc: (40,) mean and standard deviation of 20 linear-frequency cepstra.
        fingerprint: (256,) int8 of 8 bands in 32 slots of time, mean removed from each band; zeros for silence.
        start_s: where the clip becomes active, in seconds.
        active_s: length of the active part.
    """

    lfcc: Floats
    fingerprint: NDArray[np.int8]
    start_s: float
    active_s: float


class Describer:
    """Cepstral statistics and fingerprint of a clip that comes in blocks; memory grows by 3 kB a second.

    The cepstra: windows of 20 ms each 10 ms, pre-emphasis .97, 20 triangles from 0 Hz to half the sample rate,
    logarithm, orthonormal DCT. The fingerprint: energies of bands from 100 to 3,400 Hz, the active part of the clip
    cut into slots, logarithms. It is the same for a copy at another gain or sample rate, and nearly so after a codec.
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
        """The next samples (samples,)."""
        if not len(block):
            return
        before = np.concatenate([[self._last], block[:-1]]).astype(np.float32)
        samples = np.concatenate([self._rest, block - np.float32(PRE_EMPHASIS) * before])
        self._last = block[-1]
        count = max(0, (len(samples) - self._size) // self._hop + 1)
        self._rest = samples[count * self._hop :]
        if count:
            self._take(np.lib.stride_tricks.sliding_window_view(samples, self._size)[:: self._hop][:count])

    def done(self) -> Description:
        """The description of all that came; of a clip shorter than a window as if zeros followed."""
        if not self._count:
            self._take(np.pad(self._rest, (0, self._size - len(self._rest)))[None])
        mean = self._sum[0] / self._count
        deviation = np.sqrt(np.maximum(0, self._sum[1] / self._count - mean**2))
        return Description(np.concatenate([mean, deviation]).astype(np.float32), *self._fingerprint())

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
        # Means over slots of equal length, of which an edge may lie inside a frame.
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
