"""Pitch, energy and spectrum of a clip: the statistics of system S4."""

from __future__ import annotations

import numpy as np

from dfx.audio.measures import SILENCE_DB
from dfx.audio.samples import Waveform
from dfx.audio.store import WaveformStore

PITCH_HZ = (60.0, 400.0)  # of speaking voices
MEASURED_SECONDS = 60.0  # from the middle of a clip


def speech_properties(clips: WaveformStore, row: int) -> dict[str, dict[str, float | int | None]]:
    """Measure pitch, energy and spectrum of a clip, from the minute in its middle."""
    size = round(MEASURED_SECONDS * clips.sample_rate)
    samples = clips.read(row, max(0, (int(clips.lengths[row]) - size) // 2), size)
    return measure_speech(samples, clips.sample_rate)


def measure_speech(samples: Waveform, rate: int) -> dict[str, dict[str, float | int | None]]:
    """Measure pitch, energy and spectrum of samples (samples,) at a rate in Hz; the first call in a process is slow.

    Pitch by YIN (librosa) where there is sound; its stability is 1 - deviation / mean, at least 0.
    """
    import librosa  # takes a second

    levels = librosa.feature.rms(y=samples)[0]
    sound = levels > max(levels.max() * 10 ** (-SILENCE_DB / 20), 1e-6)
    padded = np.pad(samples, (0, max(0, 2048 - len(samples))))
    pitch = librosa.yin(padded, fmin=PITCH_HZ[0], fmax=PITCH_HZ[1], sr=rate)
    voiced = pitch[: len(sound)][sound[: len(pitch)]]
    voiced = voiced[(voiced > PITCH_HZ[0] * 1.05) & (voiced < PITCH_HZ[1] * 0.95)]  # YIN ends at its limits
    mean = float(voiced.mean()) if len(voiced) else None
    centroid = librosa.feature.spectral_centroid(y=padded, sr=rate)[0]
    contrast = librosa.feature.spectral_contrast(y=padded, sr=rate, fmin=min(200.0, rate / 160))
    return {
        "pitch": {
            "mean_pitch_hz": mean,
            "pitch_stability_score": None if mean is None else max(0.0, 1 - float(voiced.std()) / mean),
        },
        "energy": {
            "rms_energy": float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))),
            "silence_ratio": float(1 - sound.mean()),
        },
        "spectral": {"spectral_centroid": float(centroid.mean()), "spectral_contrast": float(contrast.mean())},
    }
