"""RawBoost: distortions of the raw waveform that imitate telephony and recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

Waveform = NDArray[np.float32]

# Values of the authors.
MAX_TAPS = 101  # of one notch; the authors draw 10 to 100
NUM_NOTCHES = 5  # of a filter
NUM_POWERS = 5  # of the waveform, filtered and added
IMPULSIVE_GAIN = 2.0  # largest impulse relative to the sample that it hits


@dataclass(eq=False)
class RawBoost:
    """Add convolutive, impulsive and stationary noise to a waveform, one after the other.

    Source: Tak et al. 2022, "RawBoost: a raw data boosting and augmentation method applied to automatic speaker
    verification anti-spoofing", sections 3.1 to 3.3; the numbers are those of the authors. `convolutive` and
    `impulsive` together are their algorithm 5 (logical access), `stationary` alone is 3 (deepfake).

    Args:
        sample_rate: Hz.
        convolutive: linear and non-linear convolutive noise.
        impulsive: impulsive, signal-dependent noise.
        stationary: stationary, signal-independent noise.
        max_impulsive_percent: samples that impulsive noise may hit.
        min_snr_db: of stationary noise.
        max_snr_db: of stationary noise.
    """

    sample_rate: int
    convolutive: bool = True
    impulsive: bool = True
    stationary: bool = False
    max_impulsive_percent: float = 10.0
    min_snr_db: float = 10.0
    max_snr_db: float = 40.0

    def __call__(self, waveform: Waveform, generator: np.random.Generator) -> Waveform:
        """Return the distorted waveform (samples,), in the same length and within [-1, 1]."""
        distorted = waveform.astype(np.float64)
        if self.convolutive:
            distorted = self._convolved(distorted, generator)
        if self.impulsive:
            distorted = self._with_impulses(distorted, generator)
        if self.stationary:
            distorted = self._with_noise(distorted, generator)
        return distorted.astype(np.float32)

    def _convolved(self, waveform: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
        size = fft.next_fast_len(len(waveform) + NUM_NOTCHES * MAX_TAPS, real=True)
        spectrum = np.zeros(size // 2 + 1, dtype=np.complex128)
        raised = np.ones_like(waveform)
        for power in range(1, NUM_POWERS + 1):
            # The harmonics of the powers are 5 to 20 dB below the linear part.
            gain_db = 0.0 if power == 1 else -generator.uniform(5.0, 20.0)
            raised *= waveform
            response = self._notches(generator, gain_db)
            # Each power has a filter of another length: without the delay of half of it, they would be out of step.
            centred = np.roll(np.pad(response, (0, size - len(response))), -(len(response) // 2))
            spectrum += fft.rfft(raised, size) * fft.rfft(centred)
        total = fft.irfft(spectrum, size)[: len(waveform)]
        return _within_full_scale(total - total.mean())

    def _with_impulses(self, waveform: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
        share = generator.uniform(0, self.max_impulsive_percent) / 100
        hit = generator.permutation(len(waveform))[: int(share * len(waveform))]
        strength = generator.uniform(-1, 1, len(hit)) * generator.uniform(-1, 1, len(hit))
        noisy = waveform.copy()
        noisy[hit] += IMPULSIVE_GAIN * strength * waveform[hit]
        return _within_full_scale(noisy)

    def _with_noise(self, waveform: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
        white = generator.standard_normal(len(waveform))
        noise = signal.oaconvolve(white, self._notches(generator, 0.0), mode="same")
        snr_db = generator.uniform(self.min_snr_db, self.max_snr_db)
        power = np.sqrt(np.mean(noise**2)) or 1.0
        level = np.sqrt(np.mean(waveform**2)) * 10 ** (-snr_db / 20)
        return _within_full_scale(waveform + noise / power * level)

    def _notches(self, generator: np.random.Generator, gain_db: float) -> NDArray[np.float64]:
        """Impulse response of a filter with random notches and a maximum gain of `gain_db`."""
        nyquist = self.sample_rate / 2
        response = np.ones(1)
        for _ in range(NUM_NOTCHES):
            centre, width = generator.uniform(20, nyquist), generator.uniform(100, 1000)
            length = int(generator.integers(10, MAX_TAPS)) | 1  # even ones cannot pass the highest frequency
            edges = [max(centre - width / 2, nyquist / 1000), min(centre + width / 2, nyquist * 0.999)]
            response = np.convolve(response, signal.firwin(length, edges, fs=self.sample_rate))
        largest = np.abs(signal.freqz(response, fs=self.sample_rate)[1]).max()
        scaled: NDArray[np.float64] = 10 ** (gain_db / 20) * response / largest
        return scaled


def _within_full_scale(waveform: NDArray[np.float64]) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = waveform / max(1.0, float(np.abs(waveform).max(initial=0.0)))
    return scaled
