"""Measures of answers, and the reference that they are compared with: dev clips of the detector, or part of the log."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfx.detector.answers import SILENT_DBFS
from dfx.detector.input_statistics import DISTANCE, EMBEDDING, MEASURES, SCORE, TITLES, UNITS
from dfx.detector.scoring import SavedDetector
from dfx.metrics.drift import DriftSample
from dfx.tracking.observations import Observations

Floats = NDArray[np.float64]

EMBEDDINGS, UNSURE, BROKEN, NEW_CODEC = "embedding", "unsure", "broken", "new_codec"
SHARES = (UNSURE, BROKEN, NEW_CODEC)
FEW_BLOCKS = 14  # whole periods: fewer in a reference from the log get a warning
MEASURE_TITLES = {
    SCORE: "score",
    UNSURE: "share of UNSURE",
    BROKEN: "share of files without an answer",
    NEW_CODEC: "share of codecs that the reference has not",
    **TITLES,
    EMBEDDINGS: "embedding",
}
MEASURE_UNITS = {**UNITS, SCORE: "", EMBEDDINGS: "", UNSURE: "", BROKEN: "", NEW_CODEC: ""}


@dataclass(frozen=True)
class DriftReference:
    """Reference of the monitor.

    Attributes:
        sample: its measures.
        codings: its codecs; empty if they are not known.
        count: of its clips or answers.
        text: what it is, for people.
        end_ms: end of a reference from the log; 0 for dev clips.
        notes: on its limits.
    """

    sample: DriftSample
    codings: frozenset[str]
    count: int
    text: str
    end_ms: int = 0
    notes: tuple[str, ...] = ()


def answer_measures(answers: Observations, codings: Collection[str]) -> dict[str, Floats]:
    """Return the measures of answers: score, statistics of the input, embedding, and shares.

    Args:
        answers: from the log.
        codings: codecs of the reference; the share of others is left out if they are not known.
    """
    new = np.array([float(one not in codings) if one else np.nan for one in answers.codings])
    return _measures(answers.columns, answers.unsure, answers.broken, new if codings else None)


def _measures(
    columns: Mapping[str, Floats], unsure: Floats, broken: Floats, new_codec: Floats | None
) -> dict[str, Floats]:
    names = (SCORE, *MEASURES, DISTANCE)
    coordinates = [columns[name] for name in columns if name.startswith(EMBEDDING)]
    return {
        SCORE: columns[SCORE],
        UNSURE: unsure,
        BROKEN: broken,
        **({} if new_codec is None else {NEW_CODEC: new_codec}),
        **{name: columns[name] for name in names[1:] if name in columns},
        **({EMBEDDINGS: np.stack(coordinates, axis=1)} if coordinates else {}),
    }


def dev_reference(detector: SavedDetector, settings: Mapping[str, Any]) -> DriftReference:
    """Make the reference of the dev clips that a detector carries.

    Args:
        detector: with its operating card.
        settings: decision rule of the answers, from the log.

    Raises:
        ValueError: if the detector carries no dev clips.
    """
    card = detector.card
    reference = card.reference if card else None
    if card is None or reference is None or reference.clips is None:
        raise ValueError(
            f"{detector.name} ({detector.file}) carries no dev clips to compare with: it was trained by an earlier "
            "version of dfx, or on fewer than 20 dev clips. Train it again, or give a part of the log as the "
            "reference, reference=FROM..TO."
        )
    columns = dict(reference.clips.columns)
    if settings["calibrated"] and card.slope is not None:
        columns[SCORE] = card.slope * columns[SCORE] + card.intercept
    unsure = np.zeros(len(columns[SCORE]))
    low, high = settings["low"], settings["high"]
    if card.tells_nothing:
        unsure[:] = 1
    elif low is not None:
        unsure[(columns[SCORE] > low) & (columns[SCORE] <= high)] = 1
    unsure[columns["loudness"] < SILENT_DBFS] = 1
    if settings["kind"] == "files":
        for row in range(len(unsure)):
            values = {name: float(columns[name][row]) for name in (*MEASURES, DISTANCE) if name in columns}
            unsure[row] = max(unsure[row], float(bool(reference.deviations(values))))
    speakers = reference.clips.speakers
    count, groups = len(unsure), len(np.unique(speakers))
    notes = (
        f"The {count:,} dev clips have {groups:,} speakers, and clips of one speaker are alike: the limits allow for "
        "that. The clips of a period are taken as independent of each other.",
        "Dev clips that could not be read were left out of the training: the reference has no files without an answer.",
    )
    codings = frozenset(reference.codings)
    measures = _measures(columns, unsure, np.zeros(count), np.zeros(count) if codings else None)
    text = f"{count:,} dev clips of {detector.name}"
    return DriftReference(DriftSample(measures, speakers), codings, count, text, notes=notes)


def log_reference(answers: Observations, blocks: NDArray[np.int64], range_text: str, end_ms: int) -> DriftReference:
    """Make the reference of a part of the log.

    Args:
        answers: of that part.
        blocks: (answers,) number of the period that each is from; answers of one period are alike.
        range_text: of its times, for people.
        end_ms: end of that part.
    """
    count = len(np.unique(blocks))
    notes = [
        f"The reference has {count} periods; how much these differ from each other raises the limits, so that ordinary "
        "changes from one to the next are no drift."
    ]
    if count < FEW_BLOCKS:
        notes.append(
            f"Warning: {count} periods say little about ordinary changes: the limits are wide, a drift may go unseen, "
            f"and an alarm may be an ordinary change. Take a longer reference, {FEW_BLOCKS} periods or more."
        )
    text = f"{len(answers):,} answers of the log, {range_text}"
    codings = frozenset(answers.codings) - {""}
    sample = DriftSample(answer_measures(answers, codings), blocks)
    return DriftReference(sample, codings, len(answers), text, end_ms, tuple(notes))
