"""Figures of an audit."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dfx.audit.shortcut_models import CEPSTRA
from dfx.audit.shortcuts import NOTABLE, shortcut_values
from dfx.reporting.figures import histograms, interval_figure
from dfx.tables.labels import BONAFIDE, SPOOF

MAX_HISTOGRAMS = 6


def draw_audit_figures(
    scalars: list[dict[str, Any]], models: list[dict[str, Any]], table: pd.DataFrame
) -> dict[str, Figure]:
    """Draw the figures of an audit by name: `models`, `scalars`, `distributions`.

    Args:
        scalars: rows of `shortcuts.evaluate_shortcut_scalars`, the strongest first.
        models: rows of `shortcut_models.evaluate_shortcut_models`.
        table: usable rows of the corpus.
    """
    drawn = {}
    if any(row["places"] for row in models):
        drawn["models"] = _models(models)
    known = [row for row in scalars if row["auc"] is not None and not is_constant_scalar(row)]
    if known:
        drawn["scalars"] = _scalars(known)
    numbers = [row for row in known if row["name"] != "format" and not row["name"].startswith("multiple_")]
    if numbers:
        drawn["distributions"] = _distributions(numbers[:MAX_HISTOGRAMS], table)
    return drawn


def is_constant_scalar(row: dict[str, Any]) -> bool:
    """Whether a scalar has the same value in all clips."""
    return bool(row["strength"] == 0.5 and row["low"] == row["high"])


def _models(models: list[dict[str, Any]]) -> Figure:
    places = list(dict.fromkeys(place for row in models for place in row["places"]))
    cells = {place: [row["places"].get(place) for row in models] for place in places}
    return interval_figure(
        [f"{row['name']} (listens)" if row["name"] == CEPSTRA else row["name"] for row in models],
        {
            f"train to {place}": [(cell["auc"], cell["low"], cell["high"]) if cell else None for cell in column]
            for place, column in cells.items()
        },
        "AUC with 95 % interval (.5 = chance)",
        "AUC reached without listening",
        caption="Below .5: the model learned on train misleads there.",
    )


def _scalars(scalars: list[dict[str, Any]]) -> Figure:
    ends = [sorted(end if row["auc"] >= 0.5 else 1 - end for end in (row["low"], row["high"])) for row in scalars]
    on_eval = [row["places"].get("eval") for row in scalars]
    return interval_figure(
        [row["title"] for row in scalars],
        {
            "whole corpus, either direction, 95 % interval": [
                (row["strength"], max(0.5, low), high) for row, (low, high) in zip(scalars, ends, strict=True)
            ],
            "direction from train, on eval": [(cell["auc"], math.nan, math.nan) if cell else None for cell in on_eval],
        },
        "AUC (.5 = chance, 1 = the number alone decides)",
        "One number alone",
        marked=[line for line, (low, _) in enumerate(ends) if low > NOTABLE],
        caption="Orange: surely above .55.",
    )


def _distributions(scalars: list[dict[str, Any]], table: pd.DataFrame) -> Figure:
    panels = {}
    for row in scalars:
        values, label = shortcut_values(table, row["name"], {}), table["label"].to_numpy()
        heading = f"{row['title'].partition(',')[0]}: {row['strength']:.2f}"
        panels[heading] = (values[label == BONAFIDE], values[label == SPOOF])
    return histograms(panels, "The numbers that separate the classes best")
