"""Judge a file that a visitor sent, with each detector of the page."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from dfx import audio
from dfx.app.file_check import FileLimits, check_file
from dfx.audio.speech_properties import speech_properties
from dfx.audio.store import WaveformStore
from dfx.detector.answers import ClipAnswer
from dfx.detector.detection_system import DetectionSystem
from dfx.detector.file_detection import detect_files
from dfx.reporting.figures.clip import clip_overview


class FileAnswer(NamedTuple):
    """Answers of all detectors about one file.

    Attributes:
        name: of the file.
        answers: one of each detector; their `overview` is a `ClipOverview`.
        header: format, `sample_rate` and `channels` of the file.
        properties: see `speech_properties`.
    """

    name: str
    answers: list[ClipAnswer]
    header: audio.AudioInfo
    properties: dict[str, dict[str, float | int | None]]


def answer_file(systems: Sequence[DetectionSystem], path: Path, limits: FileLimits, folder: Path) -> FileAnswer:
    """Judge a file with each detector.

    Args:
        systems: the detectors.
        path: of the file.
        limits: that it must keep.
        folder: where decoded audio is stored while it is scored; nothing stays there.

    Raises:
        ValueError: if it is too large or too long, or cannot be decoded or scored.
    """
    check_file(path, limits)
    answers: list[ClipAnswer] = []
    properties: Any = None

    def overview(measured: bool, clips: WaveformStore, row: int) -> Any:
        return speech_properties(clips, row) if measured else None, clip_overview(clips, row)

    for system in systems:
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            options = replace(system.options, cache=cache, num_workers=0)
            wanted = functools.partial(overview, not answers)
            (answer,) = detect_files(system.detectors, system.rule, [str(path)], options, wanted)
        if answer.reason:
            raise ValueError(f"This file cannot be judged: {answer.reason}. Send another recording.")
        measured, seen = answer.overview
        properties = properties or measured
        answers.append(replace(answer, path=path.name, overview=seen))
    return FileAnswer(path.name, answers, audio.probe_audio(path), properties)
