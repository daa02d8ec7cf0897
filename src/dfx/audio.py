"""Audio files of any format as mono float32 at the wanted rate, block by block.

soundfile reads what libsndfile knows (wav, flac, ogg, mp3, ...). PyAV reads the rest (m4a, the sound of mp4 video, amr,
...) and takes over where libsndfile fails: it stops at many FLAC files of ASVspoof 2021 that FFmpeg decodes. Channels
are averaged and soxr (HQ) resamples. A 16-bit mono file at the wanted rate comes through exact: sample / 32768.

A damaged file counts as long as something in it decodes. A FLAC or MP4 file that ends more than a tenth before the
length its header promises is an error, so that half-copied corpora are noticed; the other formats promise nothing (the
length libsndfile gives for an mp3 may be an estimate, off by a factor of two).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Waveform = NDArray[np.float32]

MAX_MISSING = 0.1  # fraction of the promised samples; encoders' delays and rounded durations stay far below
FULL_SCALE = 32768.0
WRITABLE = {".wav": "WAV", ".flac": "FLAC"}

# RuntimeError: every LibsndfileError; TypeError: suffix .raw, which soundfile wants described.
_SOUNDFILE_ERRORS = (RuntimeError, TypeError)
_UNKNOWN_LENGTH = 1 << 62  # libsndfile says 2**63 - 1 where a header gives no length


class AudioError(ValueError):
    """A file that cannot be used as audio, and why; `reason` is the why alone."""

    def __init__(self, path: str | Path, reason: str):
        super().__init__(str(path), reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"Not usable as audio: {self.args[0]}: {self.reason}. Replace or convert it, or leave it out."


class AudioInfo(NamedTuple):
    """What a header says; `num_samples` (at the file's own rate, for each channel) is 0 where it says nothing."""

    num_samples: int
    sample_rate: int
    channels: int
    format: str


def read(path: str | Path, sample_rate: int) -> Waveform:
    """Whole clip as (samples,) float32 mono at `sample_rate`, full scale 1.

    Raises:
        AudioError: if the file is missing, cannot be decoded, is cut short, or holds no samples, NaN or infinity.
    """
    return np.concatenate(list(read_blocks(path, sample_rate)))


def read_blocks(path: str | Path, sample_rate: int, block_seconds: float = 30.0) -> Iterator[Waveform]:
    """Clip in consecutive blocks (samples,) float32 mono at `sample_rate`; memory does not grow with its length.

    The blocks are about `block_seconds` long; their concatenation is what `read` returns, for any block length.

    Raises:
        AudioError: as `read`, possibly after some blocks were yielded.
    """
    resampler, source_rate, total = None, 0, 0
    for block, rate in _decode(Path(path), block_seconds):
        if not np.isfinite(block).all():
            raise AudioError(path, "it holds NaN or infinite samples")
        if rate != (source_rate or rate):
            raise AudioError(path, f"its sample rate changes from {source_rate} to {rate} Hz")
        source_rate = rate
        if rate != sample_rate:
            resampler = resampler or soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
            block = resampler.resample_chunk(block)
        total += len(block)
        if len(block):
            yield block
    if resampler is not None:
        block = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        total += len(block)
        if len(block):
            yield block
    if total == 0:
        raise AudioError(path, "it holds no samples")


def probe(path: str | Path) -> AudioInfo:
    """What the header of a file says, without decoding it.

    Raises:
        AudioError: if no decoder recognises the file.
    """
    path = Path(path)
    try:
        with soundfile.SoundFile(path) as file:
            name = f"{file.format}/{file.subtype}".lower()
            return AudioInfo(_num_frames(file), file.samplerate, file.channels, name)
    except _SOUNDFILE_ERRORS as error:
        failure = _why(error)
    with _open_av(path, failure) as container:
        stream = container.streams.audio[0]
        name = f"{container.format.name.split(',')[0]}/{stream.codec_context.name}"
        seconds = _seconds(stream) or (container.duration or 0) / 1e6
        return AudioInfo(round(seconds * stream.rate), stream.rate, stream.channels, name)


def write(path: str | Path, waveform: NDArray[np.floating], sample_rate: int) -> None:
    """Write (samples,) or (samples, channels) as 16-bit WAV or FLAC, chosen by the suffix; clips at full scale.

    Raises:
        ValueError: if the suffix is neither .wav nor .flac.
    """
    path = Path(path)
    form = WRITABLE.get(path.suffix.lower())
    if form is None:
        raise ValueError(f"Cannot write {path.name}: the suffix is {path.suffix!r}; use .wav or .flac.")
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, to_int16(waveform), sample_rate, format=form, subtype="PCM_16")


