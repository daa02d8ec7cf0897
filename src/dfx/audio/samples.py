"""Audio samples: types, errors, mixing to mono and conversion to 16-bit integers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]
Pcm = NDArray[np.int16]
FULL_SCALE = 32768.0
MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz; a file "at 1 Hz" would become 16,000 times longer


class AudioError(ValueError):
    """Error for a file that cannot be used as audio, with the reason; `may_pass` means that a later try may succeed."""

    def __init__(self, path: str | Path, reason: str, may_pass: bool = False):
        super().__init__(str(path), reason, may_pass)
        self.reason, self.may_pass = reason, may_pass

    def __str__(self) -> str:
        return f"Not usable as audio: {self.args[0]}: {self.reason}. Replace or convert it, or leave it out."


# Codecs of libsndfile and FFmpeg that have several names, and how the names of lossless ones begin.
CODECS = {
    **{"mpeg_layer_i": "mp1", "mpeg_layer_ii": "mp2", "mpeg_layer_iii": "mp3"},
    **{"mp1float": "mp1", "mp2float": "mp2", "mp3float": "mp3", "pcm_alaw": "alaw", "pcm_mulaw": "ulaw"},
}
LOSSLESS = ("pcm", "float", "double", "flac", "alac", "dwvw", "wavpack", "ape", "tta", "tak", "truehd", "mlp", "als")


class AudioInfo(NamedTuple):
    """Header of an audio file: length, sample rate, channels and format.

    `num_samples` counts samples of each channel at the file's own rate; it is 0 if unknown.
    """

    num_samples: int
    sample_rate: int
    channels: int
    format: str

    @property
    def coding(self) -> str:
        """Lossy codec of the file (`mp3`, `opus`, `alaw` …), or `lossless`."""
        codec = self.format.rpartition("/")[2]
        codec = CODECS.get(codec, codec)
        return "lossless" if codec.startswith(LOSSLESS) else codec


def to_int16(waveform: NDArray[np.floating]) -> Pcm:
    """Convert samples to 16-bit integers, rounded and clipped at full scale; inverse of the division by 32768."""
    scaled = np.multiply(waveform, np.float32(FULL_SCALE))
    np.rint(scaled, out=scaled)
    np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1, out=scaled)
    samples: Pcm = scaled.astype(np.int16)
    return samples


def sample_scale(peak: float) -> int:
    """Return the power of two by which a clip with this peak is divided before conversion to 16 bits.

    It is the smallest power of two that is not below the peak. It is 1 up to full scale, which float files and
    resamplers can exceed. The largest is 2^30.
    """
    return 1 if peak <= 1 else 1 << (math.ceil(min(peak, 2.0**30)) - 1).bit_length()


def from_int16(samples: Pcm, scale: int = 1) -> Waveform:
    """Convert 16-bit integers to float32 with full scale 1, and multiply them by `scale`."""
    waveform: Waveform = np.multiply(samples, np.float32(scale / FULL_SCALE), dtype=np.float32)
    return waveform


def require_sample_rate(path: Path, rate: int) -> int:
    """Return the sample rate of a file, or raise an AudioError if it is not plausible."""
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(
            path, f"it claims a sample rate of {rate} Hz, and {MIN_RATE:,} to {MAX_RATE:,} Hz are plausible"
        )
    return rate


def mono_samples(channels: NDArray) -> Waveform:
    """Average the channels (channels, samples) of integers or floats to mono (samples,) float32 with full scale 1."""
    if len(channels) == 1 and channels.dtype == np.float32:
        only: Waveform = channels[0]
        return only
    # Row by row: `mean` over a handful of channels takes twenty times as long.
    mixed: Waveform = channels[0].astype(np.float32)
    for row in channels[1:]:
        mixed += row.astype(np.float32)
    if channels.dtype.kind == "u":
        mixed -= np.float32(len(channels) * 128)
    bits = 0 if channels.dtype.kind == "f" else 8 * channels.dtype.itemsize - 1
    mixed /= np.float32(len(channels) * 2**bits)
    return mixed


def require_finite_samples(path: Path, block: Waveform) -> Waveform:
    """Return a block of samples, or raise an AudioError if a sample is NaN or infinite."""
    if not np.isfinite(block).all():
        raise AudioError(path, "it holds NaN or infinite samples")
    return block


def join_pcm(blocks: Iterable[tuple[int, Pcm]]) -> Waveform:
    """Join blocks of 16-bit samples, each with its scale, to a waveform (samples,) float32.

    A block with another scale begins the clip again: it was too loud for the scale before.
    """
    scale, pieces = 0, list[Pcm]()
    for block_scale, block in blocks:
        if block_scale != scale:
            scale, pieces = block_scale, []
        pieces.append(block)
    return from_int16(np.concatenate(pieces), scale)
