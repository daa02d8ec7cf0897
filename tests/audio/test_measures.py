import numpy as np
import pytest
import soundfile

from dfx import audio
from dfx.audio.fingerprints import ClipSpectra
from dfx.audio.measures import (
    COLUMNS,
    SCALARS,
    ClipScalars,
    MeanSpectrum,
    bandwidth_hz,
    measure_clip,
    spectrum_cliff_db,
)

RATE = 16000


def noise(samples, level=0.1, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def to_16_bits(waveform):
    return (np.round(waveform * 32768) / 32768).astype(np.float32)


def measure(waveform, rate=RATE, size=7001):
    clip = ClipScalars(rate)
    for start in range(0, len(waveform), size):
        clip.add(waveform[start : start + size].astype(np.float32))
    return clip.values()


def test_every_scalar_is_measured_and_finite():
    for waveform in (noise(RATE), np.zeros(RATE), noise(1), noise(37), np.ones(100)):
        found = measure(waveform)
        assert tuple(found) == tuple(scalar.name for scalar in SCALARS)
        assert np.isfinite(list(found.values())).all()


def test_blocks_of_any_size_give_the_same_scalars():
    clip = np.clip(noise(50_000, 0.4), -0.5, 0.5)
    whole, pieces = measure(clip, size=100_000), measure(clip, size=1234)
    for name in whole.keys() - {"clipped"}:  # a flat top on the edge of two blocks counts as two
        assert whole[name] == pytest.approx(pieces[name], rel=1e-4, abs=1e-6), name


SINE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
SILENT_ENDS = np.concatenate([np.zeros(1600), noise(RATE), 1e-4 * noise(3200)])


@pytest.mark.parametrize(
    ("waveform", "rate", "name", "value", "tolerance"),
    [
        (SINE, RATE, "duration", 1, 0),
        (SINE, RATE, "loudness", -9.03, 0.01),
        (SINE, RATE, "peak", -6.02, 0.01),
        (SINE, RATE, "dc", 0, 1e-6),
        (noise(RATE) - 0.05, RATE, "dc", 0.05, 0.002),
        (SILENT_ENDS, RATE, "leading_silence", 0.1, 1e-6),
        (SILENT_ENDS, RATE, "trailing_silence", 0.2, 1e-6),
        (np.concatenate([noise(RATE), noise(RATE // 4, 0.001)]), RATE, "noise_floor", -60.5, 1),
        (np.concatenate([np.zeros(4000), noise(12000)]), RATE, "zeros", 0.25, 1e-4),
        (noise(48000), 48000, "bandwidth", 24000, 0),
        (noise(48000), 48000, "relative_bandwidth", 1, 0),
    ],
)
def test_scalars_of_known_clips(waveform, rate, name, value, tolerance):
    assert measure(waveform, rate)[name] == pytest.approx(value, abs=tolerance)


def test_clipped_tops_are_counted_also_of_a_clip_made_softer():
    clipped = np.clip(noise(RATE, 0.5), -0.6, 0.6)
    assert measure(clipped)["clipped"] > 0.02
    assert measure(to_16_bits(0.3 * clipped))["clipped"] > 0.02
    assert measure(noise(RATE, 0.2))["clipped"] == 0
    assert measure(np.zeros(RATE))["clipped"] == 0


def test_ordinary_samples_use_16_bits():
    for level in (0.01, 0.05, 0.2):
        assert measure(to_16_bits(noise(RATE, level)))["effective_bits"] > 15.7
        assert measure(to_16_bits(noise(4000, level)))["effective_bits"] > 15


def test_coarse_values_are_noticed():
    clip = noise(RATE, 0.15)
    assert measure(np.round(clip * 128) / 128)["effective_bits"] < 9
    compressed = np.sign(clip) * np.log1p(255 * np.abs(clip)) / np.log(256)
    levels = np.round(compressed * 127) / 127
    mu_law = np.sign(levels) * (256 ** np.abs(levels) - 1) / 255
    assert measure(to_16_bits(mu_law))["effective_bits"] < 12.5
    assert measure(to_16_bits(0.7 * mu_law))["effective_bits"] < 12.5


def test_silence_is_not_coarse():
    assert measure(np.zeros(RATE))["effective_bits"] == 16
    clip = np.concatenate([np.zeros(RATE), to_16_bits(noise(RATE, 0.05))])
    assert measure(clip)["effective_bits"] > 15.8


def test_the_digest_knows_samples_and_nothing_else():
    one, other = ClipScalars(16000), ClipScalars(8000)
    clip = to_16_bits(noise(5000))
    one.add(clip)
    other.add(clip[:99])
    other.add(clip[99:])
    assert one.digest == other.digest
    third = ClipScalars(16000)
    third.add(-clip)
    assert third.digest != one.digest


def power(waveform, size=1000):
    mean = MeanSpectrum()
    for start in range(0, len(waveform), size):
        mean.add(waveform[start : start + size])
    return mean.power()


def describe(waveform, size=5000, rate=RATE):
    spectra = ClipSpectra(rate)
    for start in range(0, len(waveform), size):
        spectra.add(waveform[start : start + size].astype(np.float32))
    return spectra.summary()


def lowpass(waveform, hz, rate=RATE):
    bins = np.fft.rfft(waveform)
    bins[np.fft.rfftfreq(len(waveform), 1 / rate) > hz] = 0
    return np.fft.irfft(bins, len(waveform)).astype(np.float32)


@pytest.mark.parametrize("hz", [2500, 4000, 7000])
def test_bandwidth_is_where_the_band_ends(hz):
    assert bandwidth_hz(power(lowpass(noise(RATE), hz)), RATE) == pytest.approx(hz, abs=120)  # the skirts of the window


def test_bandwidth_of_white_noise_is_half_the_rate_and_of_silence_nothing():
    assert bandwidth_hz(power(noise(RATE)), RATE) == RATE / 2
    assert bandwidth_hz(power(np.zeros(RATE, np.float32)), RATE) == 0


def test_a_low_pass_is_a_cliff_and_noise_is_none():
    assert spectrum_cliff_db(power(lowpass(noise(RATE), 4000)), RATE) > 40
    assert spectrum_cliff_db(power(noise(RATE)), RATE) < 5
    assert spectrum_cliff_db(power(np.zeros(RATE, np.float32)), RATE) == 0


def test_blocks_of_any_size_give_the_same_spectra(babble):
    clip = babble(21000, 0).astype(np.float32)
    np.testing.assert_allclose(power(clip, 777), power(clip, 100_000), rtol=1e-5)
    whole, pieces = describe(clip, 100_000), describe(clip, 777)
    np.testing.assert_allclose(whole.lfcc, pieces.lfcc, rtol=1e-4, atol=1e-4)
    assert np.abs(whole.fingerprint.astype(int) - pieces.fingerprint).max() <= 1


@pytest.mark.parametrize("samples", [1, 100, 319, 320, 1023, 1024])
def test_short_clips_are_described(samples):
    clip = noise(RATE)[:samples]
    found = describe(clip)
    assert np.isfinite(found.lfcc).all()
    assert np.isfinite(power(clip)).all()


def test_a_file_has_every_column(tmp_path):
    clip = to_16_bits(noise(RATE))
    for suffix, rate, bits in ((".wav", RATE, 16), (".flac", 24000, 16), (".mp3", RATE, 0)):
        path = tmp_path / f"clip{suffix}"
        soundfile.write(path, clip, rate)
        row = measure_clip(str(path), RATE)
        assert row.keys() == {"path", *COLUMNS}
        assert (row["sample_rate"], row["channels"], row["bits"]) == (rate, 1, bits)
        assert row["reason"] == ""
        assert row["duration"] == pytest.approx(RATE / rate, rel=0.1)
        samples = audio.to_int16(audio.read_audio(path, RATE)).astype(np.float32) / 32768
        np.testing.assert_allclose(np.frombuffer(row["lfcc"], np.float32), describe(samples).lfcc, rtol=1e-5)


def test_a_bad_file_has_a_reason(tmp_path):
    path = tmp_path / "text.wav"
    path.write_text("no audio")
    row = measure_clip(str(path), RATE)
    assert row.keys() == {"path", *COLUMNS}
    assert "no decoder" in row["reason"]
    assert np.isnan(row["duration"])
