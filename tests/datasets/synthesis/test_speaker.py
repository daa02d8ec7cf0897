import numpy as np
import pytest
from scipy import signal

from dfx.datasets.synthesis.excitation import track_pitch
from dfx.datasets.synthesis.phonemes import PhonemeSegment, random_phoneme_sentence
from dfx.datasets.synthesis.speaker import (
    SAMPLE_RATE,
    SpeakerVoice,
    draw_speaker_voice,
    glottal_source,
    render_speaker,
    speaker_controls,
)
from dfx.datasets.synthesis.vocoders.parametric import levinson


def vowel(voice, *formants_hz):
    rng = np.random.default_rng(0)
    return render_speaker(
        voice, speaker_controls(voice, [PhonemeSegment(1.0, *formants_hz, voicing=1.0)], rng), SAMPLE_RATE, rng
    )


@pytest.mark.parametrize("pitch_hz", [90, 130, 220])
def test_pitch_is_as_asked(pitch_hz):
    voice = SpeakerVoice(jitter=0.004, shimmer=0.02)
    flow, pulses = glottal_source(voice, np.full(SAMPLE_RATE, pitch_hz, np.float32), np.random.default_rng(0))
    assert flow.min() >= 0
    assert flow.max() <= 1
    pitch, voicing = track_pitch(pulses, SAMPLE_RATE, 80)
    assert np.median(pitch) == pytest.approx(pitch_hz, rel=0.01)
    assert np.median(voicing) > 0.8


@pytest.mark.parametrize("formants_hz", [(730.0, 1090.0, 2440.0), (390.0, 1990.0, 2550.0), (500.0, 1500.0, 2500.0)])
@pytest.mark.parametrize("scale", [1.0, 1.15])
def test_formants_are_where_asked(formants_hz, scale):
    # A whisper shows the tract alone: the harmonics of a voice would move the peaks.
    voice = SpeakerVoice(tract_scale=scale, bandwidth_scale=0.8)
    rng = np.random.default_rng(0)
    controls = speaker_controls(voice, [PhonemeSegment(3.0, *formants_hz, aspiration=1.0)], rng)
    x = signal.lfilter([1], [1, -0.9], render_speaker(voice, controls, 3 * SAMPLE_RATE, rng))
    _, power = signal.welch(x, SAMPLE_RATE, nperseg=512)
    correlation = np.fft.irfft(power)[:19]
    coefficients, _ = levinson(correlation[None])
    roots = np.roots(coefficients[0])
    roots = roots[(roots.imag > 0) & (np.abs(roots) > 0.9)]
    found = np.sort(np.angle(roots) * SAMPLE_RATE / 2 / np.pi)
    for hz in formants_hz:
        assert np.abs(found - hz * scale).min() < 0.06 * hz * scale, (hz * scale, found)


def test_jitter_makes_periods_uneven():
    def unevenness(jitter):
        voice = SpeakerVoice(jitter=jitter, shimmer=0.0)
        _, pulses = glottal_source(voice, np.full(SAMPLE_RATE, 100.0, np.float32), np.random.default_rng(0))
        closures = signal.find_peaks(-pulses, height=0.5 * -pulses.min(), distance=80)[0]
        return float(np.std(np.diff(closures)))

    assert unevenness(0.0) < 1.5 < unevenness(0.03)


def test_a_soft_voice_has_less_high_frequency():
    def share(tilt_hz):
        power = np.abs(np.fft.rfft(vowel(SpeakerVoice(tilt_hz=tilt_hz, breathiness=0.0), 500, 1500, 2500))) ** 2
        return float(power[2000:].sum() / power.sum())

    assert share(700) < 0.6 * share(2400)


def test_speech_is_finite_and_moves():
    rng = np.random.default_rng(3)
    voice = draw_speaker_voice(rng, female=True)
    speech = render_speaker(
        voice,
        speaker_controls(voice, random_phoneme_sentence(2.0, 0.1, 0.1, voice.rate, rng), rng),
        2 * SAMPLE_RATE,
        rng,
    )
    assert speech.shape == (2 * SAMPLE_RATE,)
    assert np.isfinite(speech).all()
    _, _, spectra = signal.stft(speech, SAMPLE_RATE, nperseg=512)
    level = 20 * np.log10(np.abs(spectra) + 1e-6)
    assert level.std(axis=1).mean() > 8, "every moment sounds the same"
