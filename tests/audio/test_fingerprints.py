import numpy as np
import pytest
import soxr
import torch

from dfx.audio.fingerprints import ClipSpectra
from dfx.features import LFCC

RATE = 16000


def noise(samples, level=0.1, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def describe(waveform, size=5000, rate=RATE):
    spectra = ClipSpectra(rate)
    for start in range(0, len(waveform), size):
        spectra.add(waveform[start : start + size].astype(np.float32))
    return spectra.summary()


def cosine(one, other):
    one, other = one.astype(float), other.astype(float)
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_cepstra_are_those_of_the_feature(babble):
    clip = babble(RATE, 0).astype(np.float32)
    feature = LFCC(RATE, deltas=False)
    cepstra = feature.extract(torch.from_numpy(clip)[None])[0, 0, 1:].numpy()  # its coefficient 0 is an energy
    found = describe(clip).lfcc
    # The feature takes log10 and frames beyond the ends.
    np.testing.assert_allclose(found[1:20], cepstra[:, 1:-1].mean(axis=1) * np.log(10), atol=0.1)
    np.testing.assert_allclose(found[21:], cepstra[:, 1:-1].std(axis=1) * np.log(10), atol=0.1)


def test_a_copy_has_the_same_fingerprint_and_another_recording_has_not(babble):
    clip = babble(2 * RATE, 1)
    telephone = soxr.resample(soxr.resample(clip, RATE, 8000), 8000, RATE)
    own = describe(clip).fingerprint
    assert cosine(own, describe(0.05 * clip).fingerprint) > 0.98
    assert cosine(own, describe(telephone).fingerprint) > 0.98
    assert cosine(own, describe(np.concatenate([np.zeros(3000), clip])).fingerprint) > 0.95
    assert max(abs(cosine(own, describe(babble(2 * RATE, seed)).fingerprint)) for seed in range(2, 12)) < 0.7


def test_the_active_part_is_found():
    silence = np.zeros(RATE, np.float32)
    found = describe(np.concatenate([silence, noise(2 * RATE), silence]))
    assert found.start_s == pytest.approx(1, abs=0.05)
    assert found.active_s == pytest.approx(2, abs=0.1)


def test_silence_has_no_fingerprint():
    found = describe(np.zeros(RATE, np.float32))
    assert not found.fingerprint.any()
    assert (found.start_s, found.active_s) == (0, 0)
