"""Measures of a recording that need no detector: file format, level, silence, bandwidth.

A clip is taken block by block, so that memory hardly grows with its length. NumPy and SciPy only: worker processes
import this module, and torch takes seconds to load in each of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from dfx import audio
from dfx.audio.fingerprints import FINGERPRINT_SIZE, NUM_LFCC, ClipSpectra, Floats
from dfx.audio.read_write import MAX_HOURS

FRAME_S = 0.01
SILENCE_DB = 40.0  # frames this far below the loudest one are silence
NOISE_PERCENTILE = 5
LEAST_POWER = 1e-12  # -120 dB; the level of digital silence
VALUES = 1 << 16
COARSE = 14.5  # bits; short or loud clips reach 15 by chance, which is no trace of a codec
FLAT_RUN = 3  # this many equal samples in a row at the peak of a clip count as clipped
FLAT_LEAST = 0.05  # lowest peak, of full scale; quieter clips have such runs by chance

MEAN_WINDOW = 1024  # samples; at 16 kHz bins of 16 Hz, fine enough to place the end of a band
BAND_DROP_DB = 65.0  # under the strongest bin: below the noise of most rooms, above that of 16 bits
CLIFF_SPAN_HZ = 400.0  # averaged on either side of a cliff
CLIFF_GAP_HZ = 100.0  # left out on either side, since no filter is infinitely steep


class ClipScalar(NamedTuple):
    """Definition of a scalar measure of clips: name, title for tables and figures, and unit."""

    name: str
    title: str
    unit: str = ""

    @property
    def label(self) -> str:
        """Title and unit, for tables and figures."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


SCALARS = (  # of `ClipScalars`, in the order of its values
    ClipScalar("duration", "duration", "s"),
    ClipScalar("leading_silence", "leading silence", "s"),
    ClipScalar("trailing_silence", "trailing silence", "s"),
    ClipScalar("loudness", "loudness", "dBFS RMS"),
    ClipScalar("peak", "peak", "dBFS"),
    ClipScalar("noise_floor", "noise floor", "dBFS"),
    ClipScalar("dc", "mean, away from 0", "of full scale"),
    ClipScalar("zeros", "exact zeros"),
    ClipScalar("clipped", "clipped samples"),
    ClipScalar("bandwidth", "bandwidth at -65 dB", "Hz"),
    ClipScalar("relative_bandwidth", "band filled, of what the rate allows"),
    ClipScalar("cliff", "steepest fall of the spectrum", "dB"),
    ClipScalar("effective_bits", "bits that the values use"),
)
FILE_SCALARS = (  # of the header of a file
    ClipScalar("sample_rate", "sample rate", "Hz"),
    ClipScalar("bits", "bit depth of the file"),
    ClipScalar("channels", "channels"),
    ClipScalar("format", "file format"),
)

BLOCK_SECONDS = 10.0
UNKNOWN_BITS = 0  # bit depth of a lossy format
BITS = {
    **{"pcm_s8": 8, "pcm_u8": 8, "pcm_16": 16, "pcm_24": 24, "pcm_32": 32},
    **{"float": 32, "double": 64, "ulaw": 8, "alaw": 8},
}
COLUMNS = {  # of a row of `measure_clip`, with their types; those of type object hold the bytes of an array
    **{"sample_rate": "int32", "channels": "int32", "bits": "int32", "format": "str"},
    **{"num_samples": "int64", "digest": "uint64"},
    **{scalar.name: "float32" for scalar in SCALARS},
    **{"lfcc": "object", "fingerprint": "object", "start_s": "float32", "active_s": "float32"},
    "reason": "str",
}


def measure_clips(paths: Iterable[str], sample_rate: int, max_hours: float) -> list[dict[str, Any]]:
    """Measure several files in one call of a worker process; see `measure_clip`."""
    return [measure_clip(path, sample_rate, max_hours) for path in paths]


