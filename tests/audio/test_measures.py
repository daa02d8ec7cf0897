from __future__ import annotations

import numpy as np
import pytest

from dfx.audio.measures import SCALARS, Clip

RATE = 16000


def noise(samples: int, level: float = 0.1, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def to_16_bits(waveform: np.ndarray) -> np.ndarray:
    return (np.round(waveform * 32768) / 32768).astype(np.float32)


def measure(waveform: np.ndarray, rate: int = RATE, size: int = 7001) -> dict[str, float]:
    clip = Clip(rate)
    for start in range(0, len(waveform), size):
        clip.add(waveform[start : start + size].astype(np.float32))
    return clip.measures()


def test_every_scalar_is_measured_and_finite() -> None:
    for waveform in (noise(RATE), np.zeros(RATE), noise(1), noise(37), np.ones(100)):
        found = measure(waveform)
        assert tuple(found) == SCALARS
        assert np.isfinite(list(found.values())).all()


def test_blocks_of_any_size_give_the_same() -> None:
    clip = np.clip(noise(50_000, 0.4), -0.5, 0.5)
    whole, pieces = measure(clip, size=100_000), measure(clip, size=1234)
    for name in set(SCALARS) - {"clipped"}:  # a flat top on the edge of two blocks counts as two
        assert whole[name] == pytest.approx(pieces[name], rel=1e-4, abs=1e-6), name


def test_levels_of_a_sine() -> None:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    found = measure(wave)
    assert found["duration"] == 1
    assert found["loudness"] == pytest.approx(-9.03, abs=0.01)
    assert found["peak"] == pytest.approx(-6.02, abs=0.01)
    assert found["dc"] == pytest.approx(0, abs=1e-6)


def test_offset_of_either_sign() -> None:
    assert measure(noise(RATE) - 0.05)["dc"] == pytest.approx(0.05, abs=0.002)


def test_silences_at_the_ends() -> None:
    found = measure(np.concatenate([np.zeros(1600), noise(RATE), 1e-4 * noise(3200)]))
    assert found["leading_silence"] == pytest.approx(0.1)
    assert found["trailing_silence"] == pytest.approx(0.2)


def test_noise_floor_is_that_of_the_quietest_frames() -> None:
    loud, quiet = noise(RATE, 0.1), noise(RATE // 4, 0.001)
    assert measure(np.concatenate([loud, quiet]))["noise_floor"] == pytest.approx(-60.5, abs=1)


def test_share_of_exact_zeros() -> None:
    assert measure(np.concatenate([np.zeros(4000), noise(12000)]))["zeros"] == pytest.approx(0.25, abs=1e-4)


def test_clipped_tops_are_counted_also_of_a_clip_made_softer() -> None:
    clipped = np.clip(noise(RATE, 0.5), -0.6, 0.6)
    assert measure(clipped)["clipped"] > 0.02
    assert measure(to_16_bits(0.3 * clipped))["clipped"] > 0.02
    assert measure(noise(RATE, 0.2))["clipped"] == 0
    assert measure(np.zeros(RATE))["clipped"] == 0


def test_bandwidth_at_the_rate_of_the_file() -> None:
    found = measure(noise(48000), rate=48000)
    assert found["bandwidth"] == 24000
    assert found["relative_bandwidth"] == 1


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_ordinary_samples_use_16_bits(level: float) -> None:
    assert measure(to_16_bits(noise(RATE, level)))["effective_bits"] > 15.7
    assert measure(to_16_bits(noise(4000, level)))["effective_bits"] > 15


def test_coarse_values_are_noticed() -> None:
    clip = noise(RATE, 0.15)
    assert measure(np.round(clip * 128) / 128)["effective_bits"] < 9
    compressed = np.sign(clip) * np.log1p(255 * np.abs(clip)) / np.log(256)
    levels = np.round(compressed * 127) / 127
    mu_law = np.sign(levels) * (256 ** np.abs(levels) - 1) / 255
    assert measure(to_16_bits(mu_law))["effective_bits"] < 12.5
    assert measure(to_16_bits(0.7 * mu_law))["effective_bits"] < 12.5


def test_silence_is_not_coarse() -> None:
    assert measure(np.zeros(RATE))["effective_bits"] == 16
    clip = np.concatenate([np.zeros(RATE), to_16_bits(noise(RATE, 0.05))])
    assert measure(clip)["effective_bits"] > 15.8


def test_the_digest_knows_samples_and_nothing_else() -> None:
    one, other = Clip(16000), Clip(8000)
    clip = to_16_bits(noise(5000))
    one.add(clip)
    other.add(clip[:99])
    other.add(clip[99:])
    assert one.digest == other.digest
    third = Clip(16000)
    third.add(-clip)
    assert third.digest != one.digest
