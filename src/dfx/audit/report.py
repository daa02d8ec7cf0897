"""The report as data: everything that was found, ready for JSON; `tables`, `page` and `publish` show it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dfx.audit.models import CEPSTRA, Tested
from dfx.audit.ranking import Area
from dfx.tables.findings import SEVERITIES, Finding

DIGITS = 4


def headline(scalars: Sequence[dict[str, Any]], tested: Sequence[Tested], why_not: str) -> dict[str, Any]:
    """What is reached on eval without listening, by the model of scalars or the one scalar that is best on dev.

    Without dev it is the best on eval itself: of so many, one is a little better by chance.

    Args:
        scalars: rows of `shortcuts.look`.
        tested: of `models.test`.
        why_not: said where nothing could be tested.
    """
    found: list[tuple[str, Mapping[str, tuple[Area, float | None]]]] = [
        (model.name, model.places) for model in tested if model.name != CEPSTRA
    ]
    for row in scalars:
        found.append(
            (f"{row['title']} alone", {place: (area, None) for place, area in row["places"].items()})
        )
    found = [(name, places) for name, places in found if "eval" in places]
    if not found:
        return {"auc": None, "text": why_not}
    chooser = "dev" if any("dev" in places for _, places in found) else "eval"
    name, places = max(found, key=lambda entry: entry[1][chooser][0].auc)
    best, eer = places["eval"]
    low, high = best.interval
    cepstra = next(
        (model.places["eval"] for model in tested if model.name == CEPSTRA and "eval" in model.places), None
    )
    error = f", EER {eer:.1%}" if eer is not None else ""
    reached = "that much" if low > 0.5 else "no more than chance"
    return {
        "name": name,
        "auc": best.auc,
        "low": low,
        "high": high,
        "eer": eer,
        "lfcc_auc": cepstra[0].auc if cepstra else None,
        "lfcc_eer": cepstra[1] if cepstra else None,
        "text": f"A detector has to beat AUC {best.auc:.2f} ({low:.2f} to {high:.2f}){error} on eval: {reached} is "
        f"reached on the files as they are, without listening ({name}, chosen on {chooser}).",
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
