"""A random channel: what a microphone, a line and a codec's band limit do to both classes alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]

NUM_EQ_POINTS = 8  # gains drawn between 0 Hz and the Nyquist frequency, interpolated between


class Channel:
    """Random band limit, equaliser, noise and level; one Fourier transform there and back.

    Corpora differ in sampling rate, microphone and loudness, often by class; a detector that hears a different channel
    each time cannot use these to tell the classes apart.

    Args:
        sample_rate: Hz.
        min_cutoff_hz: lowest band limit; the highest is the Nyquist frequency.
        band_limit_probability: how often the band is limited at all.
        max_eq_db: the equaliser's gains lie within plus and minus this.
        min_snr_db: of white noise over the whole band; the upper end is 40 dB above, where it is inaudible.
        max_gain_db: the level changes by up to plus and minus this; the result stays within full scale.
    """

    def __init__(
        self,
        sample_rate: int,
        min_cutoff_hz: float = 3400.0,
        band_limit_probability: float = 0.5,
        max_eq_db: float = 6.0,
        min_snr_db: float = 15.0,
        max_gain_db: float = 6.0,
    ) -> None:
        self.sample_rate = sample_rate
        self.min_cutoff_hz, self.band_limit_probability = min_cutoff_hz, band_limit_probability
        self.max_eq_db, self.min_snr_db, self.max_gain_db = max_eq_db, min_snr_db, max_gain_db

    def __call__(self, waveform: Waveform, generator: np.random.Generator) -> Waveform:
        """Waveform (samples,) through the channel, of the same length, within [-1, 1]."""
        rms = float(np.sqrt(np.mean(waveform**2)))
        noise_db = -generator.uniform(self.min_snr_db, self.min_snr_db + 40)
        noise = rms * 10 ** (noise_db / 20) * generator.standard_normal(len(waveform), dtype=np.float32)
        spectrum = np.fft.rfft(waveform + noise)
        frequency = np.linspace(0, self.sample_rate / 2, len(spectrum))
        points = np.linspace(0, self.sample_rate / 2, NUM_EQ_POINTS)
        gain_db = np.interp(
            frequency, points, generator.uniform(-self.max_eq_db, self.max_eq_db, NUM_EQ_POINTS)
        )
        if generator.uniform() < self.band_limit_probability:
            cutoff = generator.uniform(self.min_cutoff_hz, self.sample_rate / 2)
            slope_db = generator.uniform(0.1, 0.5)  # a gentle filter and a steep one: 100 to 500 dB a kHz
            gain_db = gain_db - np.clip(slope_db * (frequency - cutoff), 0, 100)
        shaped = np.fft.irfft(spectrum * 10 ** (gain_db / 20), len(waveform))
        shaped *= 10 ** (generator.uniform(-self.max_gain_db, self.max_gain_db) / 20)
        return (shaped / max(1.0, float(np.abs(shaped).max(initial=0.0)))).astype(np.float32)
