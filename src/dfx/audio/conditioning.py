"""Conditioning of clips: low-pass filtering, trimming of silence and level adjustment.

A detector then cannot use bandwidth, silence at the ends or level to recognise the class. Levels are in dB of the RMS,
0 dB = amplitude 1. A clip may exceed 1 after a gain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfx.audio.read_write import round_to_pcm
from dfx.audio.samples import Pcm, Waveform, join_pcm

VERSION = 1  # of the steps; increase it to condition every clip again
FRAME_SECONDS = 0.01  # frame length for the measurement of levels
PIECE_FRAMES = 5000  # processed together (50 s), so that a clip of hours takes little memory
MAX_GAIN = 100.0  # 40 dB; a clip that needs more holds only the rounding noise of 16 bits
STOPBAND_DB = 80.5  # of the design, 80 measured: below the rounding noise of most recordings
TRANSITION = 1 / 80  # of the sample rate: 200 Hz at 16 kHz, 407 taps

Read = Callable[[int, int], Waveform]  # (start, num_samples) -> samples of a clip


class Conditions(NamedTuple):
    """Settings of the conditioning steps: low-pass, trimming of silence and loudness; None skips a step.

    Attributes:
        bandwidth_hz: low-pass: attenuates by 80 dB from here, and not at all up to 1/80 of the sample rate below.
        trim_db: silence at both ends is cut: frames of 10 ms that are more than this below the loudest one.
        loudness_db: RMS level of the result; digital silence stays unchanged, and the gain is at most 40 dB.
    """

    bandwidth_hz: float | None = None
    trim_db: float | None = None
    loudness_db: float | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Conditions:
        """Create `Conditions` from the configuration node `conditioning`; a missing key becomes None."""
        values = (options.get(name) for name in cls._fields)
        return cls(*(None if value is None else float(value) for value in values))

    def problems(self, sample_rate: float) -> Iterator[str]:
        """Yield an error sentence for each invalid value; it begins with the name of the value."""
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
        """Text that identifies these conditions in folder names.

        Raises:
            ValueError: if a value is invalid.
        """
        for problem in self.problems(sample_rate):
            raise ValueError(problem)
        chosen = ((name.split("_")[0], value) for name, value in self._asdict().items() if value is not None)
        return "-".join([f"c{VERSION}", *(f"{name}{value!r}" for name, value in chosen)])


def condition_clip(waveform: Waveform, sample_rate: int, conditions: Conditions) -> Waveform:
    """Apply the conditioning steps to a whole clip (samples,) float32.

    The result is rounded to 16 bits, as in the waveform store.

    Returns:
        (samples,) float32, shorter after trimming; the waveform itself if no step is set.

    Raises:
        ValueError: if a condition is invalid.
    """
    if conditions == Conditions():
        return waveform
    blocks = condition_pcm_blocks(
        lambda start, count: waveform[start : start + count], len(waveform), sample_rate, conditions
    )
    return join_pcm(blocks)


def condition_pcm_blocks(
    read: Read, length: int, sample_rate: int, conditions: Conditions
) -> Iterator[tuple[int, Pcm]]:
    """Condition a clip block by block, and yield 16-bit blocks, each with its scale.

    The blocks have the format of `audio.read_pcm`. The clip is read twice, to measure it and to write it; memory does
    not grow with its length.

    Args:
        read: function from start and number of samples to samples of the clip.
        length: of the clip, in samples.
        sample_rate: in Hz.
        conditions: steps to apply.

    Raises:
        ValueError: if a condition is invalid.
    """
    for problem in conditions.problems(sample_rate):
        raise ValueError(problem)
    frame = max(1, round(FRAME_SECONDS * sample_rate))
    taps = None if conditions.bandwidth_hz is None else _low_pass(conditions.bandwidth_hz, sample_rate)

    def pieces(begin: int, end: int) -> Iterator[Waveform]:
        # The pieces are the same in both passes, and so are the samples.
        size = PIECE_FRAMES * frame
        for first in range(begin // size * size, end, size):
            piece = _filtered(read, length, first, min(first + size, length), taps)
            yield piece[max(begin - first, 0) : end - first]

    start, stop, gain = 0, length, 1.0
    if conditions.trim_db is not None or conditions.loudness_db is not None:
        start, stop, gain = _measure(pieces(0, length), length, frame, conditions)
    yield from round_to_pcm(lambda: (piece if gain == 1 else piece * np.float32(gain) for piece in pieces(start, stop)))


def _measure(pieces: Iterator[Waveform], length: int, frame: int, conditions: Conditions) -> tuple[int, int, float]:
    """Measure how to trim and scale a clip: first sample, end and gain."""
    energy = np.concatenate([_frame_energies(piece, frame) for piece in pieces])
    start, stop, gain = 0, length, 1.0
    if conditions.trim_db is not None:
        sizes = np.full(len(energy), float(frame))
        sizes[-1] = length - (len(energy) - 1) * frame
        power = energy / sizes
        # Never empty: the loudest frame is always kept.
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
    """Compute the coefficients of a linear-phase low-pass filter whose stopband begins at the bandwidth."""
    import scipy.signal  # takes half a second in every worker process

    width = TRANSITION * sample_rate
    num_taps, beta = scipy.signal.kaiserord(STOPBAND_DB, width / (sample_rate / 2))
    window = ("kaiser", beta)
    taps = scipy.signal.firwin(num_taps | 1, bandwidth_hz - width / 2, window=window, fs=sample_rate)
    low_pass: Waveform = taps.astype(np.float32)
    return low_pass


def _filtered(read: Read, length: int, start: int, stop: int, taps: Waveform | None) -> Waveform:
    """Apply the low-pass filter to samples `start` to `stop` of a clip, without delay."""
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
