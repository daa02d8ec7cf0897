"""Read audio files of any format as mono float32 at a given sample rate; write WAV and FLAC files.

soundfile reads what libsndfile knows (wav, flac, ogg, mp3, ...). PyAV reads the rest (m4a, the sound of mp4 video, amr,
...; see `ffmpeg`) and takes over where libsndfile fails: it stops at many FLAC files of ASVspoof 2021 that FFmpeg
decodes. Channels are averaged and soxr (HQ) resamples. A 16-bit mono file at that rate is read exactly: sample / 32768.

A damaged file is used if a part of it can be decoded. A FLAC, WAV or MP4 file that ends more than a tenth before the
length in its header is an error, so that half-copied corpora are noticed; the length of other formats is not checked
(for an mp3 libsndfile may give an estimate, wrong by a factor of two). Values of a damaged header are limited, so that
they cannot decide how much memory or time a file takes.
"""

from __future__ import annotations

import io
import os
import stat
import struct
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from dfx.audio.samples import (
    AudioError,
    AudioInfo,
    Pcm,
    Waveform,
    join_pcm,
    mono_samples,
    require_finite_samples,
    require_sample_rate,
    sample_scale,
    to_int16,
)
from dfx.files import os_error_words

MAX_MISSING = 0.1  # fraction of the promised samples; encoders' delays and rounded durations stay far below
MAX_HOURS = 24.0  # of a clip, where the caller names no limit
BLOCK_VALUES = 1 << 22  # samples of all channels together in a block: 16 MiB, however many channels there are
RESAMPLED_AT_ONCE = 1 << 15  # samples; soxr is a sixth slower with ten times as many (cache)
WRITABLE = {".wav": "WAV", ".flac": "FLAC"}

UNRECOGNISED = "it is no audio, or damaged"
UNHELPFUL = ("Format not recognised", "File does not exist or is not a regular file")  # libsndfile of a file of junk

# Formats of WAV in which a frame has as many bytes as `block_align` says (in ADPCM that is a block of many frames):
# PCM, float, A-law, mu-law, and PCM or float in the long form.
_PLAIN_WAV = {0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE}
_STREAMED = 0x7FFFF000  # SoX and FFmpeg write at least this as the size of a stream
_UNKNOWN_LENGTH = 1 << 62  # libsndfile returns 2**63 - 1 if the header gives no length


def read_audio(path: str | Path, sample_rate: int) -> Waveform:
    """Read a whole clip as mono (samples,) float32 at `sample_rate`.

    Full scale is 1, and samples are rounded as in the waveform store.

    Raises:
        AudioError: if the file is missing, cannot be decoded, is cut short, or holds no samples, NaN or infinity.
    """
    return join_pcm(read_pcm(path, sample_rate))


def read_audio_blocks(
    path: str | Path, sample_rate: int, block_seconds: float = 30.0, max_hours: float = MAX_HOURS
) -> Iterator[Waveform]:
    """Read a clip in consecutive mono blocks (samples,) float32 at `sample_rate`.

    Memory does not grow with the length of the clip. The blocks are at most `block_seconds` long; their concatenation
    is the same for any block length, and not rounded. A clip of more than `max_hours` is an error.

    Raises:
        AudioError: as `read_audio`, possibly after some blocks were yielded.
    """
    for block in _blocks(Path(path), sample_rate, block_seconds, max_hours):
        yield mono_samples(block[None])


def read_pcm(path: str | Path, sample_rate: int, max_hours: float = MAX_HOURS) -> Iterator[tuple[int, Pcm]]:
    """Read a clip in blocks of 16-bit integers, each with its scale.

    The waveform is samples / 32768 * scale. A clip that exceeds full scale is decoded twice: a block with another scale
    is the first block of the clip again. A clip of more than `max_hours` is an error.
    """
    yield from round_to_pcm(lambda: _blocks(Path(path), sample_rate, 30.0, max_hours))


def round_to_pcm(blocks: Callable[[], Iterable[NDArray]]) -> Iterator[tuple[int, Pcm]]:
    """Round a clip to blocks of 16-bit integers, each with its scale, as `read_pcm` does.

    `blocks` gives the blocks of the clip; it is called a second time if the clip exceeds full scale.
    """
    peak = 0.0
    for block in blocks():
        if block.dtype == np.int16:
            yield 1, block
            continue
        peak = max(peak, float(np.abs(block).max(initial=0)))
        if sample_scale(peak) == 1:
            yield 1, to_int16(block)
    scale = sample_scale(peak)
    if scale > 1:
        for block in blocks():
            yield scale, to_int16(block / np.float32(scale))


