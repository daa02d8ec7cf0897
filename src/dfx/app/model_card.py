"""Model card of a detector as Markdown: the description in the registry, configuration and operating card."""

from __future__ import annotations

from collections.abc import Iterator

from dfx.app.answer_html import rule_sentence
from dfx.detector.detection_system import DetectionSystem
from dfx.detector.input_statistics import TITLES, UNITS
from dfx.detector.scoring import SavedDetector
from dfx.metrics import eer
from dfx.reporting.document_parts import markdown_escaped


def model_card(system: DetectionSystem) -> str:
    """Return the card of a system, with a part for each of its detectors."""
    parts = [f"# {markdown_escaped(system.name)}", markdown_escaped(rule_sentence(system.rule))]
    parts += [markdown_escaped(f"Warning: {warning}") for warning in system.rule.warnings]
    for place, detector in zip(system.places, system.detectors, strict=True):
        if len(system.detectors) > 1:
            parts.append(f"## {markdown_escaped(detector.name)}")
        parts += _detector_parts(place, detector)
    return "\n\n".join(parts)


def _detector_parts(place: str, detector: SavedDetector) -> Iterator[str]:
    if place.startswith("models:/"):
        from dfx.tracking import runs  # imports MLflow

        if description := runs.model_description(place):
            yield description
    config = detector.config
    kinds = {part: str(config[part]["_target_"]).rpartition(".")[2] for part in ("feature", "model", "loss")}
    rows = [
        ("Feature, model, loss", ", ".join(kinds.values())),
        ("Trained on", detector.trained_on or "not known"),
        ("Sample rate", f"{detector.sample_rate / 1000:g} kHz"),
        ("Window", f"{detector.segment_seconds:g} s"),
        ("Seed", str(config["seed"])),
        ("SHA-256 of the file", detector.digest),
    ]
    card = detector.card
    if card is None:
        yield _table("How it was made", rows)
        yield "It has no operating card: no threshold, no calibration, no range of its input."
        return
    yield _table("How it was made", rows)
    dev = [
        ("Scores kept", f"{len(card.bonafide):,} of bona fide, {len(card.spoof):,} of spoof recordings"),
        ("Equal error rate", f"{100 * eer(card.bonafide, card.spoof)[0]:.2f} %"),
        ("AUC", f"{card.auc:.4f}"),
        ("Threshold", f"{card.threshold:.4g} (score), {card.llr(card.threshold):+.2f} (log-likelihood ratio)"),
        ("Calibration", "none" if card.slope is None else f"{card.slope:.4g} × score + {card.intercept:.4g}"),
    ]
    yield _table("On the development split, which chose threshold and calibration", dev)
    if card.reference:
        ranges = [
            (TITLES[name], f"{low:.4g} to {high:.4g} {UNITS[name]}".strip())
            for name, (low, _, high) in card.reference.ranges.items()
        ]
        yield _table("Range of 95 % of the development recordings; the answer is UNSURE for input unlike them", ranges)
    yield "These figures hold for recordings like those of the development split, and for nothing else."


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| {markdown_escaped(name)} | {markdown_escaped(value)} |" for name, value in rows]
    return "\n".join([f"### {title}", "", "| | |", "|---|---|", *lines])
