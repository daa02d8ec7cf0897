"""Log of the answers of the command (`log=STORE`), for `dfx.monitor`."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from dfx.detector.answers import SILENT_DBFS, UNSURE, ClipAnswer, DecisionRule
from dfx.detector.detection_system import DetectionSystem
from dfx.detector.input_statistics import DISTANCE, EMBEDDING, MEASURES
from dfx.detector.kept_scores import file_identity
from dfx.detector.streaming import StreamWindow
from dfx.tracking.observations import LoggedSystem, Observation, ObservationLog, file_hash

if TYPE_CHECKING:
    from collections.abc import Sequence


def open_log(store: str | None, system: DetectionSystem, kind: str) -> AbstractContextManager[ObservationLog | None]:
    """Open the log of a system's answers; None if there is no store.

    Args:
        store: the SQLite file.
        system: detectors, rule and options of the command.
        kind: "files" or "stream".
    """
    if not store:
        return nullcontext()
    first, rule, options = system.detectors[0], system.rule, system.options
    reference = first.card.reference if first.card else None
    space = reference.space if reference else None
    dimensions = 0 if space is None else space.directions.shape[1]
    policy = first.policy("sliding", options.window_seconds, options.hop_seconds)
    limits = {"threshold": rule.threshold, "low": rule.low, "high": rule.high}
    settings = {
        "kind": kind,
        "calibrated": rule.calibrated,
        **{name: _number(value) for name, value in limits.items()},
        "p_spoof": rule.p_spoof,
        "windows": str(policy),
        "hop_seconds": policy.crop.hop / policy.sample_rate,
        "aggregate": f"top {options.top_k}" if options.aggregate == "top_k" else options.aggregate,
    }
    columns = [*MEASURES, DISTANCE, *(f"{EMBEDDING}{number}" for number in range(dimensions))]
    # The monitor may run in another folder.
    places = [
        str(Path(one).expanduser().absolute()) if Path(one).expanduser().exists() else one for one in system.places
    ]
    digest = "+".join(detector.digest for detector in system.detectors)
    return ObservationLog(store, LoggedSystem(digest, system.name, places, columns, settings))


def log_answer(log: ObservationLog, answer: ClipAnswer, keep_path: bool) -> None:
    """Add the answer about a file to the log."""
    identity = file_identity(answer.path)
    known, path = file_hash(*identity), identity.path if keep_path else None
    if answer.reason:
        log.add(Observation(known, path, None, None, None, None, None, answer.reason, None))
        return
    embedding = [math.nan if answer.distance is None else answer.distance, *answer.coordinates]
    log.add(
        Observation(
            *(known, path, answer.coding or None, answer.duration_seconds, answer.score),
            *(_number(answer.fake_probability), answer.prediction, answer.unsure),
            _filled(log, [*answer.measures.values(), *embedding]),
        )
    )


def log_window(log: ObservationLog, window: StreamWindow, score: float, rule: DecisionRule) -> None:
    """Add the answer about a window of a stream to the log; of its input only the level is known."""
    silent = window.level_db < SILENT_DBFS
    prediction = UNSURE if silent else rule.predict(score)
    reason = "" if prediction != UNSURE else "silent" if silent else "between the limits"
    level = [window.level_db if name == "loudness" else math.nan for name in MEASURES]
    duration = window.end_seconds - window.start_seconds
    probability = _number(rule.fake_probability(score))
    log.add(Observation(None, None, None, duration, score, probability, prediction, reason, _filled(log, level)))


def _filled(log: ObservationLog, values: Sequence[float]) -> list[float]:
    """Fill up statistics that the detector does not give with NaN."""
    return [*values, *[math.nan] * (len(log.system.columns) - len(values))]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
