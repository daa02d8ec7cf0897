"""Decode audio with PyAV (FFmpeg) if libsndfile cannot read the file.

Import it only where it is needed: PyAV takes a tenth of a second to load, and most corpora do not need it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np

from dfx.audio.samples import AudioError, AudioInfo, Waveform, mono_samples, require_finite_samples, require_sample_rate

# Playlists are refused: they refer to other files or hosts, and FFmpeg would wait for a live stream for ever.
PLAYLISTS = {"concat", "dash", "hls", "rtp", "rtsp", "sdp", "webm_dash_manifest"}
OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(sorted(av.formats_available - PLAYLISTS))}
# PyAV 18 counts the planes of a frame up to a null pointer; with eight planes it would read invalid memory.
MAX_PLANES = 7
ADVICE = "copy it again, or convert it to WAV or FLAC"


def decode_with_ffmpeg(
    path: Path, block_seconds: float, skip: int, promised: int, failure: str
) -> Generator[tuple[Waveform, int], None, tuple[int, int]]:
    """Decode a file in mono blocks, each with its sample rate, and leave out the first `skip` samples.

    The generator returns two numbers: decoded samples, and samples that the header promises.

    Args:
        path: the file.
        block_seconds: approximate length of a block.
        skip: samples that another decoder has already returned.
        promised: samples in the header, or 0.
        failure: error message of the other decoder.
    """
    done, rate, held = 0, 0, 0
    pieces: list[Waveform] = []
    try:
        container = _open(path, failure)
    except AudioError:
        if skip:
            return skip, promised
        raise
    with container:
        stream = container.streams.audio[0]
        # Only the index of an mp4 counts samples; elsewhere FFmpeg estimates from the bit rate.
        if "mp4" in container.format.name:
            promised = promised or round(_seconds(stream) * stream.codec_context.sample_rate)
        for frame in _frames(container, stream):
            if pieces and frame.sample_rate != rate:  # `read_write` refuses the change
                yield np.concatenate(pieces), rate
                pieces, held = [], 0
            piece = require_finite_samples(path, _mono(path, frame))
            rate = require_sample_rate(path, frame.sample_rate)
            done += len(piece)
            if done <= skip:
                continue  # an empty slice would keep the whole piece in memory
            pieces.append(piece[max(0, len(piece) - (done - skip)) :])
            held += len(pieces[-1])
            if held >= block_seconds * rate:
                yield np.concatenate(pieces), rate
                pieces, held = [], 0
    if done == 0:
        raise AudioError(path, f"nothing in it can be decoded ({failure or 'no samples'}): {ADVICE}")
    if pieces:
        yield np.concatenate(pieces), rate
    return max(done, skip), promised


def probe_with_ffmpeg(path: Path, failure: str) -> AudioInfo:
    """Read the header of a file with FFmpeg; raises an AudioError if the file has no audio."""
    with _open(path, failure) as container:
        stream = container.streams.audio[0]
        codec = stream.codec_context
        rate = require_sample_rate(path, codec.sample_rate)
        name = f"{container.format.name.split(',')[0]}/{codec.name}"
        if codec.channels < 1:
            raise AudioError(path, "it claims to have no channels")
        seconds = _seconds(stream) or (container.duration or 0) / 1e6
        return AudioInfo(max(0, round(seconds * rate)), rate, codec.channels, name)


def _open(path: Path, failure: str) -> Any:
    """Open a file that has an audio stream; raises an AudioError with the reason otherwise."""
    try:
        # Tags may hold bytes of any encoding.
        container = av.open(str(path), metadata_errors="replace", options=OPTIONS)
    except PermissionError as error:
        raise AudioError(path, "there is no permission to read it: change the rights", may_pass=True) from error
    except (av.error.FFmpegError, OSError) as error:
        detail = failure or getattr(error, "strerror", "") or str(error)
        raise AudioError(path, f"no decoder recognises it ({detail}): {ADVICE}") from error
    name = container.format.name
    if not container.streams.audio:
        container.close()
        raise AudioError(path, f"it has no audio stream (container {name}): leave it out")
    if container.streams.audio[0].codec_context is None:
        container.close()
        raise AudioError(path, f"the encoding of its sound is unknown (container {name}): {ADVICE}")
    return container


def _frames(container: Any, stream: Any) -> Iterable[Any]:
    """Decode the frames of a stream; damaged packets are skipped."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            continue
        yield from frames


def _mono(path: Path, frame: Any) -> Waveform:
    """Convert a PyAV frame of any sample format and channel layout to mono, (samples,) float32."""
    channels = frame.layout.nb_channels
    if frame.format.is_planar and channels > MAX_PLANES:
        raise AudioError(path, f"it claims {channels} channels, and up to {MAX_PLANES} can be read of this format")
    data = frame.to_ndarray()
    return mono_samples(data if frame.format.is_planar else data.reshape(-1, channels).T)


def _seconds(stream: Any) -> float:
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
