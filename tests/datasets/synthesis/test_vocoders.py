import numpy as np
import pytest

from dfx.datasets.synthesis.demo_clips import ATTACKS
from dfx.datasets.synthesis.frames import cut_frames, overlap_add_frames
from dfx.datasets.synthesis.vocoders.codecs import imdct, mdct
from dfx.datasets.synthesis.vocoders.parametric import levinson


@pytest.mark.parametrize("name", ATTACKS)
def test_a_vocoder_keeps_the_words_and_changes_the_waveform(name, speech, mel_level):
    rebuilt = ATTACKS[name](speech, np.random.default_rng(0))
    assert rebuilt.shape == speech.shape
    assert rebuilt.dtype == np.float32
    assert np.isfinite(rebuilt).all()
    assert np.abs(rebuilt - speech).std() > 0.05 * speech.std()
    before, after = mel_level(speech), mel_level(rebuilt)
    bound = 9.0 if name == "D08" else 6.0  # splices also move sounds by a frame
    assert np.mean(np.abs(after - before)) < bound
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.85


@pytest.mark.parametrize("name", ATTACKS)
def test_a_vocoder_survives_silence_and_short_clips(name):
    for waveform in (np.zeros(4000, np.float32), np.random.default_rng(0).standard_normal(801).astype(np.float32)):
        rebuilt = ATTACKS[name](waveform, np.random.default_rng(0))
        assert rebuilt.shape == waveform.shape
        assert np.isfinite(rebuilt).all()


def test_mdct_inverts_itself():
    x = np.random.default_rng(0).standard_normal(5001).astype(np.float32)
    window = np.sin(np.pi * (np.arange(640) + 0.5) / 640)
    y = overlap_add_frames(imdct(mdct(cut_frames(x, 640, 320) * window)) * window, 320, 320, len(x))
    np.testing.assert_allclose(y, x, atol=1e-5)


def test_levinson_solves_the_normal_equations():
    from scipy.linalg import solve_toeplitz

    x = np.random.default_rng(0).standard_normal(500)
    r = np.correlate(x, x, "full")[499:514]
    coefficients, error = levinson(np.stack([r, 2 * r]))
    expected = solve_toeplitz(r[:-1], -r[1:])
    np.testing.assert_allclose(coefficients[:, 1:], [expected, expected], atol=1e-4)
    np.testing.assert_allclose(error[0], r[0] + expected @ r[1:], rtol=1e-3)
