"""Judge a live microphone: a window at a time, with one detector or several side by side."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfx.audio.samples import require_sample_rate
from dfx.detector.answers import NO_ANSWER, SILENT_DBFS, UNSURE
from dfx.detector.detection_system import DetectionSystem
from dfx.detector.streaming import StreamingDetector, StreamWindow

HOP_SECONDS = 0.5  # from one window to the next
MOST_DRAWN = 120  # windows
MOST_RECORDINGS = 8  # at the same time
MOST_CHUNK_SECONDS = 10.0  # the page sends 5 s at most: page.js
FORGOTTEN_SECONDS = 30.0  # after the last chunk of a browser that has gone


@dataclass
class LiveAnswer:
    """What a detector says about a live recording so far.

    Attributes:
        system: the detector.
        refusal: why it cannot judge a stream; empty if it can.
        windows: the last minute: end in seconds, and score; NaN for silence.
        prediction: about the last window.
        score: of the last window; NaN for silence.
        sum_of_scores: of all windows with sound.
        num_scores: number of these windows.
    """

    system: DetectionSystem
    refusal: str = ""
    windows: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=MOST_DRAWN))
    prediction: str = NO_ANSWER
    score: float = math.nan
    sum_of_scores: float = 0.0
    num_scores: int = 0

    def add(self, window: StreamWindow) -> None:
        """Add the next window."""
        rule = self.system.rule
        silent = window.level_db < SILENT_DBFS
        score = window.llr if rule.calibrated else window.score
        self.score = math.nan if silent else score
        self.prediction = UNSURE if silent else rule.predict(score)
        self.windows.append((window.end_seconds, self.score))
        if not silent:
            self.sum_of_scores += score
            self.num_scores += 1

    @property
    def mean_score(self) -> float:
        """Mean score of the windows with sound; NaN without any."""
        return self.sum_of_scores / self.num_scores if self.num_scores else math.nan


class LiveRecording:
    """Recording of a microphone that is judged while it comes in.

    Args:
        systems: the detectors.

    Attributes:
        answers: one for each detector.
        seconds: length so far.
    """

    def __init__(self, systems: Sequence[DetectionSystem]) -> None:
        self.answers = [LiveAnswer(system) for system in systems]
        self.seconds = 0.0
        self._streams: list[StreamingDetector | None] = []
        self._lock = threading.Lock()
        self._rate = 0

    def add(self, chunk: NDArray[np.int16], rate: int) -> None:
        """Add a chunk (samples,) at a sample rate in Hz.

        Raises:
            ValueError: if the rate has changed, or is no sample rate.
        """
        with self._lock:
            if not self._streams:
                self._streams = [self._open(answer, rate) for answer in self.answers]
                self._rate = rate
            if rate != self._rate:
                raise ValueError(
                    f"The sample rate of the microphone changed from {self._rate} to {rate} Hz: record again."
                )
            self.seconds += len(chunk) / rate
            for answer, stream in zip(self.answers, self._streams, strict=True):
                for window in stream.add(chunk) if stream else ():
                    answer.add(window)

    def _open(self, answer: LiveAnswer, rate: int) -> StreamingDetector | None:
        if len(answer.system.detectors) > 1:
            answer.refusal = "Detectors that are fused judge files only: start the page with a single model."
            return None
        (detector,) = answer.system.detectors
        try:
            return StreamingDetector(detector, rate, min(HOP_SECONDS, detector.segment_seconds))
        except ValueError as error:
            answer.refusal = str(error)
            return None

    def finish(self) -> None:
        """End the recording: one that is shorter than a window has an answer now."""
        with self._lock:
            for answer, stream in zip(self.answers, self._streams, strict=False):
                if stream and self.seconds and not answer.windows:
                    for window in stream.finish():
                        answer.add(window)


class LiveRecordings:
    """Live recordings of all visitors, by the random name that each browser gives its own; nothing is on disk.

    Args:
        systems: the detectors.
        most_seconds: of a recording.
    """

    def __init__(self, systems: Sequence[DetectionSystem], most_seconds: float) -> None:
        self._systems, self._most_seconds = systems, most_seconds
        self._lock = threading.Lock()
        self._found: dict[str, LiveRecording] = {}
        self._heard: dict[str, float] = {}  # time of the last chunk
        self._judged: set[str] = set()  # those whose last chunk is being judged

    def add(self, name: str, data: bytes, rate: int, last: bool) -> LiveRecording:
        """Add a chunk of 16-bit samples to a recording, which begins with its first chunk and ends with its last one.

        Raises:
            ValueError: if there are too many recordings, this one or the chunk is too long, the chunk before it is
                still judged, or the sample rate is invalid.
        """
        require_sample_rate(Path("the microphone"), rate)
        chunk = np.frombuffer(data, "<i2", len(data) // 2)
        with self._lock:
            recording = self._begin(name, len(chunk) / rate)
        try:
            recording.add(chunk, rate)
            if last:
                recording.finish()
        finally:
            with self._lock:
                self._judged.remove(name)
                if last:
                    self._forget(name)
        return recording

    def _begin(self, name: str, seconds: float) -> LiveRecording:
        """Return the recording that a chunk of so many seconds belongs to, or refuse the chunk."""
        self._forget_silent()
        if name in self._judged:
            raise ValueError("The chunk before this one is still judged: send one after the other.")
        if seconds > MOST_CHUNK_SECONDS:
            raise ValueError(f"A chunk has {seconds:.1f} s, and at most {MOST_CHUNK_SECONDS:g} s are taken: send less.")
        if name not in self._found and len(self._found) >= MOST_RECORDINGS:
            raise ValueError(f"{MOST_RECORDINGS} others are recording at the moment: try again in a minute.")
        recording = self._found.setdefault(name, LiveRecording(self._systems))
        if recording.seconds + seconds > self._most_seconds:
            self._forget(name)
            raise ValueError(f"The recording has reached {self._most_seconds:g} s, the most that is taken here.")
        self._heard[name] = time.monotonic()
        self._judged.add(name)
        return recording

    def _forget_silent(self) -> None:
        for name, heard in list(self._heard.items()):
            if time.monotonic() - heard > FORGOTTEN_SECONDS and name not in self._judged:
                self._forget(name)

    def _forget(self, name: str) -> None:
        self._found.pop(name, None)
        self._heard.pop(name, None)
