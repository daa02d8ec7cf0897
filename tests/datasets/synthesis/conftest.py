import numpy as np
import pytest

from dfx.datasets.synthesis.frames import hann_window, stft
from dfx.datasets.synthesis.phonemes import random_phoneme_sentence
from dfx.datasets.synthesis.speaker import SAMPLE_RATE, draw_speaker_voice, render_speaker, speaker_controls
from dfx.datasets.synthesis.vocoders.spectral import through_mel


@pytest.fixture(scope="session")
def speech():
    """Two seconds of speech at 16 kHz, its standard deviation 1, with a little noise."""
    rng = np.random.default_rng(5)
    voice = draw_speaker_voice(rng, female=False)
    num_samples = 2 * SAMPLE_RATE + 37
    controls = speaker_controls(voice, random_phoneme_sentence(2.01, 0.1, 0.1, voice.rate, rng), rng)
    x = render_speaker(voice, controls, num_samples, rng)
    return (x / x.std() + 1e-4 * rng.standard_normal(num_samples)).astype(np.float32)


@pytest.fixture(scope="session")
def mel_level():
    """Gives the log-spectral envelope of a waveform in dB, (frames, bands), floored 50 dB below its maximum."""

    def envelope(waveform, bins=slice(None, None, 21)):
        spectrum = np.abs(stft(waveform, 1024, 512, hann_window(1024)))
        level = 20 * np.log10(through_mel(spectrum, 24)[:, bins] + 1e-9)
        return np.maximum(level, level.max() - 50)

    return envelope