def measure_clip(path: str, sample_rate: int, max_hours: float = MAX_HOURS) -> dict[str, Any]:
    """Measure one file: scalars at its own sample rate, spectra at the sample rate of the detectors.

    Args:
        path: the file.
        sample_rate: of `SpectralSummary`, in Hz. Its samples are rounded to 16 bits as those of the waveform store,
            but those beyond full scale are clipped, where the store scales the clip.
        max_hours: length of the longest clip that is measured.

    Returns:
        `path` and a value for each of `COLUMNS`: values of the header, `num_samples`, `digest`, `SCALARS`,
        `SpectralSummary`, and `reason`: why the file cannot be used, "" for a good file.
    """
    row = {"path": path, **unusable_clip()}
    try:
        info = audio.probe_audio(path)
        row |= {"sample_rate": info.sample_rate, "channels": info.channels, "format": info.format}
        row["bits"] = BITS.get(info.format.rpartition("/")[2], UNKNOWN_BITS)
        scalars, spectra = ClipScalars(info.sample_rate), ClipSpectra(sample_rate)
        for block in audio.read_audio_blocks(path, info.sample_rate, BLOCK_SECONDS, max_hours):
            scalars.add(block)
            if info.sample_rate == sample_rate:
                spectra.add(audio.from_int16(audio.to_int16(block)))
        if info.sample_rate != sample_rate:
            for block in audio.read_audio_blocks(path, sample_rate, BLOCK_SECONDS, max_hours):
                spectra.add(audio.from_int16(audio.to_int16(block)))
    except audio.AudioError as error:
        return row | {"reason": error.reason}
    summary = spectra.summary()
    row |= {"num_samples": scalars.num_samples, "digest": scalars.digest, **scalars.values()}
    row |= {"lfcc": summary.lfcc.tobytes(), "fingerprint": summary.fingerprint.tobytes()}
    return row | {"start_s": summary.start_s, "active_s": summary.active_s}


def unusable_clip(reason: str = "") -> dict[str, Any]:
    """Return the values of `COLUMNS` for a file that cannot be measured."""
    empty = {"str": "", "int32": 0, "int64": 0, "uint64": 0, "float32": np.nan}
    return {
        **{name: empty.get(kind) for name, kind in COLUMNS.items()},
        "lfcc": np.full(NUM_LFCC, np.nan, np.float32).tobytes(),
        "fingerprint": bytes(FINGERPRINT_SIZE),
        "reason": reason,
    }


