"""Low-bit-rate codecs: transform coding (MDCT), and mu-law coding of samples.

Source:
    The transform: Princen and Bradley 1986. Noise where coefficients were rounded away: Opus, RFC 6716, 4.3.4.
    The logarithmic law: ITU-T G.711.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import fft, signal

from dfx.datasets.synthesis.frames import Real, cut_frames, overlap_add_frames


def transform_codec(
    waveform: Real, rng: np.random.Generator, hop: int = 320, bands: int = 21, step: float = 1.8
) -> Real:
    """Encode and decode a waveform with coarsely quantised MDCT coefficients; noise replaces zeros."""
    window = np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop)).astype(np.float32)
    coefficients = mdct(cut_frames(waveform, 2 * hop, hop) * window)
    edges = np.unique(np.round(hop * np.linspace(0, 1, bands + 1) ** 1.7).astype(np.int64))
    for low, high in pairwise(edges):
        band = coefficients[:, low:high]
        gain = np.sqrt(np.mean(band**2, axis=1, keepdims=True)) + 1e-9
        size = step * 2 ** (np.round(2 * np.log2(gain)) / 2)
        levels = np.sign(band) * np.floor(np.abs(band) / size + 0.4)
        noise = rng.uniform(-0.6, 0.6, band.shape) * size
        coefficients[:, low:high] = np.where(levels == 0, noise, levels * size)
    return overlap_add_frames(imdct(coefficients) * window, hop, hop, len(waveform))


def mu_law(waveform: Real, rng: np.random.Generator, bits: int = 4, mu: float = 255.0) -> Real:
    """Quantise the pre-emphasised waveform to few mu-law levels, with random rounding as in WaveNet."""
    emphasised = signal.lfilter([1.0, -0.9], [1.0], waveform)
    peak = np.abs(emphasised).max() + 1e-9
    companded = np.sign(emphasised) * np.log1p(mu * np.abs(emphasised) / peak) / np.log1p(mu)
    half = 2 ** (bits - 1)
    rounded = np.floor(companded * half + rng.random(len(waveform))) / half
    expanded = np.sign(rounded) * np.expm1(np.abs(rounded) * np.log1p(mu)) / mu * peak
    rebuilt: Real = signal.lfilter([1.0], [1.0, -0.9], expanded).astype(np.float32)
    return rebuilt


def mdct(frames: Real) -> Real:
    """Modified discrete cosine transform (frames, hop) of windowed frames (frames, 2 hop), by a DCT-IV."""
    a, b, c, d = np.split(frames, 4, axis=1)
    folded = np.hstack([-c[:, ::-1] - d, a - b[:, ::-1]])
    coefficients: Real = fft.dct(folded, type=4, norm="ortho", axis=1)
    return coefficients


def imdct(coefficients: Real) -> Real:
    """Inverse MDCT (frames, 2 hop); after windowing and overlap-add it restores the waveform."""
    first, second = np.split(fft.dct(coefficients, type=4, norm="ortho", axis=1), 2, axis=1)
    return np.hstack([second, -second[:, ::-1], -first[:, ::-1], -first])
