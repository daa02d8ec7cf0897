"""Copy-synthesis: vocoders that analyse a waveform and rebuild it, as the last stage of speech synthesis does.

Each is a function (waveform (samples,), generator) -> (samples,) at 16 kHz that keeps the length and the words and leaves the
traces of its kind: wrong phases, a smoothed envelope, a buzz, quantised bands, joins.

Source:
    Griffin and Lim 1984; Perraudin et al. 2013 (its fast form). Atal and Hanauer 1971 (LPC). Morise et al. 2016 (WORLD).
    McAulay and Quatieri 1986 (sinusoids).
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from dfx.synthesis.excitation import pulses, track_pitch
from dfx.synthesis.frames import Real, filter_frames, frame, hann, istft, minimum_phase, smooth, stft

SAMPLE_RATE = 16_000
_HOP, _FFT = 80, 1024


def griffin_lim(
    waveform: Real, rng: np.random.Generator, bands: int = 80, size: int = 1024, hop: int = 256, iterations: int = 16
) -> Real:
    """Phases found anew for the magnitudes that a mel spectrogram leaves."""
    window = hann(size)
    magnitude = np.abs(stft(waveform, size, hop, window))
    magnitude = _through_mel(magnitude, bands)
    angles = np.exp(2j * np.pi * rng.random(magnitude.shape, dtype=np.float32)).astype(np.complex64)
    previous = np.zeros_like(angles)
    for _ in range(iterations):
        rebuilt = stft(istft(magnitude * angles, size, hop, window, len(waveform)), size, hop, window)
        ahead = rebuilt + np.float32(0.9) * (rebuilt - previous)
        angles = ahead / np.maximum(np.abs(ahead), np.float32(1e-9))
        previous = rebuilt
    return istft(magnitude * angles, size, hop, window, len(waveform))


def lpc(waveform: Real, rng: np.random.Generator, order: int = 14) -> Real:
    """All-pole filter every 5 ms, driven by pulses where the frame is voiced and by noise where it is not."""
    pitch, voicing = track_pitch(waveform, SAMPLE_RATE, _HOP)
    frames = frame(waveform, 400, _HOP) * hann(400)
    correlation = fft.irfft(np.abs(fft.rfft(frames, _FFT, axis=1)) ** 2, axis=1)[:, : order + 1].astype(np.float64)
    coefficients, error = levinson(correlation)
    response = np.sqrt(error / 150)[:, None] / fft.rfft(coefficients, _FFT, axis=1)
    mix = np.where(voicing > 0.5, 1.0, 0.0)
    return _excite(response, mix[:, None], pitch, len(waveform), rng)


def world(waveform: Real, rng: np.random.Generator, cutoff_hz: float = 0.0) -> Real:
    """Envelope freed of pitch, minimum-phase pulses mixed with noise by the aperiodicity of each band."""
    pitch, voicing = track_pitch(waveform, SAMPLE_RATE, _HOP)
    spectra = np.abs(stft(waveform, 640, _HOP, hann(640)))
    power = np.abs(fft.rfft(frame(waveform, 640, _HOP) * hann(640), _FFT, axis=1)) ** 2
    del spectra
    envelope = _pitch_adaptive_envelope(power / 240, pitch)
    hz = np.arange(_FFT // 2 + 1) * SAMPLE_RATE / _FFT
    if cutoff_hz:
        periodic = np.where(hz[None] < cutoff_hz, 1.0, 0.0) * np.round(voicing)[:, None]
        return _excite(minimum_phase(0.5 * envelope), periodic, pitch, len(waveform), rng)
    periodic = voicing[:, None] * (1 / (1 + (hz[None] / (2500 + 3500 * voicing[:, None])) ** 4))
    return _excite(minimum_phase(0.5 * envelope), periodic, pitch, len(waveform), rng)


def sinusoidal(waveform: Real, rng: np.random.Generator, size: int = 512, hop: int = 128, peaks: int = 40) -> Real:
    """The strongest spectral peaks of each frame as sinusoids with phases of their own, and noise for the rest."""
    window = hann(size)
    magnitude = np.abs(stft(waveform, size, hop, window))
    peak = np.zeros(magnitude.shape, dtype=bool)
    peak[:, 1:-1] = (magnitude[:, 1:-1] > magnitude[:, :-2]) & (magnitude[:, 1:-1] >= magnitude[:, 2:])
    heights = np.where(peak, magnitude, 0.0)
    floor = -np.partition(-heights, peaks, axis=1)[:, peaks : peaks + 1]
    kept = peak & (heights > floor)
    wide = kept.copy()
    wide[:, 1:] |= kept[:, :-1]
    wide[:, :-1] |= kept[:, 1:]
    # A bin advances by its own frequency from frame to frame; that of the peak next to it, refined by a parabola.
    level = np.log(magnitude + 1e-9)
    bend = level[:, :-2] - 2 * level[:, 1:-1] + level[:, 2:]
    offset = np.zeros(magnitude.shape)
    offset[:, 1:-1] = np.clip(0.5 * (level[:, :-2] - level[:, 2:]) / np.minimum(bend, -1e-6), -0.5, 0.5)
    offset = np.where(kept, offset, 0.0)
    offset[:, 1:] = np.where(kept[:, :-1], offset[:, :-1] - 1, offset[:, 1:]) if False else offset[:, 1:]
    bins = np.arange(magnitude.shape[1]) + offset
    phase = np.cumsum(2 * np.pi * bins * hop / size, axis=0) + 2 * np.pi * rng.random(magnitude.shape[1])
    phase = np.where(wide, phase, 2 * np.pi * rng.random(magnitude.shape))
    return istft((magnitude * np.exp(1j * phase)).astype(np.complex64), size, hop, window, len(waveform))


def transform_codec(waveform: Real, rng: np.random.Generator, hop: int = 320, steps: float = 1.5, filled_hz: float = 8000) -> Real:
    """A low-rate transform codec: MDCT bands with a coarse gain, few levels for each coefficient, noise where none is left."""
    size = 2 * hop
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size)
    coefficients = _mdct(frame(waveform, size, hop) * window)
    edges = np.unique(np.round(hop * (np.linspace(0, 1, 22) ** 1.7)).astype(int))
    edges[-1] = hop
    rebuilt = np.empty_like(coefficients)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        band = coefficients[:, low:high]
        gain = np.sqrt(np.mean(band**2, axis=1, keepdims=True)) + 1e-9
        gain = 2 ** (np.round(np.log2(gain) * 2) / 2)
        step = gain * steps
        levels = np.trunc(np.abs(band) / step + 0.4) * np.sign(band)
        noise = rng.uniform(-1.0, 1.0, band.shape) * gain * 0.9
        if low * SAMPLE_RATE / 2 / hop >= filled_hz:
            levels = np.zeros_like(levels)
            noise = noise * 1.9
        rebuilt[:, low:high] = np.where(levels == 0, noise, levels * step)
    from dfx.synthesis.frames import overlap_add

    return overlap_add(_imdct(rebuilt) * window, hop, hop, len(waveform)).astype(np.float32)


def mu_law(waveform: Real, rng: np.random.Generator, bits: float = 4.0, mu: float = 255.0) -> Real:
    """Logarithmic quantisation of the pre-emphasised waveform to few levels, as an autoregressive sample model does."""
    emphasised = np.append(waveform[:1], waveform[1:] - 0.9 * waveform[:-1])
    peak = np.abs(emphasised).max() + 1e-9
    companded = np.sign(emphasised) * np.log1p(mu * np.abs(emphasised) / peak) / np.log1p(mu)
    levels = 2 ** (bits - 1)
    rounded = np.floor(companded * levels + rng.random(len(waveform))) / levels
    expanded = np.sign(rounded) * np.expm1(np.abs(rounded) * np.log1p(mu)) / mu * peak
    from scipy import signal

    return signal.lfilter([1.0], [1.0, -0.9], expanded).astype(np.float32)


def splice(
    waveform: Real, rng: np.random.Generator, unit: tuple[float, float] = (0.03, 0.08), shift: float = 0.03, fade: float = 0.001
) -> Real:
    """Units cut from near where they belong and joined with a short cross-fade: pitch periods break at every join."""
    num_samples, overlap = len(waveform), int(fade * SAMPLE_RATE)
    result = np.zeros(num_samples + SAMPLE_RATE, dtype=np.float32)
    ramp = np.linspace(0, 1, overlap, dtype=np.float32)
    start = 0
    while start < num_samples:
        length = int(rng.uniform(*unit) * SAMPLE_RATE)
        source = int(np.clip(start + rng.uniform(-shift, shift) * SAMPLE_RATE, 0, max(0, num_samples - length - overlap)))
        piece = waveform[source : source + length + overlap].copy()
        head, tail = min(overlap, len(piece)), min(overlap, len(piece))
        if start:
            piece[:head] *= ramp[:head]
        piece[len(piece) - tail :] *= ramp[::-1][:tail]
        result[start : start + len(piece)] += piece
        start += length
    return result[:num_samples]


def levinson(correlation: Real) -> tuple[Real, Real]:
    """Prediction coefficients (frames, order + 1), the first one 1, and error power (frames,) of autocorrelations."""
    frames, count = correlation.shape
    correlation = correlation * (1 + 1e-5 * (np.arange(count) == 0))  # white noise 50 dB below keeps silence solvable
    coefficients = np.zeros((frames, count))
    coefficients[:, 0] = 1.0
    error = correlation[:, 0] + 1e-9
    for order in range(1, count):
        reflection = -np.sum(coefficients[:, :order] * correlation[:, order:0:-1], axis=1) / error
        coefficients[:, : order + 1] += reflection[:, None] * coefficients[:, order::-1]
        error = error * (1 - reflection**2)
    return coefficients, error


def _excite(response: Real, periodic: Real, pitch: Real, num_samples: int, rng: np.random.Generator) -> Real:
    """Pulses and noise through a filter (frames, bins), mixed so that a share `periodic` of the power is pulses."""
    noise = rng.standard_normal(num_samples, dtype=np.float32)
    train = pulses(pitch, _HOP, num_samples, SAMPLE_RATE)
    hz = np.arange(response.shape[1]) * SAMPLE_RATE / _FFT
    dispersion = np.exp(-1j * np.pi * 0.004 * hz**2 / 8000)  # high frequencies later by up to 4 ms: bare pulses are too peaked
    voiced, unvoiced = response * np.sqrt(periodic) * dispersion, response * np.sqrt(1 - periodic)
    return filter_frames([(train, voiced.astype(np.complex64)), (noise, unvoiced.astype(np.complex64))], _HOP, _FFT)


def _pitch_adaptive_envelope(power: Real, pitch: Real) -> Real:
    """Natural-log power (frames, bins) smoothed over one harmonic spacing, after CheapTrick (Morise 2015)."""
    log_power = np.log(power + 1e-9)
    quefrency = np.arange(_FFT)
    quefrency = np.minimum(quefrency, _FFT - quefrency) / SAMPLE_RATE
    lifter = np.sinc(pitch[:, None] * quefrency[None]) * np.where(quefrency[None] * pitch[:, None] < 1, 1.0, 0.0)
    recover = 1.18 - 0.18 * np.cos(2 * np.pi * quefrency[None] * pitch[:, None])
    return fft.rfft(fft.irfft(log_power, axis=1) * lifter * recover, axis=1).real


def _through_mel(magnitude: Real, bands: int) -> Real:
    """Magnitudes (frames, bins) as a mel spectrogram of triangles knows them, spread back over the bins."""
    bins = magnitude.shape[1]
    mel = 2595 * np.log10(1 + np.linspace(0, SAMPLE_RATE / 2, bins) / 700)
    position = mel / mel[-1] * (bands - 1)
    left = np.minimum(position.astype(int), bands - 2)
    share = (position - left).astype(np.float32)
    energy, weight = np.zeros((len(magnitude), bands), np.float32), np.zeros(bands, np.float32)
    for k in range(bins):
        energy[:, left[k]] += (1 - share[k]) * magnitude[:, k]
        energy[:, left[k] + 1] += share[k] * magnitude[:, k]
        weight[left[k]] += 1 - share[k]
        weight[left[k] + 1] += share[k]
    level = np.log(energy / np.maximum(weight, 1e-3) + 1e-7)
    return np.exp(level[:, left] * (1 - share) + level[:, left + 1] * share)


def _mdct(frames: Real) -> Real:
    """Modified discrete cosine transform (frames, hop) of windowed frames (frames, 2 hop), by a DCT-IV."""
    half = frames.shape[1] // 4
    a, b, c, d = (frames[:, k * half : (k + 1) * half] for k in range(4))
    folded = np.hstack([-c[:, ::-1] - d, a - b[:, ::-1]])
    return fft.dct(folded, type=4, norm="ortho", axis=1)


def _imdct(coefficients: Real) -> Real:
    """Frames (frames, 2 hop), aliased in time, whose windowed overlap-add inverts `_mdct`."""
    folded = fft.dct(coefficients, type=4, norm="ortho", axis=1)
    half = folded.shape[1] // 2
    first, second = folded[:, :half], folded[:, half:]
    return np.hstack([second, -second[:, ::-1], -first[:, ::-1], -first])
