from dataclasses import replace

import numpy as np
import pytest

from dfx.audio.room import draw_room_recording, record_in_room

SPEECH = np.random.default_rng(0).standard_normal(32_000)
QUIET = replace(
    draw_room_recording(np.random.default_rng(0)),
    level_db=-26.0, snr_db=60.0, hum_db=-60.0, offset=0.0, direct_db=40.0, colour_db=0.0, cutoff_hz=7000.0,
)  # fmt: skip


def recorded(speech=SPEECH, **conditions):
    samples = record_in_room(speech, replace(QUIET, **conditions), np.random.default_rng(1))
    assert samples.dtype == np.int16
    return samples / 32768


def test_level_is_as_asked():
    assert 20 * np.log10(recorded().std()) == pytest.approx(-26, abs=1)


def test_noise_is_as_asked():
    burst = np.where(np.arange(32_000) < 16_000, SPEECH, 0)
    quiet = recorded(burst, snr_db=30.0)[24_000:]
    assert 20 * np.log10(quiet.std()) == pytest.approx(-26 - 30, abs=2)


def test_offset_and_band_edge_are_as_asked():
    x = recorded(offset=0.002)
    assert x.mean() == pytest.approx(0.002, abs=2e-4)
    power = np.abs(np.fft.rfft(x - x.mean())) ** 2
    hz = np.fft.rfftfreq(len(x), 1 / 16_000)
    assert power[hz > 7300].mean() < 1e-4 * power[(hz > 1000) & (hz < 6500)].mean()


def test_peaks_stay_below_the_limiter():
    speech = SPEECH.copy()
    speech[::4000] = 30.0
    x = recorded(speech, crest_db=12.0)
    assert 20 * np.log10(np.abs(x).max()) < -26 + 12 + 1.5


def test_a_live_room_rings_longer():
    click = np.zeros(16_000)
    click[1000] = 1.0

    def late(seconds):
        x = recorded(click, reverb_seconds=seconds, direct_db=0.0, crest_db=60.0)
        return float(np.sum(x[4000:8000] ** 2) / np.sum(x**2))

    assert late(0.5) > 10 * late(0.12)
