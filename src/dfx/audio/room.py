"""Simulate the recording of speech: room, microphone, limiter, noise and sampling.

In the demo corpus genuine speech and the output of vocoders are both recorded this way, so that no property of the
recording tells the classes apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, signal

Real = npt.NDArray[np.floating]

SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class RoomRecording:
    """Conditions of one simulated recording: room, microphone, level and noise.

    Attributes:
        seed: of the reflections of the room and of the response of the microphone.
        direct_db: direct sound relative to reverberation.
        colour_db: standard deviation of the response of the microphone.
        cutoff_hz: upper edge of the anti-alias filter.
        level_db: RMS of the speech, relative to full scale.
        crest_db: peaks after the limiter, relative to the level.
        polarity: 1 or -1: pulses point up or down, depending on the wiring of the microphone.
        noise_slope: exponent of the fall of the noise with frequency: 0 is white, 1 is pink.
        hum_db: level of 50 Hz hum, relative to the noise.
    """

    seed: int
    reverb_seconds: float
    direct_db: float
    colour_db: float
    highpass_hz: float
    cutoff_hz: float
    level_db: float
    crest_db: float
    polarity: int
    snr_db: float
    noise_slope: float
    hum_db: float
    offset: float


def draw_room_recording(rng: np.random.Generator) -> RoomRecording:
    """Draw random recording conditions, from a dry booth to a live room."""
    return RoomRecording(
        seed=int(rng.integers(2**31)),
        reverb_seconds=rng.uniform(0.12, 0.5),
        direct_db=rng.uniform(2, 16),
        colour_db=rng.uniform(0.5, 3.0),
        highpass_hz=rng.uniform(40, 110),
        cutoff_hz=rng.uniform(6800, 7900),
        level_db=rng.uniform(-36, -22),
        crest_db=rng.uniform(10, 14),
        polarity=int(rng.choice([-1, 1])),
        snr_db=rng.uniform(30, 52),
        noise_slope=rng.uniform(0.0, 1.0),
        hum_db=rng.uniform(-20, 3),
        offset=rng.normal(0.0, 3e-4),
    )


def record_in_room(waveform: Real, recording: RoomRecording, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Simulate a recording of speech (samples,) under given conditions; returns 16-bit samples."""
    num_samples = len(waveform)
    shape = np.random.default_rng(recording.seed)
    speech = signal.fftconvolve(waveform, _room(recording, shape))[:num_samples]
    # Longer than the clip, so that the ringing of the filters does not wrap to the start.
    size = fft.next_fast_len(num_samples + 2048, real=True)
    hz = fft.rfftfreq(size, 1 / SAMPLE_RATE)
    knots = np.log(np.geomspace(50, 8050, 10))
    colour = np.interp(np.log(hz + 50), knots, shape.normal(0, recording.colour_db, 10))
    highpass = 1 / np.sqrt(1 + (recording.highpass_hz / np.maximum(hz, 1e-3)) ** 4)
    speech = fft.irfft(fft.rfft(speech, size) * 10 ** (colour / 20) * highpass, size)[:num_samples]
    level = 10 ** (recording.level_db / 20)
    speech *= recording.polarity
    # The limiter lowers the level and the level changes the peaks: three rounds suffice for both.
    for _ in range(3):
        speech *= level / np.sqrt(np.mean(speech**2) + 1e-12)
        speech = _limit(speech, level * 10 ** (recording.crest_db / 20))
    noise_level = level * 10 ** (-recording.snr_db / 20)
    spectrum = fft.rfft(rng.standard_normal(size)) / np.maximum(hz, 30.0) ** (0.5 * recording.noise_slope)
    noise = fft.irfft(spectrum, size)[:num_samples]
    noise *= noise_level / np.sqrt(np.mean(noise**2))
    hum_angle = 2 * np.pi * 50 * np.arange(num_samples) / SAMPLE_RATE + rng.uniform(0, 2 * np.pi)
    noise += noise_level * 10 ** (recording.hum_db / 20) * (np.sin(hum_angle) + 0.4 * np.sin(3 * hum_angle))
    edge = 1 / (1 + np.exp(np.clip((hz - recording.cutoff_hz) / 25.0, -50, 50)))
    mixed = fft.irfft(fft.rfft(speech + noise, size) * edge, size)[:num_samples] + recording.offset
    dither = rng.random(num_samples) - rng.random(num_samples)
    samples: npt.NDArray[np.int16] = np.clip(np.round(mixed * 32767 + dither), -32768, 32767).astype(np.int16)
    return samples


def _room(recording: RoomRecording, rng: np.random.Generator) -> Real:
    """Impulse response of a room: direct sound, followed by noise that decays by 60 dB in the reverberation time."""
    length = int(recording.reverb_seconds * SAMPLE_RATE)
    time = np.arange(length) / SAMPLE_RATE
    tail = rng.standard_normal(length) * 10 ** (-3 * time / recording.reverb_seconds)
    tail[: int(rng.uniform(0.002, 0.008) * SAMPLE_RATE)] = 0.0
    tail *= 10 ** (-recording.direct_db / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    response: Real = tail.astype(np.float32)
    return response


def _limit(waveform: Real, ceiling: float) -> Real:
    """Compress peaks above half of the ceiling, so that no sample exceeds the ceiling (soft limiter)."""
    knee = 0.5 * ceiling
    over = np.maximum(np.abs(waveform) - knee, 0.0)
    return np.sign(waveform) * (np.minimum(np.abs(waveform), knee) + knee * np.tanh(over / knee))
