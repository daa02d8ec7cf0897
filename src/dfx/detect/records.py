"""Answers as JSON and CSV, with the field names of system S4 and further ones (docs/detect.schema.json)."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dfx.detector.answers import ClipAnswer, ClipWindows, DecisionRule
from dfx.metrics import posterior

SCHEMA_VERSION = 1
CSV_COLUMNS = (
    *("path", "prediction", "fake_probability", "score", "threshold", "duration_seconds", "num_windows"),
    *("fake_seconds", "segments", "warnings", "reason"),
)


def answer_record(
    answer: ClipAnswer,
    rule: DecisionRule,
    header: Mapping[str, int],
    properties: Mapping[str, Any] | None,
    processing_seconds: float,
    plot: str | None,
    hop_seconds: float,
) -> dict[str, Any]:
    """Convert an answer to a record for JSON; what is not known is null.

    Args:
        answer: about the clip.
        rule: of the decision.
        header: `sample_rate` and `channels` of the file.
        properties: see `speech_properties`.
        processing_seconds: time that the clip took.
        plot: path of its picture.
        hop_seconds: time from one window to the next.
    """
    windows = answer.windows
    probability = _number(answer.fake_probability)
    probabilities = [] if windows is None else _fake_probabilities(windows.scores, rule)
    known = windows is not None
    return {
        "path": answer.path,
        "error": answer.reason or None,
        "prediction": answer.prediction or None,
        "confidence": None if probability is None else max(probability, 1 - probability),
        "fake_probability": probability,
        "score": _number(answer.score),
        "threshold": _number(rule.threshold),
        "processing_time": processing_seconds,
        "properties": {
            "duration_seconds": _number(answer.duration_seconds),
            "sample_rate": header.get("sample_rate"),
            "channels": header.get("channels"),
        },
        **(properties or {"pitch": None, "energy": None, "spectral": None}),
        "visualization": {"spectrogram_url": plot, "spectrogram_data": None},
        "metrics": {
            "average_chunk_fake_score": float(np.mean(probabilities)) if probabilities else None,
            "chunk_predictions": probabilities,
            "chunk_duration_s": windows.seconds if windows is not None else None,
            "chunk_overlap_s": None if windows is None else _overlap(windows, hop_seconds),
            "num_chunks": len(windows.scores) if windows is not None else 0,
        },
        "windows": [
            {"start_seconds": float(start), "end_seconds": float(start) + windows.seconds, "score": float(score)}
            for start, score in zip(windows.starts, windows.scores, strict=True)
        ]
        if windows is not None
        else [],
        "segments": [segment._asdict() for segment in answer.segments],
        "measures": {name: _number(value) for name, value in answer.measures.items()} if known else None,
        "warnings": list(answer.warnings),
    }


def _overlap(windows: ClipWindows, hop_seconds: float) -> float:
    return max(0.0, windows.seconds - hop_seconds) if len(windows.starts) > 1 else 0.0


def _fake_probabilities(scores: np.ndarray, rule: DecisionRule) -> list[float]:
    if not rule.calibrated:
        return []
    fake: np.ndarray = 1 - posterior(scores, 1 - rule.p_spoof, rule.p_spoof)
    return list(map(float, fake))


def answers_json(records: Iterable[Mapping[str, Any]], model: str, rule: DecisionRule) -> str:
    """Return the JSON document of all answers."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "model": model,
        "calibrated": rule.calibrated,
        "threshold": _number(rule.threshold),
        "threshold_source": rule.source,
        "unsure_from": _number(rule.low),
        "unsure_to": _number(rule.high),
        "p_spoof": rule.p_spoof,
        "files": list(records),
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def answers_csv(answers: Iterable[ClipAnswer], rule: DecisionRule) -> str:
    """Return a CSV table with a row for each clip; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for answer in answers:
        fake = sum(segment.end_seconds - segment.start_seconds for segment in answer.segments)
        segments = " ".join(f"{one.start_seconds:.2f}-{one.end_seconds:.2f}" for one in answer.segments)
        known = answer.windows is not None
        values = [
            *(answer.fake_probability, answer.score, rule.threshold, answer.duration_seconds),
            *(
                float(len(answer.windows.scores)) if answer.windows is not None else math.nan,
                fake if known else math.nan,
            ),
        ]
        numbers = ["" if _number(value) is None else f"{value:.9g}" for value in values]
        writer.writerow([answer.path, answer.prediction, *numbers, segments, " ".join(answer.warnings), answer.reason])
    return text.getvalue()


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
