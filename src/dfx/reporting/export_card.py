"""Report on an exported detector: its differences from the original, its speed and its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfx.detector.export_check import CheckClips, ExportCheck
from dfx.detector.scoring import SavedDetector
from dfx.reporting.document import Document
from dfx.reporting.document_parts import DocumentFindings, DocumentNotice, DocumentText
from dfx.reporting.document_table import DocumentTable
from dfx.reporting.metric_names import metric_with_unit

LARGEST_DIFFERENCE = 1e-5  # of scores, that float32 explains
MOST_SHOWN = 300  # characters of a value of the metadata


def export_card(
    detector: SavedDetector,
    file: Path,
    form: str,
    check: ExportCheck,
    clips: CheckClips,
    metadata: Mapping[str, str],
    free_length: bool,
) -> Document:
    """Build the card.

    Args:
        detector: the detector that was exported.
        file: the exported file.
        form: its format, as in the latencies of the check.
        check: the comparison.
        clips: the clips of the comparison.
        metadata: of the file.
        free_length: whether it takes waveforms of any length.
    """
    title = f"{detector.name} as {form}"
    comparison = DocumentTable(
        "Compared with the detector", ["", "value", "how"], _rows(check, form, clips), "", ("how",)
    )
    shape = "batch and length are free" if free_length else "the batch is free, the length is that of a segment"
    about = DocumentText(f"Waveform (batch, samples) to score (batch,), higher means more bona fide; {shape}.", "about")
    notices = DocumentFindings(_notices(detector, check, form, clips))
    shown = [[key, value[:MOST_SHOWN] + ("…" if len(value) > MOST_SHOWN else "")] for key, value in metadata.items()]
    return Document(
        "export",
        title,
        [about, notices, comparison, DocumentTable("Metadata of the file", ["key", "value"], shown, "", ("value",))],
        [comparison, notices, about, DocumentText(f"file       {file}")],
        {"detector": detector.name, "format": form, "free_length": free_length, **_numbers(check)},
    )


def export_mlflow_metrics(check: ExportCheck, form: str) -> dict[str, float]:
    """Return the measured differences between file and detector as metrics for MLflow."""
    numbers = _numbers(check)
    numbers["latency_ratio"] = check.latency_ms[form] / check.latency_ms["PyTorch"]
    return {name: float(value) for name, value in numbers.items() if isinstance(value, int | float)}


def _numbers(check: ExportCheck) -> dict[str, Any]:
    return {
        "clips": check.num_clips,
        "largest_difference": check.largest,
        "bytes": check.num_bytes,
        **{f"latency_ms/{name}": value for name, value in check.latency_ms.items()},
        **({"eer/detector": check.eers[0], "eer/file": check.eers[1]} if check.eers else {}),
        **({"dev_eer/detector": check.dev_eers[0], "dev_eer/file": check.dev_eers[1]} if check.dev_eers else {}),
        **({f"dev_eer_cost/{key}": value for key, value in check.dev._asdict().items()} if check.dev else {}),
    }


def _rows(check: ExportCheck, form: str, clips: CheckClips) -> list[list[str]]:
    own, theirs = check.latency_ms[form], check.latency_ms["PyTorch"]
    where = f"{check.num_clips} clips: {clips.source}"
    rows = [["largest difference of scores", f"{check.largest:.2g}", where]]
    if check.eers:
        before, after = (metric_with_unit(value, "eer") for value in check.eers)
        rows.append(["EER on these clips", after, "equal" if before == after else f"detector {before}"])
    if check.dev and check.dev_eers:
        before, after = (metric_with_unit(value, "eer") for value in check.dev_eers)
        low, high = (f"{100 * end:+.2f}" for end in (check.dev.low, check.dev.high))
        rows.append(
            [
                f"EER on dev ({check.dev_trials:,} trials)",
                after,
                f"detector {before}; cost {100 * check.dev.value:+.2f} points, 95 % [{low}, {high}], "
                f"p {check.dev.p_value:.3f} (paired bootstrap)",
            ]
        )
    rows.append(["size", f"{check.num_bytes / 2**20:,.2f} MiB", ""])
    rows.append(
        ["latency of a segment", f"{own:.2f} ms", f"one core; PyTorch {theirs:.2f} ms, {own / theirs:.2f} times"]
    )
    return rows


def _notices(detector: SavedDetector, check: ExportCheck, form: str, clips: CheckClips) -> list[DocumentNotice]:
    notices = []
    if detector.policy().whole_maps:
        notices.append(
            DocumentNotice(
                "The run scored parts of the feature map of the whole clip (feature.cache=true); the file computes the "
                "map of each segment, so its scores differ.",
                "warning",
                "Other scores than the run",
            )
        )
    elif "int8" not in form and check.largest > LARGEST_DIFFERENCE:
        notices.append(
            DocumentNotice(
                f"Scores differ by up to {check.largest:.2g}, more than rounding usually gives.",
                "warning",
                "Scores differ",
                "Look at the clips: very quiet or band-limited ones make the logarithm of a band inaccurate.",
            )
        )
    if clips.labels is None or clips.manifest is None:
        notices.append(
            DocumentNotice(
                f"Compared on {clips.source}"
                + (", and calibrated on them" if "int8" in form else "")
                + ". The EER was not measured on dev.",
                "note",
                "No corpus",
                "Export a run (runs:/RUN_ID) whose corpus is on this machine.",
            )
        )
    return notices
