"""Formant speech synthesis: a vocal tract with moving formants filters glottal pulses and hiss.

`SpeakerVoice` describes the speaker, `SpeakerControls` the articulation every 4 ms; `render_speaker` makes the waveform
from both.

Source:
    The synthesiser's structure: Klatt 1980, "Software for a cascade/parallel formant synthesizer".
    The glottal pulse: Rosenberg 1971, pulse C, with the return phase of the LF model as a one-pole filter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, signal

from dfx.datasets.synthesis.frames import Complex, Real, filter_frames, smooth_track
from dfx.datasets.synthesis.phonemes import PhonemeSegment

SAMPLE_RATE = 16_000
STEP = 64  # samples between two control values: 4 ms, short enough for a plosive burst
# A formant of 60 Hz bandwidth has decayed by 60 dB after 590 samples: 1024 - 2 * 128 hold it.
_HOP, _FFT = 128, 1024


@dataclass(frozen=True)
class SpeakerVoice:
    """Properties of a synthetic speaker: pitch, vocal tract, tempo and glottal source."""

    pitch_hz: float = 120.0
    pitch_range: float = 1.0
    tract_scale: float = 1.0  # formants relative to the average male tract; female, shorter: 1.17
    rate: float = 1.0
    open_quotient: float = 0.6
    tilt_hz: float = 1800.0  # corner frequency of the return phase: low for a soft voice
    breathiness: float = 0.03
    jitter: float = 0.01
    shimmer: float = 0.05
    bandwidth_scale: float = 1.0
    vowel_shift: float = 0.0


def draw_speaker_voice(rng: np.random.Generator, female: bool) -> SpeakerVoice:
    """Draw the properties of a random synthetic speaker."""
    return SpeakerVoice(
        pitch_hz=rng.uniform(165, 235) if female else rng.uniform(88, 145),
        pitch_range=rng.uniform(0.6, 1.4),
        tract_scale=rng.uniform(1.1, 1.22) if female else rng.uniform(0.94, 1.06),
        rate=rng.uniform(0.85, 1.25),
        open_quotient=rng.uniform(0.5, 0.8),
        tilt_hz=rng.uniform(700, 2400),
        breathiness=rng.uniform(0.01, 0.09),
        jitter=rng.uniform(0.004, 0.018),
        shimmer=rng.uniform(0.02, 0.09),
        bandwidth_scale=rng.uniform(0.8, 1.4),
        vowel_shift=rng.uniform(-0.05, 0.05),
    )


@dataclass(frozen=True)
class SpeakerControls:
    """Control signals of the formant synthesizer, one value every STEP samples.

    Values are in Hz or amplitude: formants and bandwidths (steps, formants), all others (steps,).
    """

    pitch_hz: Real
    formants_hz: Real
    bandwidths_hz: Real
    voicing: Real
    aspiration: Real
    frication: Real
    hiss_hz: Real
    hiss_width_hz: Real


def speaker_controls(voice: SpeakerVoice, sounds: list[PhonemeSegment], rng: np.random.Generator) -> SpeakerControls:
    """Compute the control signals of a voice for phoneme segments: formants glide, pitch falls over a phrase."""
    ends = np.cumsum([sound.seconds for sound in sounds]) * SAMPLE_RATE / STEP
    steps = int(np.ceil(ends[-1])) + 1
    table = np.array(sounds, dtype=np.float64)[np.searchsorted(ends[:-1], np.arange(steps), side="right")]
    _, f1, f2, f3, voicing, aspiration, frication, hiss_hz, hiss_width, accent = table.T
    scale = voice.tract_scale
    low = smooth_track(np.stack([f1, f2 * (1 + voice.vowel_shift), f3], axis=1), 12) * scale
    high = np.array([3500.0, 4500.0, 5500.0, 6500.0]) * scale * (1 + 0.01 * rng.standard_normal(4))
    formants = np.hstack([low, np.broadcast_to(high, (steps, 4)) * (1 + 0.1 * (low[:, 2:] / 2500 / scale - 1))])
    formants = np.minimum(formants, 7900.0) * (1 + 0.01 * smooth_track(rng.standard_normal((steps, 7)), 15) * 4)
    bandwidths = voice.bandwidth_scale * np.array([60.0, 80.0, 120.0, 180.0, 250.0, 320.0, 400.0])
    # Near 8 kHz a pole and its mirror image would add up to an unnatural peak.
    bandwidths = bandwidths * (1 + np.maximum(formants - 6200.0, 0.0) / 300.0)
    silent = (voicing + aspiration + frication == 0).astype(np.float64)
    since_pause = np.arange(steps) - np.maximum.accumulate(np.where(silent > 0, np.arange(steps), 0))
    declination = 1.5 - 1.6 * np.minimum(since_pause * STEP / SAMPLE_RATE, 2.5)
    drift = 6.0 * smooth_track(rng.standard_normal(steps), 80) + 0.6 * smooth_track(rng.standard_normal(steps), 10)
    semitones = voice.pitch_range * (smooth_track(declination + accent, 25) + drift)
    return SpeakerControls(
        pitch_hz=np.clip(voice.pitch_hz * 2 ** (semitones / 12), 60, 400),
        formants_hz=formants,
        bandwidths_hz=bandwidths,
        voicing=smooth_track(voicing, 7),
        aspiration=smooth_track(aspiration, 4),
        frication=smooth_track(frication, 3),
        hiss_hz=hiss_hz * scale**0.5,
        hiss_width_hz=hiss_width,
    )


def render_speaker(voice: SpeakerVoice, controls: SpeakerControls, num_samples: int, rng: np.random.Generator) -> Real:
    """Synthesize the waveform (num_samples,) of a voice from control signals; it is not normalised."""
    time = np.arange(num_samples)
    knots = np.arange(len(controls.pitch_hz)) * STEP

    def track(values: Real) -> Real:
        return np.interp(time, knots, values).astype(np.float32)

    flow, derivative = glottal_source(voice, track(controls.pitch_hz), rng)
    breath = np.diff(rng.standard_normal(num_samples + 1, dtype=np.float32)) * np.float32(0.7)
    puffs = 0.3 + 1.4 * flow  # the hiss of the folds follows their opening
    voicing, aspiration = track(controls.voicing), track(controls.aspiration)
    source = voicing * (derivative + voice.breathiness * 6 * puffs * breath) + aspiration * breath * 0.5
    hiss = rng.standard_normal(num_samples, dtype=np.float32) * track(controls.frication)
    at = slice(None, None, _HOP // STEP)
    tract = _all_pole(controls.formants_hz[at], controls.bandwidths_hz[at])
    lips = _all_pole(controls.hiss_hz[at, None], controls.hiss_width_hz[at, None])
    frames = -(-num_samples // _HOP) + 1
    return filter_frames([(source, _hold(tract, frames)), (hiss * np.float32(0.5), _hold(lips, frames))], _HOP, _FFT)


def glottal_source(voice: SpeakerVoice, pitch_hz: Real, rng: np.random.Generator) -> tuple[Real, Real]:
    """Generate the glottal flow, from 0 to 1, and its derivative, for a pitch (samples,)."""
    fine = 2  # pulses are made at twice the rate, because their sharp closure would alias
    num_samples = len(pitch_hz)
    cycles = np.concatenate([[0.0], np.cumsum(pitch_hz, dtype=np.float64) / SAMPLE_RATE])
    count = int(cycles[-1]) + 2
    # Jitter moves the start of each cycle by a share of a period.
    moved = np.arange(count) + voice.jitter * rng.standard_normal(count)
    moved[0] = 0.0
    phase = np.interp(np.arange(num_samples * fine) / fine, np.arange(num_samples + 1), cycles)
    phase = np.interp(phase, moved, np.arange(count))
    cycle = phase.astype(np.int64)
    within = phase - cycle
    opening = np.clip(voice.open_quotient + 0.005 * rng.standard_normal(count), 0.35, 0.95)[cycle]
    strength = (1 + voice.shimmer * rng.standard_normal(count))[cycle]
    rise, fall = 0.67 * opening, 0.33 * opening
    rising, falling = within < rise, (within >= rise) & (within < opening)
    angle = np.where(rising, np.pi * within / rise, np.pi / 2 * (within - rise) / fall)
    flow = np.where(rising, 0.5 - 0.5 * np.cos(angle), np.where(falling, np.cos(angle), 0.0))
    slope = np.where(rising, np.sin(angle) / rise, np.where(falling, -np.sin(angle) / fall, 0.0)) * strength
    pole = np.exp(-2 * np.pi * voice.tilt_hz / (SAMPLE_RATE * fine))
    slope = signal.lfilter([1 - pole], [1, -pole], slope)
    derivative = signal.resample_poly(slope, 1, fine)[:num_samples]
    return flow[::fine].astype(np.float32), (0.25 * derivative).astype(np.float32)


def _all_pole(centres_hz: Real, bandwidths_hz: Real) -> Complex:
    """Frequency responses (frames, bins) of cascaded resonators, each with gain 1 at 0 Hz."""
    radius = np.exp(-np.pi * bandwidths_hz / SAMPLE_RATE)
    middle = -2 * radius * np.cos(2 * np.pi * centres_hz / SAMPLE_RATE)
    frames, count = centres_hz.shape
    denominator = np.zeros((frames, 2 * count + 1))
    denominator[:, 0] = 1.0
    gain = np.ones((frames, 1))
    for n in range(count):
        b, c = middle[:, n : n + 1], radius[:, n : n + 1] ** 2
        later = denominator.copy()
        later[:, 1:] += b * denominator[:, :-1]
        later[:, 2:] += c * denominator[:, :-2]
        denominator = later
        gain *= 1 + b + c
    response: Complex = (gain / fft.rfft(denominator, _FFT, axis=1)).astype(np.complex64)
    return response


def _hold(response: Complex, frames: int) -> Complex:
    return np.pad(response, ((0, max(0, frames - len(response))), (0, 0)), mode="edge")
