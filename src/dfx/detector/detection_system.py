"""Open the detectors that a command answers with: places, decision rule from their dev scores, windows and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dfx.detector import loading
from dfx.detector.answers import DecisionRule, ThresholdChoice, decision_rule
from dfx.detector.file_detection import DetectionOptions
from dfx.detector.scoring import SavedDetector

CHAMPION = "models:/dfx@champion"


@dataclass(frozen=True)
class DetectionSystem:
    """Detectors of a command, which are fused if there are several, with rule and options.

    Attributes:
        places: where they were loaded from.
        name: for people.
    """

    places: list[str]
    detectors: list[SavedDetector]
    rule: DecisionRule
    options: DetectionOptions
    name: str


def open_detection_system(
    model: str | Sequence[str] | None, trust: str | Sequence[str], choice: ThresholdChoice, options: DetectionOptions
) -> DetectionSystem:
    """Open detectors, and make the decision rule from their dev scores.

    Args:
        model: place of a detector (see `dfx.load`), or of several to fuse; the champion of the registry if None.
        trust: see `dfx.load`.
        choice: wanted operating point.
        options: windows, aggregation and resources.

    Raises:
        ValueError: if there is no such detector, or the choice contradicts itself.
    """
    places = [CHAMPION] if model is None else [model] if isinstance(model, str) else [str(place) for place in model]
    try:
        detectors = [loading.load_detector(place, trust, options.cache) for place in places]
    except ValueError as error:
        if model is None and str(error).startswith("There is no model"):
            raise ValueError(_no_champion()) from error
        raise
    name = " + ".join(detector.name for detector in detectors)
    rule = decision_rule([detector.card for detector in detectors], choice, name)
    rule = replace(rule, warnings=(*rule.warnings, *_warnings_on_windows(detectors, options)))
    return DetectionSystem(places, detectors, rule, options, name)


def _warnings_on_windows(detectors: Sequence[SavedDetector], options: DetectionOptions) -> Iterator[str]:
    aggregate, seconds = options.aggregate, options.window_seconds
    if aggregate in ("maximum", "top_k") or (
        seconds is not None and any(seconds != detector.segment_seconds for detector in detectors)
    ):
        yield (
            f"Threshold and probabilities were learnt from dev clips scored as in training, and do not hold for "
            f"aggregate={aggregate} with windows of {seconds or detectors[0].segment_seconds:g} s: choose threshold= "
            "on recordings of your own."
        )
    for detector in detectors:
        if detector.card and detector.card.reference is None:
            yield (
                f"{detector.name} does not know the range of its input (fewer than 20 dev clips, or no audio): a "
                "clip that is unlike dev is not noticed."
            )
    if any(detector.config["conditioning"].get("trim_db") is not None for detector in detectors):
        yield "Silence at the ends is trimmed, as in training: times count from the first sound."


def _no_champion() -> str:
    from dfx.tracking import runs  # imports MLflow

    finished = [
        run
        for run in runs.find_runs(query="attributes.status = 'FINISHED'")
        if "model" in run.tags and "kind" not in run.tags
    ]
    latest = f" The latest run is model=runs:/{finished[0].run_id} ({finished[0].name})." if finished else ""
    return (
        f"No model is given, and there is none called {CHAMPION}: give model=best.ckpt, model=runs:/RUN_ID or an "
        f"exported file.{latest} To make a champion: python -m dfx.register runs:/RUN_ID alias=champion."
    )