def probe_audio(path: str | Path) -> AudioInfo:
    """Read the header of an audio file without decoding the audio.

    Raises:
        AudioError: if no decoder recognises the file.
    """
    path = Path(path)
    _require_file(path)
    try:
        with _open_soundfile(path) as file:
            name = f"{file.format}/{file.subtype}".lower()
            return AudioInfo(_num_frames(file), require_sample_rate(path, file.samplerate), file.channels, name)
    except AudioError:
        raise
    # soundfile raises RuntimeError, TypeError (suffix .raw), ValueError (64-bit WAV), OSError.
    except Exception as error:
        from dfx.audio import ffmpeg

        return ffmpeg.probe_with_ffmpeg(path, _why(error))


def too_long_reason(max_hours: float) -> str:
    """Return the reason of a file that is longer than the limit."""
    return f"it is longer than {max_hours:g} hours (limits.hours): cut it into pieces"


def write_audio(path: str | Path, waveform: NDArray[np.floating], sample_rate: int) -> None:
    """Write (samples,) or (samples, channels) to a 16-bit WAV or FLAC file.

    The suffix decides the format; samples beyond full scale are clipped.

    Raises:
        ValueError: if the suffix is neither .wav nor .flac.
    """
    path = Path(path)
    form = WRITABLE.get(path.suffix.lower())
    if form is None:
        raise ValueError(f"Cannot write {path.name}: the suffix is {path.suffix!r}; use .wav or .flac.")
    path.parent.mkdir(parents=True, exist_ok=True)
    data = io.BytesIO()  # libsndfile does not say why a file cannot be written
    soundfile.write(data, to_int16(waveform), sample_rate, format=form, subtype="PCM_16")
    path.write_bytes(data.getvalue())


