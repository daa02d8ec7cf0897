"""Spoofed twins of genuine recordings: the same speech, passed through a vocoder or a codec.

A twin has the exact length of its original, its level (RMS), its offset and its digital silence, and no higher peak, so
that such measures say little about the class. A copy of the original goes through the same steps except the vocoder.

Source:
    Vocoded speech as training data: Wang and Yamagishi 2023, "Spoofed training data for speech spoofing countermeasure
    can be efficiently created using neural vocoders".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import soundfile
from scipy import ndimage

from dfx import audio, files
from dfx.datasets.synthesis.frames import Real
from dfx.datasets.synthesis.speaker import SAMPLE_RATE
from dfx.datasets.synthesis.vocoders import griffin_lim, lpc, mu_law
from dfx.datasets.synthesis.vocoders.external import ExternalCodec, check_external_world, external_world

PIECE = 20 * SAMPLE_RATE  # longer recordings are rebuilt in pieces, to limit memory
FADE = SAMPLE_RATE // 10  # overlap of pieces, cross-faded: the first frames of a vocoder have no past
SHORTEST = SAMPLE_RATE // 4  # shorter recordings are extended for the vocoder, and cut again
LIMITER = 40  # samples attenuated on each side of a peak: 2.5 ms
DIGITAL_SILENCE = 80  # this many zeros in a row (5 ms) are not from a microphone and stay zeros
ZERO = 0.5 / audio.FULL_SCALE  # smaller values are zero in the file
COPY = "bonafide"  # instead of the name of a vocoder


@dataclass(frozen=True)
class TwinVocoder:
    """Vocoder or codec for spoofed twins, and the bandwidth that it keeps.

    Attributes:
        rebuild: (waveform (samples,) at 16 kHz, generator) -> (samples,).
        band_hz: twice the highest frequency that it keeps; original and twin are both limited to it.
    """

    rebuild: Callable[[Real, np.random.Generator], Real]
    band_hz: int = SAMPLE_RATE


VOCODERS = {
    "griffin_lim_40": TwinVocoder(partial(griffin_lim, bands=40, iterations=32)),
    "griffin_lim_80": TwinVocoder(partial(griffin_lim, bands=80, iterations=32)),
    "griffin_lim_128": TwinVocoder(partial(griffin_lim, bands=128, iterations=32)),
    "world": TwinVocoder(external_world),
    "lpc": TwinVocoder(partial(lpc, order=18)),  # two for each kHz of bandwidth, plus two
    "mu_law_8bit": TwinVocoder(partial(mu_law, bits=8)),
    "opus_12kbps": TwinVocoder(ExternalCodec("libopus", 12_000, options={"application": "voip"})),
    # FFmpeg's cutoff replaces LAME's lower one; at 16 kHz nothing above 7.4 kHz is left.
    "mp3_16kbps": TwinVocoder(
        ExternalCodec("libmp3lame", 16_000, sample_format="s16p", options={"cutoff": "7900"}), band_hz=14_800
    ),
    "amr_5kbps": TwinVocoder(ExternalCodec("libopencore_amrnb", 4_750, sample_rate=8_000, delay=40), band_hz=8_000),
}
CODECS = [name for name, vocoder in VOCODERS.items() if isinstance(vocoder.rebuild, ExternalCodec)]


class TwinJob(NamedTuple):
    """Audio file to generate: a spoofed twin, or a copy of the original.

    Attributes:
        source: the recording.
        target: the FLAC file.
        id: of the utterance; seeds the random numbers of the vocoder.
        vocoder: one of `VOCODERS`, or `COPY`.
        band_hz: see `TwinVocoder`.
        codec: one of `CODECS`, applied last, or "".
    """

    source: str
    target: str
    id: str
    vocoder: str
    band_hz: int
    codec: str


def check_twin_library(name: str) -> None:
    """Raise a ValueError with the install command if the library of a vocoder or codec is missing."""
    rebuild = VOCODERS[name].rebuild
    if isinstance(rebuild, ExternalCodec):
        rebuild.check()
    elif rebuild is external_world:
        check_external_world()


def write_twins(jobs: Sequence[TwinJob]) -> int:
    """Write the audio files of some jobs, and return their number.

    Files are 16-bit FLAC at 16 kHz, each written atomically. If a recording cannot be used, a text file
    (`twin_reason_path`) with the reason is written in place of the FLAC file.

    Raises:
        ValueError: if a file cannot be written.
    """
    for job in jobs:
        try:
            with (
                files.atomic_write(job.target) as temporary,
                soundfile.SoundFile(temporary, "w", SAMPLE_RATE, 1, "PCM_16", format="FLAC") as file,
            ):
                for piece in rebuild_twin_pieces(job):
                    file.write(audio.to_int16(piece))
        except audio.AudioError as error:
            files.write_text_file(twin_reason_path(job.target, error.may_pass), error.reason)
        except (OSError, soundfile.LibsndfileError) as error:
            raise ValueError(
                f"{job.target} cannot be written ({error}): free some room, or give another folder by $DFX_CACHE or "
                "dataset.cache; finished files are kept."
            ) from error
    return len(jobs)


def twin_reason_path(target: str, may_pass: bool = False) -> str:
    """Path of the text file with the reason why a twin could not be made; temporary reasons have another name."""
    return f"{target.removesuffix('.flac')}{'.temporary' if may_pass else ''}.txt"


def rebuild_twin_pieces(job: TwinJob) -> Iterator[Real]:
    """Compute the samples of a job's audio file, in consecutive pieces.

    Raises:
        audio.AudioError: if the recording cannot be read or is silent.
    """
    name = f"{job.id}\0{job.vocoder}".encode(errors="surrogateescape")
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name).digest()[:8], "little"))
    rise = (np.arange(FADE, dtype=np.float32) + 0.5) / FADE
    tail, silent = np.zeros(0, np.float32), True
    for piece, is_last in _pieces(audio.read_audio_blocks(job.source, SAMPLE_RATE)):
        silent = silent and _is_silent(piece)
        made = _through(piece, job, rng)
        if len(tail):
            made[:FADE] = made[:FADE] * rise + tail * rise[::-1]
        keep = len(piece) if is_last else PIECE
        tail = made[keep:]
        yield made[:keep]
    if silent:
        raise audio.AudioError(job.source, "it is silent: a twin would be the same")


def match_twin_level(waveform: Real, original: Real) -> Real:
    """Match mean and RMS of a waveform (samples,) to its original, without higher peaks."""
    centre = float(np.mean(original, dtype=np.float64))
    wanted, ceiling = _rms(original - centre), float(np.abs(original - centre).max())
    result = waveform - np.mean(waveform, dtype=np.float64).astype(np.float32)
    for _ in range(4):
        result = result * np.float32(wanted / max(_rms(result), 1e-12))
        level = np.abs(result)
        if level.max() <= ceiling:
            break
        gain = np.minimum(1.0, ceiling / np.maximum(level, ceiling))
        size = 2 * LIMITER + 1
        result = result * ndimage.uniform_filter1d(ndimage.minimum_filter1d(gain, size), size)
    return (result + np.float32(centre)).astype(np.float32)


def _through(waveform: Real, job: TwinJob, rng: np.random.Generator) -> Real:
    """Pass one piece of a recording (samples,) through the vocoder and the codec of a job."""
    if _is_silent(waveform):
        return waveform
    filled = np.pad(waveform, (0, max(0, SHORTEST - len(waveform))), mode="wrap")
    result = _narrowed(filled, job.band_hz)
    for name in (job.vocoder, job.codec):
        if name not in ("", COPY):
            result = match_twin_level(VOCODERS[name].rebuild(result, rng), result)
    result = result[: len(waveform)]
    if not np.isfinite(result).all() or _is_silent(result):
        raise audio.AudioError(job.source, f"{job.vocoder} gives silence or no finite samples")
    result = match_twin_level(result, waveform)
    zeros = np.abs(waveform) < ZERO
    result[ndimage.binary_opening(zeros, np.ones(DIGITAL_SILENCE, dtype=bool))] = 0
    return result


def _narrowed(waveform: Real, band_hz: int) -> Real:
    """Limit the bandwidth of a waveform (samples,) by resampling to `band_hz` and back."""
    narrow = audio.resample_waveform(waveform, SAMPLE_RATE, band_hz)
    result = audio.resample_waveform(narrow, band_hz, SAMPLE_RATE)[: len(waveform)]
    return np.pad(result, (0, len(waveform) - len(result)))


def _pieces(blocks: Iterable[Real]) -> Iterator[tuple[Real, bool]]:
    """Regroup blocks into overlapping pieces of PIECE + FADE samples; the last piece is longer."""
    held: list[Real] = []
    for block in blocks:
        held.append(block)
        if sum(map(len, held)) >= 2 * PIECE + FADE:
            joined = np.concatenate(held)
            while len(joined) >= 2 * PIECE + FADE:
                yield joined[: PIECE + FADE], False
                joined = joined[PIECE:]
            held = [joined]
    yield np.concatenate(held), True


def _is_silent(waveform: Real) -> bool:
    return bool(np.ptp(waveform) < 2 * ZERO)


def _rms(waveform: Real) -> float:
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))
