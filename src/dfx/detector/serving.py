"""Loader that MLflow calls for a model of dfx: `mlflow models serve` and `mlflow.pyfunc.load_model` answer through it.

MLflow imports this module because the file `MLmodel` names it. The input is a table with a column `audio`: paths of
files on this machine, or the bytes of audio files as base64. No audio is kept.
"""

from __future__ import annotations

import base64
import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml  # type: ignore[import-untyped]

from dfx import files
from dfx.detector.answers import ClipAnswer, ThresholdChoice
from dfx.detector.detection_system import DetectionSystem, open_detection_system
from dfx.detector.file_detection import DetectionOptions, detect_files
from dfx.detector.scoring import TABLE_FEATURE
from dfx.tracking.place import AUDIO, CHECKPOINT, DIGEST

NUM_WORKERS = 1  # a process of its own decodes: a file that crashes or hangs the decoder does not stop the server
NEITHER = "it is neither the path of a file on this machine nor the base64 text of an audio file"
LONGEST_PATH = 4096  # characters; a longer text is base64


def _load_pyfunc(data_path: str) -> ServedDetector:
    """Open the checkpoint in the data folder of a model; MLflow calls this.

    Raises:
        ValueError: if it is no checkpoint of dfx, or not the one whose hash stands in `MLmodel`.
    """
    file = Path(data_path) / Path(CHECKPOINT).name
    description = yaml.safe_load((Path(data_path).parent / "MLmodel").read_text(encoding="utf-8"))
    wanted = (description.get("metadata") or {}).get(f"{DIGEST}{file.name}")
    if file.exists() and files.file_digest(file) != wanted:
        raise ValueError(
            f"{file} is not the checkpoint whose SHA-256 stands in MLmodel beside it: it was changed or damaged. "
            "Register the run again."
        )
    options = DetectionOptions(num_workers=NUM_WORKERS)
    return ServedDetector(open_detection_system(str(file), (), ThresholdChoice(), options))


class ServedDetector:
    """Detector that answers for tables of paths or base64 audio, as `dfx.detect` does.

    Args:
        system: a single detector, with its decision rule.

    Raises:
        ValueError: if it takes no audio.
    """

    def __init__(self, system: DetectionSystem) -> None:
        (self._detector,) = system.detectors
        if self._detector.config["feature"]["_target_"] == TABLE_FEATURE:
            raise ValueError(
                f"{system.name} takes ready features (feature=table) and no audio, so it cannot be served: score rows "
                "with dfx.load."
            )
        self._system = system

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Score clips.

        Args:
            model_input: table with a column `audio` of paths or base64 text.
            params: none are known; MLflow passes them.

        Returns:
            A row for each clip: `prediction`, `fake_probability`, `score` and `warnings` as `dfx.detect` gives them,
            `plain_score` as `dfx.load(place).score(path)` gives it, and `error`: why there is no answer.
        """
        with files.temporary_folder(files.cache_dir() / "served") as folder:
            places = [_place(str(text), folder / f"clip{row}") for row, text in enumerate(model_input[AUDIO])]
            answers = iter(self._answers([place for place in places if place], str(folder)))
            rows = [self._row(next(answers) if place else ClipAnswer("", NEITHER)) for place in places]
        # Of objects, so that a missing number is None: JSON has no NaN.
        return pd.DataFrame(rows, index=model_input.index, dtype=object)

    def _answers(self, paths: Sequence[str], folder: str) -> Iterator[ClipAnswer]:
        # The scores are kept in the folder, too, and removed with it.
        options = replace(self._system.options, cache=folder)
        return detect_files([self._detector], self._system.rule, paths, options, self._detector.score_stored_clip)

    def _row(self, answer: ClipAnswer) -> dict[str, Any]:
        numbers = {
            "fake_probability": answer.fake_probability,
            "score": answer.score,
            "plain_score": answer.overview if answer.overview is not None else math.nan,
            "threshold": self._system.rule.threshold,
            "duration_seconds": answer.duration_seconds,
        }
        return {
            "prediction": answer.prediction or None,
            **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
            "warnings": " ".join(answer.warnings),
            "error": answer.reason or None,
        }


def _place(text: str, file: Path) -> str:
    """Return the path of a clip; base64 text is written to a file. "" for text that is neither."""
    text = text.strip()
    if len(text) <= LONGEST_PATH:
        with contextlib.suppress(OSError, ValueError):  # characters that no path may have
            if Path(text).is_file():
                return text
    if text.startswith("data:"):  # as browsers write it: data:audio/wav;base64,…
        text = text.partition(",")[2]
    try:
        sound = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return ""
    file.write_bytes(sound)
    return str(file)
