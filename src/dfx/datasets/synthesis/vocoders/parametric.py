"""Parametric vocoders: analysis of pitch, voicing and spectral envelope, synthesis from pulses and noise.

Source:
    Linear prediction: Atal and Hanauer 1971; Makhoul 1975 for the recursion. WORLD: Morise, Yokomori and Ozawa 2016,
    with the envelope of CheapTrick, Morise 2015, equations 4-6 at a fixed window.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from dfx.datasets.synthesis.excitation import excitation_pulses, track_pitch
from dfx.datasets.synthesis.frames import (
    Complex,
    Real,
    cut_frames,
    filter_frames,
    hann_window,
    minimum_phase,
    smooth_track,
)
from dfx.datasets.synthesis.speaker import SAMPLE_RATE

_HOP, _FFT = 80, 1024


def lpc(waveform: Real, rng: np.random.Generator, order: int = 12) -> Real:
    """LPC vocoder: an all-pole filter every 5 ms, excited by pulses in voiced frames, by noise in unvoiced frames."""
    pitch, voicing = track_pitch(waveform, SAMPLE_RATE, _HOP)
    power = np.abs(fft.rfft(cut_frames(waveform, 400, _HOP) * hann_window(400), _FFT, axis=1)) ** 2
    coefficients, error = levinson(fft.irfft(power, axis=1)[:, : order + 1].astype(np.float64))
    response = np.sqrt(error)[:, None] / fft.rfft(coefficients, _FFT, axis=1)
    return _excite(waveform, response, np.round(voicing)[:, None], pitch, rng)


def parametric_world(waveform: Real, rng: np.random.Generator, voiced_hz: float | None = None) -> Real:
    """WORLD-like vocoder: a smooth spectral envelope, excited by pulses, and by noise at high frequencies.

    With `voiced_hz`, voiced frames are pulses below that frequency and noise above it, as in HMM synthesis; else the
    share of pulses follows the voicing.
    """
    pitch, voicing = track_pitch(waveform, SAMPLE_RATE, _HOP)
    power = np.abs(fft.rfft(cut_frames(waveform, 640, _HOP) * hann_window(640), _FFT, axis=1)) ** 2
    hz = np.arange(_FFT // 2 + 1) * SAMPLE_RATE / _FFT
    strength = voicing[:, None]
    if voiced_hz is None:
        periodic: Real = strength / (1 + (hz / (2500 + 3500 * strength)) ** 4)
    else:
        periodic = np.round(strength) * (hz < voiced_hz)
    return _excite(waveform, minimum_phase(0.5 * _smooth_envelope(power, pitch)), periodic, pitch, rng)


def levinson(correlation: Real) -> tuple[Real, Real]:
    """Compute linear prediction coefficients (frames, order + 1) and error power (frames,) from autocorrelations."""
    frames, count = correlation.shape
    # White noise at -50 dB, so that silence and pure tones have a solution.
    error = correlation[:, 0] * (1 + 1e-5) + 1e-9
    coefficients: Real = np.zeros((frames, count))
    coefficients[:, 0] = 1.0
    for order in range(1, count):
        reflection = -np.sum(coefficients[:, :order] * correlation[:, order:0:-1], axis=1) / error
        coefficients[:, : order + 1] += reflection[:, None] * coefficients[:, order::-1]
        error *= 1 - reflection**2
    return coefficients, error


def _smooth_envelope(power: Real, pitch: Real) -> Real:
    """Smooth the log power spectrum (frames, bins) over two harmonics of the pitch (frames,)."""
    size = 2 * (power.shape[1] - 1)
    quefrency = np.minimum(np.arange(size), size - np.arange(size)) / SAMPLE_RATE
    periods = pitch[:, None] * quefrency
    lifter = np.sinc(periods) * (1.18 - 0.18 * np.cos(2 * np.pi * periods)) * (periods < 1)
    envelope: Real = fft.rfft(fft.irfft(np.log(power + 1e-9), axis=1) * lifter, axis=1).real
    return envelope


def _excite(waveform: Real, response: Complex, periodic: Real, pitch: Real, rng: np.random.Generator) -> Real:
    """Filter pulses (share `periodic`) and noise with responses (frames, bins), at the level of the waveform."""
    num_samples = len(waveform)
    hz = np.arange(response.shape[1]) * SAMPLE_RATE / _FFT
    # Delay high frequencies by up to 4 ms: plain pulses have too high peaks.
    dispersion = np.exp(-1j * np.pi * 0.004 * hz**2 / 8000)
    train = excitation_pulses(pitch, _HOP, num_samples, SAMPLE_RATE)
    noise = rng.standard_normal(num_samples, dtype=np.float32)
    voiced = (response * np.sqrt(periodic) * dispersion).astype(np.complex64)
    unvoiced = (response * np.sqrt(1 - periodic)).astype(np.complex64)
    rebuilt = filter_frames([(train, voiced), (noise, unvoiced)], _HOP, _FFT)
    gain = np.sqrt((_loudness(waveform) + 1e-9) / (_loudness(rebuilt) + 1e-9))
    return (rebuilt * np.interp(np.arange(num_samples), np.arange(len(gain)) * _HOP, gain)).astype(np.float32)


def _loudness(waveform: Real) -> Real:
    return smooth_track(np.mean(cut_frames(waveform, 2 * _HOP, _HOP).astype(np.float64) ** 2, axis=1), 5)
