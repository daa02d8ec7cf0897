"""Excitation signals of parametric vocoders: pitch tracking, and pulse trains with a given pitch."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

from dfx.datasets.synthesis.frames import Real, cut_frames, hann_window

_SIZE, _FFT = 640, 1024  # 40 ms hold two periods of a pitch of 60 Hz


def track_pitch(waveform: Real, sample_rate: int, hop: int) -> tuple[Real, Real]:
    """Estimate pitch (Hz; interpolated in unvoiced frames) and voicing (0 to 1) by autocorrelation, (frames,) each."""
    window = hann_window(_SIZE)
    power = np.abs(fft.rfft(cut_frames(waveform, _SIZE, hop) * window, _FFT, axis=1)) ** 2
    hz = np.arange(_FFT // 2 + 1) * sample_rate / _FFT
    power *= 1 / (1 + (hz / 900) ** 4)  # periods show best below 1 kHz
    correlation = fft.irfft(power, axis=1)
    bias = fft.irfft(np.abs(fft.rfft(window, _FFT)) ** 2)
    low, high = int(sample_rate / 420), int(sample_rate / 60)
    lags = np.arange(low, high)
    curve = correlation[:, low:high] / np.maximum(correlation[:, :1], 1e-12) / (bias[low:high] / bias[0])
    # A multiple of the period correlates as well as the period: prefer short ones.
    best = np.argmax(curve * (1 - 0.12 * np.log2(lags / low)), axis=1)
    strength = np.take_along_axis(curve, best[:, None], axis=1)[:, 0]
    inner = np.clip(best, 1, len(lags) - 2)
    left, centre, right = (np.take_along_axis(curve, (inner + d)[:, None], axis=1)[:, 0] for d in (-1, 0, 1))
    bend = left - 2 * centre + right
    shift = np.clip(np.where(bend < 0, 0.5 * (left - right) / np.minimum(bend, -1e-9), 0.0), -0.5, 0.5)
    loud = correlation[:, 0] > 1e-4 * correlation[:, 0].max()
    voicing = np.where(loud, np.clip((strength - 0.3) / 0.5, 0.0, 1.0), 0.0)
    voiced = voicing > 0.3
    if not voiced.any():
        return np.full(len(voicing), 120.0), voicing * 0.0
    pitch = sample_rate / (lags[inner] + shift)
    steps = np.arange(len(pitch))
    held = np.interp(steps, steps[voiced], ndimage.median_filter(pitch[voiced], 5, mode="nearest"))
    return held, ndimage.median_filter(voicing, 3, mode="nearest")


def excitation_pulses(pitch_hz: Real, hop: int, num_samples: int, sample_rate: int) -> Real:
    """Generate a pulse train (num_samples,) of unit power with a given pitch (frames,)."""
    knots = np.arange(len(pitch_hz)) * hop
    pitch = np.interp(np.arange(num_samples), knots, pitch_hz)
    cycles = np.cumsum(pitch) / sample_rate
    times = np.interp(np.arange(1, int(cycles[-1]) + 1), cycles, np.arange(num_samples))
    left = np.minimum(times.astype(np.int64), num_samples - 2)
    share = times - left
    height = np.sqrt(sample_rate / pitch[left])
    train = np.zeros(num_samples)
    np.add.at(train, left, height * (1 - share))
    np.add.at(train, left + 1, height * share)
    return train.astype(np.float32)
