from __future__ import annotations

import numpy as np
import pytest
import soxr
import torch

from dfx.audio import spectrum
from dfx.audio.spectrum import Describer, MeanSpectrum
from dfx.features import LFCC

RATE = 16000


def noise(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def babble(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Noise whose level and colour change every tenth of a second, as those of speech do."""
    generator = np.random.default_rng(seed)
    pieces = []
    for _ in range(round(10 * seconds)):
        shape = np.interp(
            np.arange(rate // 20 + 1), np.linspace(0, rate // 20, 9), generator.uniform(-3, 0, 9)
        )
        coloured = np.fft.irfft(np.fft.rfft(generator.standard_normal(rate // 10)) * 10**shape)
        pieces.append(coloured * 10 ** generator.uniform(-1, 0))
    clip = np.concatenate(pieces)
    return (0.3 * clip / np.abs(clip).max()).astype(np.float32)


def power(waveform: np.ndarray, size: int = 1000) -> np.ndarray:
    mean = MeanSpectrum()
    for start in range(0, len(waveform), size):
        mean.add(waveform[start : start + size])
    return mean.power()


def describe(waveform: np.ndarray, size: int = 5000, rate: int = RATE) -> spectrum.Description:
    describer = Describer(rate)
    for start in range(0, len(waveform), size):
        describer.add(waveform[start : start + size])
    return describer.done()


def lowpass(waveform: np.ndarray, hz: float, rate: int = RATE) -> np.ndarray:
    bins = np.fft.rfft(waveform)
    bins[np.fft.rfftfreq(len(waveform), 1 / rate) > hz] = 0
    return np.fft.irfft(bins, len(waveform)).astype(np.float32)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one.astype(float), other.astype(float)
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("hz", [2500, 4000, 7000])
def test_bandwidth_is_where_the_band_ends(hz: int) -> None:
    assert spectrum.bandwidth_hz(power(lowpass(noise(1), hz)), RATE) == pytest.approx(
        hz, abs=120
    )  # the skirts of the window


def test_bandwidth_of_white_noise_is_half_the_rate_and_of_silence_nothing() -> None:
    assert spectrum.bandwidth_hz(power(noise(1)), RATE) == RATE / 2
    assert spectrum.bandwidth_hz(power(np.zeros(RATE, np.float32)), RATE) == 0


def test_a_low_pass_is_a_cliff_and_noise_is_none() -> None:
    assert spectrum.cliff_db(power(lowpass(noise(1), 4000)), RATE) > 40
    assert spectrum.cliff_db(power(noise(1)), RATE) < 5
    assert spectrum.cliff_db(power(np.zeros(RATE, np.float32)), RATE) == 0


def test_blocks_of_any_size_give_the_same() -> None:
    clip = babble(1.3)
    np.testing.assert_allclose(power(clip, 777), power(clip, 100_000), rtol=1e-5)
    whole, pieces = describe(clip, 100_000), describe(clip, 777)
    np.testing.assert_allclose(whole.lfcc, pieces.lfcc, rtol=1e-4, atol=1e-4)
    assert np.abs(whole.fingerprint.astype(int) - pieces.fingerprint).max() <= 1


@pytest.mark.parametrize("samples", [1, 100, 319, 320, 1023, 1024])
def test_short_clips_are_described(samples: int) -> None:
    clip = noise(1)[:samples]
    found = describe(clip)
    assert np.isfinite(found.lfcc).all()
    assert np.isfinite(power(clip)).all()


def test_cepstra_are_those_of_the_feature() -> None:
    clip = babble(1)
    feature = LFCC(RATE, deltas=False)
    cepstra = feature.extract(torch.from_numpy(clip)[None])[
        0, 0, 1:
    ].numpy()  # its coefficient 0 is an energy
    found = describe(clip).lfcc
    # The feature takes log10 and frames beyond the ends.
    np.testing.assert_allclose(found[1:20], cepstra[:, 1:-1].mean(axis=1) * np.log(10), atol=0.1)
    np.testing.assert_allclose(found[21:], cepstra[:, 1:-1].std(axis=1) * np.log(10), atol=0.1)


def test_a_copy_has_the_same_fingerprint_and_another_recording_has_not() -> None:
    clip = babble(2, seed=1)
    telephone = soxr.resample(soxr.resample(clip, RATE, 8000), 8000, RATE)
    own = describe(clip).fingerprint
    assert cosine(own, describe(0.05 * clip).fingerprint) > 0.98
    assert cosine(own, describe(telephone).fingerprint) > 0.98
    assert cosine(own, describe(np.concatenate([np.zeros(3000, np.float32), clip])).fingerprint) > 0.95
    assert max(abs(cosine(own, describe(babble(2, seed)).fingerprint)) for seed in range(2, 12)) < 0.7


def test_the_active_part_is_found() -> None:
    silence = np.zeros(RATE, np.float32)
    found = describe(np.concatenate([silence, noise(2), silence]))
    assert found.start_s == pytest.approx(1, abs=0.05)
    assert found.active_s == pytest.approx(2, abs=0.1)


def test_silence_has_no_fingerprint() -> None:
    found = describe(np.zeros(RATE, np.float32))
    assert not found.fingerprint.any()
    assert (found.start_s, found.active_s) == (0, 0)
