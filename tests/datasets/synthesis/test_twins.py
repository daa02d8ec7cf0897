from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from dfx import audio
from dfx.datasets.synthesis import twins
from dfx.datasets.synthesis.frames import hann_window, stft
from dfx.datasets.synthesis.phonemes import random_phoneme_sentence
from dfx.datasets.synthesis.speaker import SAMPLE_RATE, draw_speaker_voice, render_speaker, speaker_controls
from dfx.datasets.synthesis.twins import (
    COPY,
    VOCODERS,
    TwinJob,
    match_twin_level,
    rebuild_twin_pieces,
    write_twins,
)
from dfx.datasets.synthesis.vocoders.external import ExternalCodec
from dfx.datasets.synthesis.vocoders.spectral import through_mel


def needs(name: str) -> None:
    """Skip where an optional library or codec is missing."""
    if name == "world":
        pytest.importorskip("pyworld")
    rebuild = VOCODERS[name].rebuild
    if isinstance(rebuild, ExternalCodec) and rebuild.encoder not in av.codecs_available:
        pytest.skip(f"FFmpeg without {rebuild.encoder}")


def make(source: Path, vocoder: str, codec: str = "", band_hz: int | None = None) -> np.ndarray:
    band = (SAMPLE_RATE if vocoder == COPY else VOCODERS[vocoder].band_hz) if band_hz is None else band_hz
    return np.concatenate(list(rebuild_twin_pieces(TwinJob(str(source), "x.flac", "u1", vocoder, band, codec))))


