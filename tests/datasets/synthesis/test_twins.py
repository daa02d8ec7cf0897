import sys

import av
import numpy as np
import pytest

from dfx import audio
from dfx.datasets.synthesis import twins
from dfx.datasets.synthesis.speaker import SAMPLE_RATE
from dfx.datasets.synthesis.twins import COPY, VOCODERS, TwinJob, match_twin_level, rebuild_twin_pieces
from dfx.datasets.synthesis.vocoders.external import ExternalCodec


def needs(name):
    """Skip where an optional library or codec is missing."""
    if name == "world":
        pytest.importorskip("pyworld")
    rebuild = VOCODERS[name].rebuild
    if isinstance(rebuild, ExternalCodec) and rebuild.encoder not in av.codecs_available:
        pytest.skip(f"FFmpeg without {rebuild.encoder}")


def make(source, vocoder, codec="", band_hz=None):
    band = (SAMPLE_RATE if vocoder == COPY else VOCODERS[vocoder].band_hz) if band_hz is None else band_hz
    return np.concatenate(list(rebuild_twin_pieces(TwinJob(str(source), "x.flac", "u1", vocoder, band, codec))))


@pytest.fixture(scope="module")
def recording(speech, tmp_path_factory):
    """A file of speech with 50 ms of digital silence at its end and a constant offset elsewhere."""
    x = 0.1 * speech + 0.01
    x[-800:] = 0
    path = tmp_path_factory.mktemp("twins") / "u1.wav"
    audio.write_audio(path, x, SAMPLE_RATE)
    return path


@pytest.mark.parametrize("name", VOCODERS)
def test_a_twin_says_the_same_at_the_same_time_and_level(name, recording, mel_level):
    needs(name)
    original, twin = audio.read_audio(recording, SAMPLE_RATE), make(recording, name)
    assert twin.shape == original.shape
    assert twin.dtype == np.float32
    assert np.abs(twin - original).std() > 0.005 * original.std()
    before, after = (mel_level(waveform, slice(0, 220, 12)).ravel() for waveform in (original, twin))  # to 3.4 kHz
    assert np.corrcoef(before, after)[0, 1] > 0.9
    assert twin.std() == pytest.approx(original.std(), rel=0.03)
    assert twin.mean() == pytest.approx(original.mean(), abs=1e-3)
    assert np.abs(twin).max() <= np.abs(original).max() + 0.021  # about their mean
    assert not twin[-800:].any()  # digital silence stays
    np.testing.assert_array_equal(make(recording, name), twin)


@pytest.mark.parametrize("name", twins.CODECS)
def test_a_codec_is_in_time_to_the_sample(name, recording):
    needs(name)
    original, twin = make(recording, COPY, band_hz=VOCODERS[name].band_hz), make(recording, name)
    product = np.fft.rfft(twin, 1 << 17) * np.fft.rfft(original, 1 << 17).conj()
    lag = int(np.argmax(np.fft.irfft(product)))
    assert min(lag, (1 << 17) - lag) <= 1


@pytest.mark.parametrize("name", VOCODERS)
@pytest.mark.parametrize("num_samples", [400, 1600, 4001])
def test_a_short_recording_is_enough(name, num_samples, tmp_path):
    needs(name)
    path = tmp_path / "short.wav"
    audio.write_audio(path, 0.1 * np.random.default_rng(0).standard_normal(num_samples), SAMPLE_RATE)
    twin = make(path, name)
    assert twin.shape == (num_samples,)
    assert np.isfinite(twin).all()


def test_a_codec_may_follow_on_both_sides(recording):
    needs("opus_12kbps")
    plain, coded = make(recording, COPY), make(recording, COPY, codec="opus_12kbps")
    np.testing.assert_array_equal(coded, make(recording, "opus_12kbps"))
    assert np.abs(coded - plain).std() > 0.05 * plain.std()
    assert np.abs(make(recording, "lpc", codec="opus_12kbps") - make(recording, "lpc")).std() > 0.05 * plain.std()


def test_a_long_recording_is_rebuilt_in_pieces_without_a_seam(tmp_path, monkeypatch):
    monkeypatch.setattr(twins, "PIECE", 8_000)
    time = np.arange(70_001) / SAMPLE_RATE
    x = 0.1 * np.sin(2 * np.pi * 200 * time) * (1 + 0.5 * np.sin(2 * np.pi * 3 * time))
    path = tmp_path / "long.wav"
    audio.write_audio(path, x, SAMPLE_RATE)
    copy = make(path, COPY)
    np.testing.assert_allclose(copy, audio.read_audio(path, SAMPLE_RATE), atol=2e-5)
    twin = make(path, "griffin_lim_80")
    assert twin.shape == x.shape
    step = np.abs(np.diff(twin))
    seams = np.concatenate([step[start : start + twins.FADE] for start in range(8_000, 60_000, 8_000)])
    assert seams.max() < 1.2 * step[2_000:7_000].max() + 1e-3


def test_match_level_turns_down_peaks_only_where_they_are():
    rng = np.random.default_rng(0)
    original, peaked = 0.1 * rng.standard_normal((2, 16_000)) + 0.01
    peaked[8_000] = 3.0
    level = match_twin_level(peaked, original)
    assert np.abs(level - original.mean()).max() <= np.abs(original - original.mean()).max() + 1e-6
    assert level.std() == pytest.approx(original.std(), rel=0.01)
    assert level.mean() == pytest.approx(original.mean(), abs=1e-3)
    away = np.abs(np.arange(16_000) - 8_000) > 4 * twins.LIMITER
    assert np.corrcoef(level[away], peaked[away])[0, 1] > 0.999


def test_missing_libraries_come_with_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(ValueError, match=r"world needs pyworld.*pip install 'dfx\[vocoders\]'"):
        twins.check_twin_library("world")
    monkeypatch.setattr(av, "codecs_available", set())
    with pytest.raises(ValueError, match="no encoder libopus"):
        twins.check_twin_library("opus_12kbps")