def to_int16(waveform: NDArray[np.floating]) -> NDArray[np.int16]:
    """Samples as 16-bit integers, rounded and clipped; the exact inverse of the division by 32768 in `read`."""
    scaled = np.multiply(waveform, np.float32(FULL_SCALE))
    np.rint(scaled, out=scaled)
    np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1, out=scaled)
    samples: NDArray[np.int16] = scaled.astype(np.int16)
    return samples


def _decode(path: Path, block_seconds: float) -> Iterator[tuple[Waveform, int]]:
    """Mono blocks at the file's own rate, from soundfile and, from the sample where it gives up, from PyAV."""
    done, promised, failure = yield from _decode_soundfile(path, block_seconds)
    if failure or done == 0 or _cut_short(done, promised):
        done, promised = yield from _decode_av(path, block_seconds, done, promised, failure)
    if _cut_short(done, promised):
        raise AudioError(path, f"it is cut short: {done} of {promised} samples could be decoded")


def _cut_short(done: int, promised: int) -> bool:
    return done < (1 - MAX_MISSING) * promised


def _decode_soundfile(
    path: Path, block_seconds: float
) -> Generator[tuple[Waveform, int], None, tuple[int, int, str]]:
    done, promised = 0, 0
    try:
        with soundfile.SoundFile(path) as file:
            promised = _num_frames(file) if file.format == "FLAC" else 0
            size = max(1, round(block_seconds * file.samplerate))
            while len(block := file.read(size, dtype="float32", always_2d=True)):
                done += len(block)
                yield block[:, 0] if file.channels == 1 else block.mean(axis=1), file.samplerate
    except _SOUNDFILE_ERRORS as error:
        return done, promised, _why(error)
    return done, promised, ""


def _why(error: Exception) -> str:
    return str(getattr(error, "error_string", error))  # libsndfile's own words, without the path


def _num_frames(file: soundfile.SoundFile) -> int:
    return file.frames if 0 < file.frames < _UNKNOWN_LENGTH else 0


def _decode_av(
    path: Path, block_seconds: float, skip: int, promised: int, failure: str
) -> Generator[tuple[Waveform, int], None, tuple[int, int]]:
    """What PyAV decodes after the first `skip` samples; returns the samples decoded and promised in all."""
    import av

    done, rate = 0, 0
    pieces: list[Waveform] = []
    try:
        container = _open_av(path, failure)
    except AudioError:
        if skip:
            return skip, promised
        raise
    with container:
        stream = container.streams.audio[0]
        # Only the index of an mp4 counts samples; elsewhere FFmpeg estimates from the bit rate.
        if "mp4" in container.format.name:
            promised = promised or round(_seconds(stream) * stream.rate)
        for frame in _frames(container, stream, av.error.FFmpegError):
            if pieces and frame.sample_rate != rate:  # read_blocks refuses the change
                yield np.concatenate(pieces), rate
                pieces = []
            piece, rate = _mono(frame), frame.sample_rate
            done += len(piece)
            pieces.append(piece[max(0, len(piece) - (done - skip)) :] if done > skip else piece[:0])
            if sum(map(len, pieces)) >= block_seconds * rate:
                yield np.concatenate(pieces), rate
                pieces = []
    if done == 0:
        raise AudioError(path, f"nothing in it can be decoded ({failure or 'no samples'})")
    if pieces:
        yield np.concatenate(pieces), rate
    return max(done, skip), promised


def _open_av(path: Path, failure: str) -> Any:
    """Container with an audio stream, or an AudioError that says what is wrong with the file."""
    import av

    try:
        size = path.stat().st_size
    except OSError as error:
        raise AudioError(path, "the file does not exist" if not path.exists() else str(error)) from error
    if size == 0:
        raise AudioError(path, "the file is empty (0 bytes)")
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        detail = failure or getattr(error, "strerror", "") or str(error)
        raise AudioError(path, f"no decoder recognises it ({detail})") from error
    if not container.streams.audio:
        container.close()
        raise AudioError(path, f"it has no audio stream (container {container.format.name})")
    return container


def _frames(container: Any, stream: Any, damage: type[Exception]) -> Iterable[Any]:
    """Frames of a stream; a damaged packet costs its own samples, a damaged container what follows."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except damage:
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except damage:
            continue
        yield from frames


def _mono(frame: Any) -> Waveform:
    """(samples,) float32 of a PyAV frame of any sample format and layout."""
    data = frame.to_ndarray()
    if not frame.format.is_planar:
        data = data.reshape(-1, frame.layout.nb_channels).T
    if data.dtype.kind == "u":
        data = data.astype(np.float32) / 128 - 1
    elif data.dtype.kind == "i":
        data = data.astype(np.float32) / np.float32(2 ** (8 * data.dtype.itemsize - 1))
    mono: Waveform = np.asarray(data[0] if len(data) == 1 else data.mean(axis=0), dtype=np.float32)
    return mono


def _seconds(stream: Any) -> float:
    return float(stream.duration * stream.time_base) if stream.duration else 0.0
