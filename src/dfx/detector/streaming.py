"""Streaming detection: score audio chunk by chunk while it comes in, with constant memory.

Windows slide over a buffer. There is no hidden state: the scores are those of the whole recording, for chunks of any
size, and nothing has to be reset but between recordings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr
import torch
from numpy.typing import ArrayLike, NDArray

from dfx.audio.conditioning import Conditions
from dfx.audio.measures import LEAST_POWER
from dfx.audio.samples import FULL_SCALE, mono_samples, require_sample_rate
from dfx.audio.segments import fit_segment
from dfx.detector.loading import load_detector
from dfx.detector.scoring import SavedDetector

CHUNK_SAMPLES = 1 << 15  # of a longer chunk, resampled at once


class StreamWindow(NamedTuple):
    """Window of a stream.

    Attributes:
        score: of the detector.
        llr: log-likelihood ratio in nats; NaN without calibration.
        level_db: RMS level in dBFS; below `answers.SILENT_DBFS` there is nothing to judge.
    """

    start_seconds: float
    end_seconds: float
    score: float
    llr: float
    level_db: float


class StreamingDetector:
    """Detector for streams: takes chunks of audio, and returns the score of every window as soon as it is complete.

        stream = dfx.StreamingDetector("best.ckpt", sample_rate=48000, hop_seconds=0.5)
        for window in stream.add(chunk):               # (samples,) or (samples, channels), float in [-1, 1] or int16
            print(window.end_seconds, window.llr)      # above 0: genuine
        stream.finish()                                # the last, incomplete window

    The scores are those of the whole recording with `eval_crop=sliding`, to 1e-6; for samples beyond full scale, which
    a file scales as a whole, to the rounding of 16 bits.

    Args:
        place: a detector that `dfx.load` opened, or where to load one from.
        sample_rate: of the chunks, in Hz; that of the detector if None.
        hop_seconds: time from one window to the next; half a window if None.
        window_seconds: length of a window; the segment of the detector if None.
        trust: see `dfx.load`.

    Raises:
        ValueError: if the detector needs the whole clip: trimming, level or bandwidth were conditioned in training, or
            its maps are those of whole clips.
    """

    def __init__(
        self,
        place: SavedDetector | str | Path,
        sample_rate: int | None = None,
        hop_seconds: float | None = None,
        window_seconds: float | None = None,
        trust: str | Sequence[str] = (),
    ) -> None:
        self.detector = place if isinstance(place, SavedDetector) else load_detector(place, trust)
        policy = self.detector.policy("sliding", window_seconds, hop_seconds)
        if policy.conditions != Conditions() or policy.whole_maps:
            cause = "the map of the whole clip (feature.cache=true)" if policy.whole_maps else "the whole clip first"
            raise ValueError(
                f"{self.detector.name} cannot score a stream: as in its training ({policy}) it needs {cause}. Score "
                "files with it, or train a detector for streams with conditioning=none feature.cache=false."
            )
        self._crop, self._rate = policy.crop, policy.sample_rate
        self.source_rate = require_sample_rate(Path("the stream"), sample_rate or policy.sample_rate)
        self.reset()

    @property
    def window_seconds(self) -> float:
        """Length of a window in seconds."""
        return self._crop.num_samples / self._rate

    def reset(self) -> None:
        """Forget the recording so far, and begin another one."""
        self._buffer = np.zeros(0, np.float32)
        self._first = 0  # sample of the recording at which the buffer starts
        self._next = 0  # start of the next window
        self._finished = False
        self._resampler = None
        if self.source_rate != self._rate:
            self._resampler = soxr.ResampleStream(self.source_rate, self._rate, 1, dtype="float32", quality="HQ")

    def add(self, chunk: ArrayLike) -> list[StreamWindow]:
        """Add the next chunk, and return the windows that it completes.

        Args:
            chunk: (samples,) or (samples, channels), floating-point numbers in [-1, 1] or 16-bit integers; may be
                empty.

        Raises:
            ValueError: if it holds NaN or infinity, has another shape or type, or the recording is finished.
        """
        if self._finished:
            raise ValueError("The recording is finished: call reset() before the next one.")
        samples, found = _mono_chunk(chunk), list[StreamWindow]()
        for first in range(0, len(samples), CHUNK_SAMPLES):
            piece = samples[first : first + CHUNK_SAMPLES]
            self._append(piece if self._resampler is None else self._resampler.resample_chunk(piece))
            found += self._windows()
        return found

    def finish(self) -> list[StreamWindow]:
        """End the recording, and return its last windows.

        The last window ends with the recording; a recording that is shorter than a window is repeated, as in training.

        Raises:
            ValueError: if no samples came.
        """
        if self._resampler is not None and not self._finished:
            self._append(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        self._finished = True
        found = list(self._windows())
        total, size = self._first + len(self._buffer), self._crop.num_samples
        if total == 0:
            raise ValueError("The stream ended before the first sample: nothing was scored.")
        if total < size:
            found.append(self._score(0, fit_segment(self._buffer, size, self._crop.pad), total))
        elif self._next - self._crop.hop + size < total:
            start = total - size
            found.append(self._score(start, self._buffer[start - self._first :], total))
        return found

    def _append(self, samples: NDArray[np.float32]) -> None:
        # Rounded to 16 bits, as all clips that the detector has seen.
        rounded = np.rint(samples * np.float32(FULL_SCALE)) / np.float32(FULL_SCALE)
        top = np.float32((FULL_SCALE - 1) / FULL_SCALE)
        rounded[(rounded > top) & (samples <= 1)] = top
        self._buffer = np.concatenate([self._buffer, rounded])

    def _windows(self) -> Iterator[StreamWindow]:
        size = self._crop.num_samples
        while self._next + size <= self._first + len(self._buffer):
            begin = self._next - self._first
            yield self._score(self._next, self._buffer[begin : begin + size], self._next + size)
            self._next += self._crop.hop
            # What a window at the end of the recording may need stays.
            drop = min(self._next, self._first + len(self._buffer) - size) - self._first
            if drop > 0:
                self._buffer = self._buffer[drop:].copy()
                self._first += drop

    def _score(self, start: int, samples: NDArray[np.float32], end: int) -> StreamWindow:
        waveform = torch.from_numpy(np.ascontiguousarray(samples))[None].to(self.detector.device)
        with torch.inference_mode():
            score = float(self.detector.network.score_batch({"waveform": waveform})[0])
        card = self.detector.card
        llr = math.nan if card is None else card.llr(score)
        level = 10 * math.log10(float(waveform.square().mean()) + LEAST_POWER)
        return StreamWindow(start / self._rate, end / self._rate, score, llr, level)


def _mono_chunk(chunk: ArrayLike) -> NDArray[np.float32]:
    array = np.asarray(chunk)
    if array.ndim not in (1, 2) or not (array.dtype == np.int16 or array.dtype.kind == "f"):
        raise ValueError(
            f"A chunk has the shape (samples,) or (samples, channels) and holds 16-bit integers or floating-point "
            f"numbers in [-1, 1], got {array.dtype} of shape {array.shape}."
        )
    channels = array.T if array.ndim == 2 else array[None]
    if not channels.shape[1]:
        return np.zeros(0, np.float32)
    mono = mono_samples(channels if array.dtype == np.int16 else channels.astype(np.float32))
    if not np.isfinite(mono).all():
        raise ValueError("The chunk has samples that are NaN or infinite: look at the source of the stream.")
    return mono