class ClipScalars:
    """Accumulator for the scalar measures of one clip, fed block by block.

    Memory grows by 1 kB for each second of audio. Blocks are mono, as a detector gets them: the mean of the channels.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.num_samples = 0
        self._sum = self._squares = 0.0
        self._zeros = 0
        self._peak = np.float32(0)
        self._flat = 0  # samples in flat runs at the peak
        self._values = np.zeros(VALUES, np.int64)
        self._frame = max(1, round(FRAME_S * sample_rate))
        self._rest = np.zeros(0, np.float32)
        self._powers: list[NDArray[np.float64]] = []
        self._spectrum = MeanSpectrum()
        self._digest = hashlib.blake2b(digest_size=8)

    def add(self, block: Floats) -> None:
        """Add the next block of the clip, (samples,) with full scale 1."""
        self.num_samples += len(block)
        self._sum += float(block.sum(dtype=np.float64))
        self._squares += float(np.dot(block, block))
        self._zeros += int(np.count_nonzero(block == 0))
        self._count_flat(block)
        samples = audio.to_int16(block)
        self._digest.update(samples.tobytes())
        self._values += np.bincount(samples.astype(np.int64) + VALUES // 2, minlength=VALUES)
        rest = np.concatenate([self._rest, block])
        whole = len(rest) // self._frame * self._frame
        self._powers.append(np.square(rest[:whole].reshape(-1, self._frame), dtype=np.float64).mean(axis=1))
        self._rest = rest[whole:]
        self._spectrum.add(block)

    @property
    def digest(self) -> int:
        """Hash (64 bits) of the samples, rounded to 16 bits; it does not depend on the sample rate."""
        return int.from_bytes(self._digest.digest(), "little")

    def values(self) -> dict[str, float]:
        """Return the value of each measure in `SCALARS`; the clip must have at least one sample."""
        powers = np.concatenate(self._powers)
        if not len(powers):
            powers = np.square(self._rest, dtype=np.float64).mean(keepdims=True)
        levels = 10 * np.log10(powers + LEAST_POWER)
        loud = np.flatnonzero(levels > levels.max() - SILENCE_DB)
        power = self._spectrum.power()
        bandwidth = bandwidth_hz(power, self.sample_rate)
        return {
            "duration": self.num_samples / self.sample_rate,
            "leading_silence": float(loud[0]) * FRAME_S,
            "trailing_silence": float(len(levels) - 1 - loud[-1]) * FRAME_S,
            "loudness": 10 * np.log10(self._squares / self.num_samples + LEAST_POWER),
            "peak": 20 * np.log10(float(self._peak) + LEAST_POWER**0.5),
            "noise_floor": float(np.percentile(levels, NOISE_PERCENTILE)),
            "dc": abs(self._sum) / self.num_samples,
            "zeros": self._zeros / self.num_samples,
            "clipped": self._flat / self.num_samples if self._peak >= FLAT_LEAST else 0.0,
            "bandwidth": bandwidth,
            "relative_bandwidth": 2 * bandwidth / self.sample_rate,
            "cliff": spectrum_cliff_db(power, self.sample_rate),
            "effective_bits": self._effective_bits(),
        }

    def _count_flat(self, block: Floats) -> None:
        """Count clipped samples: runs of three or more equal samples at the peak of the clip."""
        level = np.abs(block)
        peak = level.max(initial=np.float32(0))
        if peak > self._peak:
            self._peak, self._flat = peak, 0
        if peak == self._peak and peak > 0:
            edges = np.flatnonzero(np.diff(np.concatenate([[False], level == peak, [False]])))
            runs = edges[1::2] - edges[::2]
            self._flat += int(runs[runs >= FLAT_RUN].sum())

    def _effective_bits(self) -> float:
        """Estimate the effective bit depth: about 8 after 8-bit coding, 11 after mu-law coding, else 16.

        Compares the number of distinct values up to the median magnitude with the number expected by chance at 16
        bits. Zeros are left out, since digital silence is not coarse coding.
        """
        middle = VALUES // 2
        values = self._values.copy()
        values[middle] = 0
        folded = values[middle:]
        folded = folded + np.append(0, values[middle - 1 : 0 : -1])
        below = np.cumsum(folded)
        if not below[-1]:
            return 16.0
        median = int(np.searchsorted(below, below[-1] / 2))
        span = values[middle - median : middle + median + 1]
        used = np.count_nonzero(span) / (2 * median)
        chance = -np.expm1(-span.sum() / (2 * median))
        bits = float(16 + np.log2(min(1.0, used / chance)))
        return bits if bits < COARSE else 16.0


class MeanSpectrum:
    """Accumulator for the mean power spectrum of one clip, in Hann windows of 1,024 samples that overlap by half."""

    def __init__(self) -> None:
        self._window = np.hanning(MEAN_WINDOW).astype(np.float32)
        self._power = np.zeros(MEAN_WINDOW // 2 + 1)
        self._count = 0
        self._rest = np.zeros(0, np.float32)

    def add(self, block: Floats) -> None:
        """Add the next block of the clip, (samples,)."""
        samples = np.concatenate([self._rest, block])
        hop = MEAN_WINDOW // 2
        count = max(0, (len(samples) - MEAN_WINDOW) // hop + 1)
        self._rest = samples[count * hop :]
        if count:
            frames = np.lib.stride_tricks.sliding_window_view(samples, MEAN_WINDOW)[::hop][:count]
            self._sum(frames)

    def power(self) -> NDArray[np.float64]:
        """Return the mean power (513,) of all windows so far; a short clip is padded with zeros."""
        if not self._count:
            self._sum(np.pad(self._rest, (0, MEAN_WINDOW - len(self._rest)))[None])
        return self._power / self._count

    def _sum(self, frames: Floats) -> None:
        spectrum = scipy.fft.rfft(frames * self._window, axis=1)
        self._power += (spectrum.real**2 + spectrum.imag**2).sum(axis=0, dtype=np.float64)
        self._count += len(frames)


def bandwidth_hz(power: NDArray[np.float64], sample_rate: int) -> float:
    """Return the bandwidth: the highest frequency (Hz) within 65 dB of the strongest bin; 0 for silence."""
    if not power.any():
        return 0.0
    level = power > power.max() * 10 ** (-BAND_DROP_DB / 10)
    return float(np.flatnonzero(level)[-1] * sample_rate / MEAN_WINDOW)


def spectrum_cliff_db(power: NDArray[np.float64], sample_rate: int) -> float:
    """Return the steepest fall of a mean power spectrum above 2 kHz, in dB.

    It is 0 for silence. Compares the mean level of a 400 Hz band with that of the next 400 Hz, with a gap of 200 Hz
    between. Speech falls by 10 to 20 dB; more is the low-pass filter of an MP3 encoder, a resampler or a telephone.
    """
    step = sample_rate / MEAN_WINDOW
    span, gap = max(1, round(CLIFF_SPAN_HZ / step)), round(CLIFF_GAP_HZ / step)
    first = round(2000 / step)
    size = len(power) - 2 * (span + gap) - first
    if size <= 0 or not power.any():
        return 0.0
    level = 10 * np.log10(power + power.max() * 1e-12)
    mean = np.convolve(level, np.ones(span) / span, "valid")[first:]
    return float(max(0.0, np.max(mean[:size] - mean[span + 2 * gap :][:size])))
