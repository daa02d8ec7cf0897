"""Vocoders that keep the STFT magnitudes and generate new phases.

Source:
    Griffin and Lim 1984, "Signal estimation from modified short-time Fourier transform"; its fast form: Perraudin,
    Balazs and Søndergaard 2013. Sinusoids: McAulay and Quatieri 1986, the phase of a peak advanced by its frequency.
"""

from __future__ import annotations

import numpy as np

from dfx.datasets.synthesis.frames import Complex, Real, hann_window, istft, stft
from dfx.datasets.synthesis.speaker import SAMPLE_RATE


def griffin_lim(
    waveform: Real,
    rng: np.random.Generator,
    bands: int = 80,
    size: int = 1024,
    hop: int = 256,
    iterations: int = 16,
) -> Real:
    """Griffin-Lim vocoder: estimates phases for a mel spectrogram of `bands` bands by iteration."""
    window, momentum = hann_window(size), np.float32(0.9)
    magnitude = through_mel(np.abs(stft(waveform, size, hop, window)), bands)
    spectra: Complex = magnitude * _random_phases(magnitude.shape, rng)
    previous = np.zeros_like(spectra)
    for _ in range(iterations):
        consistent = stft(istft(spectra, size, hop, window, len(waveform)), size, hop, window)
        ahead = consistent + momentum * (consistent - previous)
        spectra = magnitude * ahead / np.maximum(np.abs(ahead), np.float32(1e-9))
        previous = consistent
    return istft(spectra, size, hop, window, len(waveform))


def sinusoidal(waveform: Real, rng: np.random.Generator, size: int = 512, hop: int = 128, peaks: int = 60) -> Real:
    """Sinusoidal vocoder: the strongest peaks of a frame become sinusoids with new phases; noise fills the gaps."""
    window = hann_window(size)
    magnitude = np.abs(stft(waveform, size, hop, window))
    frames, bins = magnitude.shape
    left, centre, right = magnitude[:, :-2], magnitude[:, 1:-1], magnitude[:, 2:]
    heights = np.where((centre > left) & (centre >= right), centre, 0.0)
    weakest = np.partition(heights, -peaks, axis=1)[:, -peaks, None]
    is_peak = np.zeros((frames, bins), dtype=bool)
    is_peak[:, 1:-1] = (heights > 0) & (heights >= weakest)
    level = np.log(magnitude + 1e-9)
    bend = np.minimum(level[:, :-2] - 2 * level[:, 1:-1] + level[:, 2:], -1e-6)
    offset = np.zeros((frames, bins))
    offset[:, 1:-1] = np.clip(0.5 * (level[:, :-2] - level[:, 2:]) / bend, -0.5, 0.5)
    cycles_per_sample = (np.arange(bins) + np.where(is_peak, offset, 0.0)) / size
    phase = 2 * np.pi * (np.cumsum(cycles_per_sample * hop, axis=0) + rng.random(bins))
    # The main lobe is three bins wide: neighbours of a peak belong to it.
    lobe = is_peak.copy()
    lobe[:, 1:] |= is_peak[:, :-1]
    lobe[:, :-1] |= is_peak[:, 1:]
    spectra = magnitude * np.where(lobe, np.exp(1j * phase), _random_phases(magnitude.shape, rng))
    return istft(spectra.astype(np.complex64), size, hop, window, len(waveform))


def through_mel(magnitude: Real, bands: int) -> Real:
    """Convert STFT magnitudes (frames, bins) to triangular mel bands and back to bins."""
    bins = magnitude.shape[1]
    mel = np.log1p(np.linspace(0, SAMPLE_RATE / 2, bins) / 700)
    position = mel / mel[-1] * (bands - 1)
    left = np.minimum(position.astype(np.int64), bands - 2)
    share = (position - left).astype(np.float32)
    total, weight = np.zeros((len(magnitude), bands), np.float32), np.zeros(bands, np.float32)
    for bin_, (band, part) in enumerate(zip(left, share, strict=True)):
        total[:, band] += (1 - part) * magnitude[:, bin_]
        total[:, band + 1] += part * magnitude[:, bin_]
        weight[band] += 1 - part
        weight[band + 1] += part
    # Bands narrower than a bin are empty: interpolate them.
    known = weight > 0
    level = np.log(total[:, known] / weight[known] + np.float32(1e-7))
    place = np.interp(position, np.flatnonzero(known), np.arange(int(known.sum())))
    below = np.minimum(place.astype(np.int64), level.shape[1] - 2)
    part = (place - below).astype(np.float32)
    spread: Real = np.exp(level[:, below] * (1 - part) + level[:, below + 1] * part)
    return spread


def _random_phases(shape: tuple[int, ...], rng: np.random.Generator) -> Complex:
    phases: Complex = np.exp(2j * np.pi * rng.random(shape, dtype=np.float32)).astype(np.complex64)
    return phases