def _require_file(path: Path) -> None:
    """Raise an AudioError if the path is not a regular file, or the file is empty."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = "the file does not exist" if isinstance(error, FileNotFoundError) else _system_reason(error)
        may_pass = isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
        raise AudioError(path, reason, may_pass) from error
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(path, "it is not a file, but a folder, a pipe or a device")
    if status.st_size == 0:
        raise AudioError(path, "the file is empty (0 bytes)")


def _blocks(path: Path, sample_rate: int, block_seconds: float, max_hours: float) -> Iterator[NDArray]:
    """Read a file in mono blocks at `sample_rate`: as integers if it is 16-bit mono at this rate, else as float32."""
    total = 0
    try:
        for block in _resampled(_decode(path, block_seconds), path, sample_rate):
            total += len(block)
            if total > max_hours * 3600 * sample_rate:
                raise AudioError(path, too_long_reason(max_hours), may_pass=True)
            if len(block):
                yield block
    except AudioError:
        raise
    except Exception as error:  # whatever one file makes a decoder raise is the reason of this file
        what = (str(error).splitlines() or [""])[0]
        reason = f"its decoder failed ({type(error).__name__}: {what})"
        if isinstance(error, MemoryError):
            reason = f"decoding it takes too much memory ({what}): convert it to WAV (limit: limits.memory_mib)"
        elif isinstance(error, OSError) and error.errno:
            reason = _system_reason(error)
        # An import fails where the libraries of FFmpeg take more memory than there is.
        raise AudioError(path, reason, isinstance(error, OSError | MemoryError | ImportError)) from error
    if total == 0:
        raise AudioError(path, "it holds no samples")


def resample_waveform(waveform: Waveform, source_rate: int, sample_rate: int) -> Waveform:
    """Resample a waveform (samples,) with the same resampler as `read_audio`."""
    return np.concatenate([*_resampled(iter([(waveform, source_rate)]), Path("the waveform"), sample_rate)])


def _resampled(blocks: Iterator[tuple[NDArray, int]], path: Path, sample_rate: int) -> Iterator[NDArray]:
    resampler, source_rate = None, 0
    for block, rate in blocks:
        if rate != (source_rate or rate):
            raise AudioError(path, f"its sample rate changes from {source_rate} to {rate} Hz")
        source_rate = rate
        if rate == sample_rate:
            yield block
            continue
        resampler = resampler or soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
        for first in range(0, len(block), RESAMPLED_AT_ONCE):
            yield resampler.resample_chunk(mono_samples(block[None, first : first + RESAMPLED_AT_ONCE]))
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _decode(path: Path, block_seconds: float) -> Iterator[tuple[NDArray, int]]:
    """Decode a file in mono blocks at its own rate; PyAV continues where soundfile fails."""
    _require_file(path)
    done, promised, failure = yield from _decode_soundfile(path, block_seconds)
    if failure or done == 0 or _cut_short(done, promised):
        from dfx.audio import ffmpeg

        done, promised = yield from ffmpeg.decode_with_ffmpeg(path, block_seconds, done, promised, failure)
    if _cut_short(done, promised):
        raise AudioError(path, f"it is cut short: {done} of {promised} samples could be decoded")


def _cut_short(done: int, promised: int) -> bool:
    return done < (1 - MAX_MISSING) * promised


class _FrontToBack(soundfile.SoundFile):
    """Sound file that is read sequentially: no seeking in MP3 files.

    After each block soundfile seeks to its current position; in an mp3, whose frames use data in earlier frames, that
    damages the beginning of the next block.
    """

    def seekable(self) -> bool:
        return self.format != "MP3" and bool(super().seekable())


def _open_soundfile(path: Path) -> _FrontToBack:
    """Open a file with soundfile; one without a header is an error, whatever its suffix promises."""
    file = _FrontToBack(os.fsencode(path))
    if file.format == "RAW":  # libsndfile takes any contents of a .au, .snd, .vox or .gsm file for audio
        file.close()
        raise ValueError(UNRECOGNISED)
    return file


def _decode_soundfile(path: Path, block_seconds: float) -> Generator[tuple[NDArray, int], None, tuple[int, int, str]]:
    done, promised = 0, 0
    try:
        with _open_soundfile(path) as file:
            rate = require_sample_rate(path, file.samplerate)
            if file.format == "FLAC":
                promised = _num_frames(file)
            elif file.format in ("WAV", "WAVEX"):
                promised = _riff_frames(path)
            size = max(1, min(round(block_seconds * rate), BLOCK_VALUES // file.channels))
            exact = file.subtype == "PCM_16"  # float32 would take a third of the time of a WAV file
            while len(block := file.read(size, dtype="int16" if exact else "float32", always_2d=True)):
                done += len(block)
                if exact:
                    yield block[:, 0] if file.channels == 1 else mono_samples(block.T), rate
                else:
                    yield require_finite_samples(path, mono_samples(block.T)), rate
    except (AudioError, MemoryError):
        raise
    except Exception as error:  # as in `probe_audio`
        return done, promised, _why(error)
    return done, promised, ""


def _why(error: Exception) -> str:
    """Return libsndfile's own words, without the path and where they say something."""
    text = str(getattr(error, "error_string", error))
    return UNRECOGNISED if text.startswith(UNHELPFUL) else text


def _system_reason(error: OSError | ValueError) -> str:
    """Describe why the system does not open a file, as the reason of this file."""
    if not isinstance(error, OSError):
        return "its name holds a zero byte: correct the table that names it"
    what, advice = os_error_words(error)
    return f"{what[0].lower()}{what[1:]}: {advice[0].lower()}{advice[1:]}"


def _num_frames(file: soundfile.SoundFile) -> int:
    return file.frames if 0 < file.frames < _UNKNOWN_LENGTH else 0


def _riff_frames(path: Path) -> int:
    """Return the number of frames in a WAV header, or 0 if it is unknown."""
    with path.open("rb") as file:
        if file.read(4) != b"RIFF" or file.read(8)[4:] != b"WAVE":
            return 0
        width = 0
        while len(header := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", header)
            if name == b"data":
                return size // width if width and size < _STREAMED else 0
            if name == b"fmt " and size >= 16:
                kind, _, _, _, align = struct.unpack("<HHIIH", file.read(14).ljust(14, b"\0"))
                width = align if kind in _PLAIN_WAV else 0
                size -= 14
            file.seek(size + size % 2, 1)
    return 0
