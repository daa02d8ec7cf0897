"""The report as data: everything that was found, ready for JSON, and rendered from there by `page` and `text`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

from dfx.audit.models import CEPSTRA, Tested
from dfx.audit.ranking import Area
from dfx.findings import SEVERITIES, Finding

DIGITS = 4


def headline(scalars: Sequence[dict[str, Any]], tested: Sequence[Tested], why_not: str) -> dict[str, Any]:
    """The best that is reached on eval without listening: a model of scalars, or one scalar alone.

    Args:
        scalars: rows of `shortcuts.look`.
        tested: of `models.test`.
        why_not: said where nothing could be tested.
    """
    found: list[tuple[str, Area, float | None]] = [
        (model.name, *model.places["eval"])
        for model in tested
        if "eval" in model.places and model.name != CEPSTRA
    ]
    found += [
        (f"{row['title']} alone", row["places"]["eval"], None) for row in scalars if "eval" in row["places"]
    ]
    if not found:
        return {"auc": None, "text": why_not}
    name, best, eer = max(found, key=lambda entry: entry[1].auc)
    low, high = best.interval
    cepstra = next(
        (model.places["eval"] for model in tested if model.name == CEPSTRA and "eval" in model.places), None
    )
    error = f", EER {eer:.1%}" if eer is not None else ""
    return {
        "name": name,
        "auc": best.auc,
        "low": low,
        "high": high,
        "eer": eer,
        "lfcc_auc": cepstra[0].auc if cepstra else None,
        "lfcc_eer": cepstra[1] if cepstra else None,
        "text": f"A detector has to beat AUC {best.auc:.2f} ({low:.2f} to {high:.2f}){error} on eval: that much is "
        f"reached without listening ({name}).",
    }


def scalar_rows(scalars: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `shortcuts.look`, plain, the most telling first."""
    rows = []
    for row in scalars:
        whole: Area | None = row["whole"]
        low, high = whole.interval if whole else (None, None)
        rows.append(
            {
                **{key: row[key] for key in ("name", "title", "family")},
                "auc": whole.auc if whole else None,
                "low": low,
                "high": high,
                "strength": whole.strength if whole else None,
                "higher_in": None
                if whole is None or whole.auc == 0.5
                else "spoof"
                if whole.auc > 0.5
                else "bona fide",
                **{
                    word: dict(zip(("mean", "median"), row[word], strict=True)) if row.get(word) else None
                    for word in ("bonafide", "spoof")
                },
                "from_train": {place: found.auc for place, found in row["places"].items()},
            }
        )
    return sorted(rows, key=lambda row: -(row["strength"] or 0))


def model_rows(tested: Iterable[Tested]) -> list[dict[str, Any]]:
    """Rows of `models.test`, plain."""
    rows = []
    for model in tested:
        places = {}
        for place, (found, eer) in model.places.items():
            low, high = found.interval
            places[place] = {"auc": found.auc, "low": low, "high": high, "eer": eer}
        rows.append({"name": model.name, "places": places})
    return rows


def by_severity(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings, the gravest first, in the order they came where they weigh the same."""
    ordered = sorted(findings, key=lambda found: SEVERITIES.index(found.severity))
    return [dataclasses.asdict(found) for found in ordered]


def plain(value: Any) -> Any:
    """A value as JSON has it: numbers to four digits after the point, and null for NaN and infinity."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return round(float(value), DIGITS) if math.isfinite(value) else None
    if hasattr(value, "item"):
        return plain(value.item())
    return value
