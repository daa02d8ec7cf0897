"""Segments of waveforms: crop a clip, pad a short clip, slide windows over a long clip."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", bound=np.generic)

TRAIN_POLICIES = ("random", "first", "centre")
WINDOWS = ("sliding", "chunks")  # several segments of one utterance: overlapping by half, side by side
EVAL_POLICIES = ("first", "centre", *WINDOWS)
PADS = ("repeat", "zero")


def fit_segment(waveform: NDArray[Value], num_samples: int, pad: str = "repeat") -> NDArray[Value]:
    """Cut a waveform to `num_samples`, or extend a shorter one by repetition or zeros.

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


class Crop(NamedTuple):
    """Rule for cutting segments from utterances: length, position and padding.

    Attributes:
        num_samples: its length.
        policy: where it starts: "random" (any start that keeps it inside, equally likely), "first" or "centre";
            "sliding" or "chunks": one of the windows over the whole utterance, overlapping by half or side by side.
        pad: how a shorter utterance is filled: "repeat" or "zero".
        step: distance between windows in samples; None for half a window, or with "chunks" a whole one.
    """

    num_samples: int
    policy: str
    pad: str
    step: int | None = None

    @property
    def hop(self) -> int:
        """Distance between windows in samples."""
        return self.step or (self.num_samples if self.policy == "chunks" else -(-self.num_samples // 2))

    def start(self, length: int, number: int, generator: np.random.Generator) -> int:
        """Return where a segment starts in an utterance of `length` samples.

        It is 0 if the utterance is not longer than the segment.

        Args:
            length: of the utterance.
            number: of the window; the last one ends with the utterance, and may overlap its neighbour more.
            generator: for a random start; not used for an utterance that is not longer.

        Raises:
            ValueError: if the policy is unknown.
        """
        spare = max(length - self.num_samples, 0)
        if self.policy in WINDOWS:
            return min(number * self.hop, spare)
        if self.policy not in TRAIN_POLICIES:
            raise ValueError(
                f"Unknown crop policy {self.policy!r}: use one of {', '.join((*TRAIN_POLICIES, *WINDOWS))}."
            )
        if self.policy == "random" and spare:
            return int(generator.integers(0, spare + 1))
        return spare // 2 if self.policy == "centre" else 0

    def num_windows(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of windows of each utterance (utterances,); it is 1 for "first" and "centre"."""
        if self.policy in WINDOWS:
            return 1 - (-np.maximum(lengths - self.num_samples, 0) // self.hop)
        return np.ones(len(lengths), np.int64)