def mel_level(waveform: np.ndarray) -> np.ndarray:
    """Log-spectral envelope in dB below 3.4 kHz, (frames, 18 bands), floored 50 dB below its maximum."""
    level = 20 * np.log10(through_mel(np.abs(stft(waveform, 1024, 512, hann_window(1024))), 24)[:, :220:12] + 1e-9)
    return np.maximum(level, level.max() - 50)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of speech at 16 kHz, with 50 ms of digital silence at its end and a constant offset elsewhere."""
    rng = np.random.default_rng(5)
    voice = draw_speaker_voice(rng, female=False)
    num_samples = 2 * SAMPLE_RATE + 37
    x = render_speaker(
        voice,
        speaker_controls(voice, random_phoneme_sentence(2.01, 0.1, 0.1, voice.rate, rng), rng),
        num_samples,
        rng,
    )
    x = 0.1 * x / x.std() + 1e-4 * rng.standard_normal(num_samples) + 0.01
    x[-800:] = 0
    path = tmp_path_factory.mktemp("twins") / "u1.wav"
    audio.write_audio(path, x, SAMPLE_RATE)
    return path


@pytest.mark.parametrize("name", VOCODERS)
def test_a_twin_says_the_same_at_the_same_time_and_level(name: str, recording: Path) -> None:
    needs(name)
    original, twin = audio.read_audio(recording, SAMPLE_RATE), make(recording, name)
    assert twin.shape == original.shape
    assert twin.dtype == np.float32
    assert np.abs(twin - original).std() > 0.005 * original.std()
    assert np.corrcoef(mel_level(original).ravel(), mel_level(twin).ravel())[0, 1] > 0.9
    assert twin.std() == pytest.approx(original.std(), rel=0.03)
    assert twin.mean() == pytest.approx(original.mean(), abs=1e-3)
    assert np.abs(twin).max() <= np.abs(original).max() + 0.021  # about their mean
    assert not twin[-800:].any()  # digital silence stays
    np.testing.assert_array_equal(make(recording, name), twin)


@pytest.mark.parametrize("name", twins.CODECS)
def test_a_codec_is_in_time_to_the_sample(name: str, recording: Path) -> None:
    needs(name)
    original, twin = make(recording, COPY, band_hz=VOCODERS[name].band_hz), make(recording, name)
    product = np.fft.rfft(twin, 1 << 17) * np.fft.rfft(original, 1 << 17).conj()
    lag = int(np.argmax(np.fft.irfft(product)))
    assert min(lag, (1 << 17) - lag) <= 1


@pytest.mark.parametrize("name", VOCODERS)
@pytest.mark.parametrize("num_samples", [400, 1600, 4001])
def test_a_short_recording_is_enough(name: str, num_samples: int, tmp_path: Path) -> None:
    needs(name)
    path = tmp_path / "short.wav"
    audio.write_audio(path, 0.1 * np.random.default_rng(0).standard_normal(num_samples), SAMPLE_RATE)
    twin = make(path, name)
    assert twin.shape == (num_samples,)
    assert np.isfinite(twin).all()


def test_the_copy_of_a_recording_at_16_khz_is_exact(recording: Path) -> None:
    original = audio.read_audio(recording, SAMPLE_RATE)
    np.testing.assert_array_equal(audio.to_int16(make(recording, COPY)), audio.to_int16(original))


def test_a_narrow_vocoder_and_the_copy_beside_it_share_the_band(tmp_path: Path) -> None:
    needs("amr_5kbps")
    path = tmp_path / "noise.wav"
    audio.write_audio(path, 0.1 * np.random.default_rng(0).standard_normal(32_000), SAMPLE_RATE)
    for waveform in (make(path, "amr_5kbps"), make(path, COPY, band_hz=8_000)):
        power = np.abs(np.fft.rfft(waveform)) ** 2
        assert power[len(power) * 9 // 16 :].sum() < 1e-4 * power.sum()
        assert waveform.std() == pytest.approx(0.1, rel=0.03)


def test_a_codec_may_follow_on_both_sides(recording: Path) -> None:
    needs("opus_12kbps")
    plain, coded = make(recording, COPY), make(recording, COPY, codec="opus_12kbps")
    np.testing.assert_array_equal(coded, make(recording, "opus_12kbps"))
    assert np.abs(coded - plain).std() > 0.05 * plain.std()
    assert np.abs(make(recording, "lpc", codec="opus_12kbps") - make(recording, "lpc")).std() > 0.05 * plain.std()


def test_a_long_recording_is_rebuilt_in_pieces_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_match_level_turns_down_peaks_only_where_they_are() -> None:
    rng = np.random.default_rng(0)
    original, peaked = 0.1 * rng.standard_normal((2, 16_000)) + 0.01
    peaked[8_000] = 3.0
    level = match_twin_level(peaked, original)
    assert np.abs(level - original.mean()).max() <= np.abs(original - original.mean()).max() + 1e-6
    assert level.std() == pytest.approx(original.std(), rel=0.01)
    assert level.mean() == pytest.approx(original.mean(), abs=1e-3)
    away = np.abs(np.arange(16_000) - 8_000) > 4 * twins.LIMITER
    assert np.corrcoef(level[away], peaked[away])[0, 1] > 0.999


@pytest.mark.parametrize(
    ("content", "reason"), [("silent", "it is silent"), ("constant", "it is silent"), ("text", "")]
)
def test_what_cannot_be_used_leaves_its_reason(content: str, reason: str, tmp_path: Path) -> None:
    source, target = tmp_path / "x.wav", tmp_path / "lpc" / "x.flac"
    if content == "text":
        source.write_text("no audio")
    else:
        audio.write_audio(source, np.full(16_000, 0.1 * (content == "constant")), SAMPLE_RATE)
    assert write_twins([TwinJob(str(source), str(target), "x", "lpc", SAMPLE_RATE, "")]) == 1
    assert [path.name for path in target.parent.iterdir()] == ["x.txt"]
    assert (target.parent / "x.txt").read_text().startswith(reason)


def test_files_are_16_bit_flac_at_16_khz_whatever_the_source(tmp_path: Path) -> None:
    for rate, channels in ((8_000, 1), (44_100, 2), (96_000, 2)):
        source, target = tmp_path / f"{rate}.wav", tmp_path / f"{rate}.flac"
        audio.write_audio(source, 0.1 * np.random.default_rng(0).standard_normal((rate, channels)), rate)
        write_twins([TwinJob(str(source), str(target), "x", "mu_law_8bit", SAMPLE_RATE, "")])
        info = soundfile.info(target)
        assert (info.samplerate, info.channels, info.subtype) == (SAMPLE_RATE, 1, "PCM_16")
        assert info.frames == len(audio.read_audio(source, SAMPLE_RATE))


def test_missing_libraries_come_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(ValueError, match=r"world needs pyworld.*pip install 'dfx\[vocoders\]'"):
        twins.check_twin_library("world")
    monkeypatch.setattr(av, "codecs_available", set())
    with pytest.raises(ValueError, match="no encoder libopus"):
        twins.check_twin_library("opus_12kbps")
