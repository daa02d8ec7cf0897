"""Segments of waveforms: crops of a clip, padding of a short one, sliding windows over a long one."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", bound=np.generic)

POLICIES = ("random", "first", "centre")
SLIDING = "sliding"  # policy with several segments of one utterance
PADS = ("repeat", "zero")


def segment_start(length: int, num_samples: int, policy: str, generator: np.random.Generator | None = None) -> int:
    """First sample of a crop of `num_samples` in a clip of `length` samples; 0 if the clip is not longer.

    `random` draws uniformly from every start that keeps the crop inside the clip; it draws nothing for a clip that
    is not longer than the crop.

    Raises:
        ValueError: if the policy is unknown, or `random` has no generator.
    """
    if policy not in POLICIES:
        raise ValueError(f"Unknown crop policy {policy!r}: use one of {', '.join(POLICIES)}.")
    spare = length - num_samples
    if spare <= 0 or policy == "first":
        return 0
    if policy == "centre":
        return spare // 2
    if generator is None:
        raise ValueError("The crop policy 'random' needs a numpy.random.Generator, got None: pass one, seeded.")
    return int(generator.integers(0, spare + 1))


def fit_segment(waveform: NDArray[Value], num_samples: int, pad: str = "repeat") -> NDArray[Value]:
    """Cut a waveform to `num_samples`, or extend it to them by repetition or by zeros.

    Repeating is the default: zeros at the end show a model how long a clip was, which is not a property of speech.

    Args:
        waveform: (samples,), at least one; or a map (frames, ...), whose frames are cut and repeated instead.
        num_samples: wanted length.
        pad: `repeat` or `zero`.

    Returns:
        (num_samples,) or (num_samples, ...), of the type of `waveform`.

    Raises:
        ValueError: if the waveform is empty, or `pad` is unknown.
    """
    if pad not in PADS:
        raise ValueError(f"Unknown padding {pad!r}: use one of {', '.join(PADS)}.")
    if len(waveform) == 0:
        raise ValueError(f"An empty waveform cannot fill {num_samples} samples: leave out clips without samples.")
    if len(waveform) >= num_samples:
        return waveform[:num_samples]
    if pad == "repeat":
        return np.resize(waveform, (num_samples, *waveform.shape[1:]))
    filled = np.zeros((num_samples, *waveform.shape[1:]), waveform.dtype)
    filled[: len(waveform)] = waveform
    return filled


def segment_windows(length: int, num_samples: int, hop: int) -> list[int]:
    """Starts of windows of `num_samples` at a distance of `hop` that cover all of `length` samples.

    The last window ends with the clip, so it may overlap its neighbour more than the others do. A clip that is not
    longer than one window has one, at 0.

    Raises:
        ValueError: if `hop` or `num_samples` is not positive, or `hop` exceeds `num_samples`.
    """
    (count,) = num_segment_windows(np.array([length]), num_samples, hop).tolist()
    last = max(length - num_samples, 0)
    return [min(number * hop, last) for number in range(count)]


def num_segment_windows(lengths: NDArray[np.integer], num_samples: int, hop: int) -> NDArray[np.int64]:
    """Number of `segment_windows` for clips of these lengths, (clips,).

    Raises:
        ValueError: if `hop` or `num_samples` is not positive, or `hop` exceeds `num_samples`.
    """
    if not 0 < hop <= num_samples:
        raise ValueError(
            f"Windows of {num_samples} samples cannot slide by {hop}: use a hop from 1 to the window's length."
        )
    spare = np.maximum(np.asarray(lengths, np.int64) - num_samples, 0)
    return 1 - (-spare // hop)


class Crop(NamedTuple):
    """Rule for cutting segments from utterances: length, position and padding.

    Attributes:
        num_samples: its length.
        policy: where it starts: "random", "first" or "centre"; "sliding": one of the windows over all of it.
        pad: how a shorter utterance is filled: "repeat" or "zero".
    """

    num_samples: int
    policy: str
    pad: str

    @property
    def hop(self) -> int:
        """Samples between sliding windows: half a window, so that every sample except at the ends is used twice."""
        return -(-self.num_samples // 2)

    def start(self, length: int, number: int, generator: np.random.Generator) -> int:
        """First sample of a segment in an utterance of `length` samples; `number` is the index of the window."""
        if self.policy == SLIDING:
            return segment_windows(length, self.num_samples, self.hop)[number]
        return segment_start(length, self.num_samples, self.policy, generator)

    def num_windows(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of windows for utterances of these lengths, (utterances,): one, except for sliding windows."""
        if self.policy == SLIDING:
            return num_segment_windows(lengths, self.num_samples, self.hop)
        return np.ones(len(lengths), np.int64)
