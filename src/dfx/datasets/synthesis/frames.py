"""Short-time processing in NumPy: frames, overlap-add, STFT, and time-varying filters.

They use FFTs and element-wise arithmetic, no matrix products, so that results do not depend on the threads of a BLAS
library.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft

Real = npt.NDArray[np.floating]
Complex = npt.NDArray[np.complexfloating]


def hann_window(size: int) -> Real:
    """Periodic Hann window (size,); windows at a distance of size / 2 add up to one."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def cut_frames(waveform: Real, size: int, hop: int) -> Real:
    """Cut a waveform into frames (frames, size), one every `hop` samples; the first is centred on sample 0."""
    count = -(-len(waveform) // hop) + 1
    padded = np.zeros((count - 1) * hop + size, dtype=np.float32)
    padded[size // 2 : size // 2 + len(waveform)] = waveform
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]


def overlap_add_frames(frames: Real, hop: int, offset: int, num_samples: int) -> Real:
    """Overlap-add frames (frames, size) to a waveform (num_samples,) without its first `offset` samples."""
    count, size = frames.shape
    parts = -(-size // hop)
    padded = np.zeros((count, parts * hop), dtype=np.float32)
    padded[:, :size] = frames
    total = np.zeros((count + parts - 1, hop), dtype=np.float32)
    for part in range(parts):
        total[part : part + count] += padded[:, part * hop : (part + 1) * hop]
    flat = total.reshape(-1)[offset : offset + num_samples]
    return np.pad(flat, (0, num_samples - len(flat)))


def stft(waveform: Real, size: int, hop: int, window: Real) -> Complex:
    """Short-time Fourier transform (frames, size / 2 + 1) of a waveform, with centred frames."""
    spectra: Complex = fft.rfft(cut_frames(waveform, size, hop) * window, axis=1)
    return spectra


def istft(spectra: Complex, size: int, hop: int, window: Real, num_samples: int) -> Real:
    """Inverse STFT (num_samples,) with the least squared error (Griffin and Lim 1984, eq. 6)."""
    frames = fft.irfft(spectra, size, axis=1) * window
    weight = overlap_add_frames(np.broadcast_to(window**2, frames.shape), hop, size // 2, num_samples)
    return overlap_add_frames(frames, hop, size // 2, num_samples) / np.maximum(weight, 1e-3)


def filter_frames(parts: list[tuple[Real, Complex]], hop: int, fft_size: int) -> Real:
    """Filter each source signal (samples,) with a time-varying filter, and add the results.

    Each part is a source and the frequency responses (frames, fft_size / 2 + 1) at samples 0, hop, 2 hop … The outputs
    of neighbouring filters are cross-faded over one hop. Impulse responses longer than fft_size - 2 hop wrap around.
    """
    num_samples = len(parts[0][0])
    window = hann_window(2 * hop)
    spectrum: Complex | float = 0.0
    for source, response in parts:
        spectra = fft.rfft(cut_frames(source, 2 * hop, hop) * window, fft_size, axis=1)
        spectrum = spectrum + spectra * response[: len(spectra)]
    return overlap_add_frames(fft.irfft(spectrum, fft_size, axis=1), hop, hop, num_samples)


def minimum_phase(log_magnitude: Real) -> Complex:
    """Compute minimum-phase responses (frames, bins) from natural-log magnitudes, by the folded cepstrum."""
    size = 2 * (log_magnitude.shape[1] - 1)
    cepstrum = fft.irfft(log_magnitude, size, axis=1)
    cepstrum[:, 1 : size // 2] *= 2
    cepstrum[:, size // 2 + 1 :] = 0
    response: Complex = np.exp(fft.rfft(cepstrum, axis=1))
    return response


def smooth_track(track: Real, size: int) -> Real:
    """Smooth a track (steps, …) over time with a Hann kernel of `size` steps; its end values are repeated."""
    kernel = np.hanning(size + 2)[1:-1]
    padded = np.pad(track, [(size // 2, size - 1 - size // 2)] + [(0, 0)] * (track.ndim - 1), mode="edge")
    total = np.zeros_like(track, dtype=np.float64)
    for shift, weight in enumerate(kernel / kernel.sum()):
        total += weight * padded[shift : shift + len(track)]
    return total
