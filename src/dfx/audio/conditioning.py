"""Conditioning of clips: bandwidth (low-pass), silent ends and level, so that detectors cannot listen for them.

Levels are in dB of the RMS, 0 dB = amplitude 1. A clip may exceed 1 after a gain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfx.audio.reader import join_pcm, rounded
from dfx.audio.samples import Pcm, Waveform

VERSION = 1  # of the steps: a new number conditions every clip anew
FRAME_SECONDS = 0.01  # over which the level of a stretch is taken
PIECE_FRAMES = 5000  # worked on at once, 50 s: bounds the memory that a clip of hours takes
MAX_GAIN = 100.0  # 40 dB; a clip that needs more is no speech but the rounding of 16 bits
STOPBAND_DB = 80.5  # of the design, 80 as measured; what is left is below the rounding of most recordings
TRANSITION = 1 / 80  # of the sample rate: 200 Hz at 16 kHz, 407 taps

Read = Callable[[int, int], Waveform]  # (start, num_samples) -> samples of a clip


class Conditions(NamedTuple):
    """What is done to every clip; None leaves a step out.

    Attributes:
        bandwidth_hz: low-pass: from here up 80 dB are taken away, up to 1/80 of the sample rate below it nothing.
        trim_db: both ends are cut up to the first and from the last 10 ms that come this close to the loudest.
        loudness_db: level that a clip is brought to; one of digital silence stays as it is, none gains over 40 dB.
    """

    bandwidth_hz: float | None = None
    trim_db: float | None = None
    loudness_db: float | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Conditions:
        """Those of the node `conditioning`; what it does not name is left out."""
        values = (options.get(name) for name in cls._fields)
        return cls(*(None if value is None else float(value) for value in values))

    def problems(self, sample_rate: float) -> Iterator[str]:
        """A sentence for each value that cannot be, beginning with its name."""
        low, high = 2 * TRANSITION * sample_rate, sample_rate / 2
        if self.bandwidth_hz is not None and not low <= self.bandwidth_hz <= high:
            yield (
                f"bandwidth_hz={self.bandwidth_hz:g}: a low-pass at {sample_rate:g} Hz ends between {low:g} and "
                f"{high:g} Hz; use a frequency from there, or null."
            )
        if self.trim_db is not None and not 0 < self.trim_db < math.inf:
            yield (
                f"trim_db={self.trim_db:g}: it is how far below the loudest 10 ms silence begins; use a positive "
                "number such as 40, or null."
            )
        if self.loudness_db is not None and not -100 <= self.loudness_db <= 0:
            yield (
                f"loudness_db={self.loudness_db:g}: it is an RMS level below full scale; use a number from -100 to 0 "
                "such as -23, or null."
            )

    def key(self, sample_rate: float) -> str:
        """Name of these conditions in the name of a folder.

        Raises:
            ValueError: if a value cannot be.
        """
        for problem in self.problems(sample_rate):
            raise ValueError(problem)
        chosen = ((name.split("_")[0], value) for name, value in self._asdict().items() if value is not None)
        return "-".join([f"c{VERSION}", *(f"{name}{value!r}" for name, value in chosen)])


def condition(waveform: Waveform, sample_rate: int, conditions: Conditions) -> Waveform:
    """Condition a whole clip: the samples that a store with these conditions gives, rounded to 16 bits as there.

    Args:
        waveform: (samples,) float32.
        sample_rate: in Hz.
        conditions: what to do to it.

    Returns:
        (samples,) float32, fewer where its ends were cut; the waveform itself where nothing is to be done.

    Raises:
        ValueError: if a value of the conditions cannot be.
    """
    if conditions == Conditions():
        return waveform
    blocks = condition_pcm(
        lambda start, count: waveform[start : start + count], len(waveform), sample_rate, conditions
    )
    return join_pcm(blocks)


def condition_pcm(
    read: Read, length: int, sample_rate: int, conditions: Conditions
) -> Iterator[tuple[int, Pcm]]:
    """Condition a clip in blocks of 16-bit integers, each with its scale, as `audio.read_pcm` gives them.

    The clip is read twice, to measure it and to write it; memory does not grow with its length.

    Args:
        read: function from start and number of samples to samples of the clip.
        length: of the clip, in samples.
        sample_rate: in Hz.
        conditions: what to do to it.

    Raises:
        ValueError: if a value of the conditions cannot be.
    """
    for problem in conditions.problems(sample_rate):
        raise ValueError(problem)
    frame = max(1, round(FRAME_SECONDS * sample_rate))
    taps = None if conditions.bandwidth_hz is None else _low_pass(conditions.bandwidth_hz, sample_rate)

    def pieces(begin: int, end: int) -> Iterator[Waveform]:
        # On a grid that is fixed to the clip, so that a sample is the same in both passes.
        size = PIECE_FRAMES * frame
        for first in range(begin // size * size, end, size):
            piece = _filtered(read, length, first, min(first + size, length), taps)
            yield piece[max(begin - first, 0) : end - first]

    start, stop, gain = 0, length, 1.0
    if conditions.trim_db is not None or conditions.loudness_db is not None:
        start, stop, gain = _measure(pieces(0, length), length, frame, conditions)
    yield from rounded(
        lambda: (piece if gain == 1 else piece * np.float32(gain) for piece in pieces(start, stop))
    )


def _measure(
    pieces: Iterator[Waveform], length: int, frame: int, conditions: Conditions
) -> tuple[int, int, float]:
    """First sample to keep, the one after the last, and the gain."""
    energy = np.concatenate([_frame_energies(piece, frame) for piece in pieces])
    start, stop, gain = 0, length, 1.0
    if conditions.trim_db is not None:
        sizes = np.full(len(energy), float(frame))
        sizes[-1] = length - (len(energy) - 1) * frame
        power = energy / sizes
        # The loudest always, so never none.
        kept = np.flatnonzero(power >= power.max() * 10 ** (-conditions.trim_db / 10))
        energy = energy[kept[0] : kept[-1] + 1]
        start, stop = int(kept[0]) * frame, min(int(kept[-1] + 1) * frame, length)
    if conditions.loudness_db is not None and energy.any():
        rms = math.sqrt(float(energy.sum()) / (stop - start))
        gain = min(10 ** (conditions.loudness_db / 20) / rms, MAX_GAIN)
    return start, stop, gain


def _frame_energies(piece: Waveform, frame: int) -> NDArray[np.float64]:
    frames = np.pad(piece, (0, -len(piece) % frame)).reshape(-1, frame)
    energies: NDArray[np.float64] = np.square(frames, dtype=np.float64).sum(axis=1)
    return energies


def _low_pass(bandwidth_hz: float, sample_rate: float) -> Waveform:
    """Taps of a linear-phase low-pass whose stopband begins at the bandwidth; an odd number of them."""
    import scipy.signal  # half a second, which every worker process would pay

    width = TRANSITION * sample_rate
    num_taps, beta = scipy.signal.kaiserord(STOPBAND_DB, width / (sample_rate / 2))
    window = ("kaiser", beta)
    taps = scipy.signal.firwin(num_taps | 1, bandwidth_hz - width / 2, window=window, fs=sample_rate)
    low_pass: Waveform = taps.astype(np.float32)
    return low_pass


def _filtered(read: Read, length: int, start: int, stop: int, taps: Waveform | None) -> Waveform:
    """Samples `start` to `stop` of the filtered clip, without delay; it has zeros before and after it."""
    if taps is None:
        return read(start, stop - start)
    import scipy.signal

    margin = len(taps) // 2
    begin = max(start - margin, 0)
    inside = read(begin, min(stop + margin, length) - begin)
    padded = np.zeros(stop - start + 2 * margin, np.float32)
    padded[begin - start + margin :][: len(inside)] = inside
    filtered: Waveform = scipy.signal.oaconvolve(padded, taps, mode="valid")
    return filtered
