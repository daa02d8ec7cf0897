"""Figures of an audit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dfx.audit.models import CEPSTRA
from dfx.audit.shortcuts import values
from dfx.audit.tables import is_constant
from dfx.reporting.figures import style
from dfx.tables.labels import SPOOF

MARKS = "os^Dv"
MOST_SHOWN = 6  # histograms
BINS = 30
NAMES = ("models", "scalars", "distributions")


def draw(
    scalars: list[dict[str, Any]], models: list[dict[str, Any]], table: pd.DataFrame
) -> dict[str, Figure]:
    """Figures by name, of what there is: the models, the scalars, and the most telling scalars by class.

    Args:
        scalars: rows of `report.scalar_rows`.
        models: rows of `report.model_rows`.
        table: usable rows of the corpus.
    """
    found = {}
    if any(row["places"] for row in models):
        found["models"] = _models(models)
    known = [row for row in scalars if row["auc"] is not None and not is_constant(row)]
    if known:
        found["scalars"] = _scalars(known)
        drawn = [row for row in known if row["name"] != "format" and not row["name"].startswith("multiple_")]
        if drawn:
            found["distributions"] = _distributions(drawn[:MOST_SHOWN], table)
    return found


def _models(models: list[dict[str, Any]]) -> Figure:
    """AUC of each model from train, on each split and corpus."""
    places = list(dict.fromkeys(place for row in models for place in row["places"]))
    figure, axes = style.new_figure("What is reached without listening", size=(7.4, 1.5 + 0.42 * len(models)))
    for number, place in enumerate(places):
        colour = style.COLOURS[number % len(style.COLOURS)]
        shift = 0.16 * (number - (len(places) - 1) / 2)
        rows = [(at, row["places"][place]) for at, row in enumerate(models) if place in row["places"]]
        centre = np.array([cell["auc"] for _, cell in rows])
        ends = np.array([[cell["low"], cell["high"]] for _, cell in rows]).T
        axes.errorbar(
            centre,
            [at + shift for at, _ in rows],
            xerr=np.maximum(0, np.abs(ends - centre)),
            fmt=MARKS[number % len(MARKS)],
            color=colour,
            markersize=5,
            elinewidth=1.4,
            label=f"train to {place}",
        )
    axes.axvline(0.5, color=style.GREY, linestyle=":", linewidth=1)
    names = [f"{row['name']} (listens)" if row["name"] == CEPSTRA else row["name"] for row in models]
    axes.set_yticks(range(len(models)), names, fontsize=9)
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.set_xlabel("AUC with 95 % interval (.5 = chance)")
    style.legend_below(axes, columns=len(places))
    return style.finish(figure, "Below .5: what was learned from train misleads there.", "")


def _scalars(scalars: list[dict[str, Any]]) -> Figure:
    """How well each scalar alone tells the classes apart."""
    figure, axes = style.new_figure("One number alone", size=(7.4, 1.5 + 0.25 * len(scalars)))
    for at, row in enumerate(scalars):
        low, high = sorted(value if row["auc"] >= 0.5 else 1 - value for value in (row["low"], row["high"]))
        colour = style.ORANGE if low > 0.55 else style.BLUE
        axes.plot(
            [max(0.5, low), high], [at, at], color=colour, linewidth=4, alpha=0.45, solid_capstyle="butt"
        )
        axes.plot(row["strength"], at, "o", color=colour, markersize=5)
        if "eval" in row["from_train"]:
            axes.plot(row["from_train"]["eval"], at, "x", color=style.BLACK, markersize=5)
    axes.axvline(0.5, color=style.GREY, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(scalars)), [row["title"] for row in scalars], fontsize=8)
    axes.set_ylim(len(scalars) - 0.5, -0.5)
    axes.set_xlabel("AUC (.5 = chance, 1 = the number alone decides)")
    axes.grid(visible=False, axis="y")
    axes.plot([], [], "o", color=style.BLUE, label="whole corpus, either direction, 95 % interval")
    axes.plot([], [], "x", color=style.BLACK, label="direction from train, on eval")
    style.legend_below(axes, columns=2)
    return style.finish(figure, "Orange: surely above .55.", "")


def _distributions(scalars: list[dict[str, Any]], table: pd.DataFrame) -> Figure:
    """Histograms of the most telling scalars, the classes side by side."""
    columns = min(3, len(scalars))
    rows = -(-len(scalars) // columns)
    figure = Figure(figsize=(7.4, 0.6 + 1.9 * rows), dpi=150, layout="constrained")
    figure.suptitle("The most telling numbers, by class", fontsize=12)
    spoof = (table["label"] == SPOOF).to_numpy()
    for axes, row in zip(np.ravel(figure.subplots(rows, columns, squeeze=False)), scalars, strict=False):
        found = values(table, row["name"], {})
        edges = _edges(found)
        for chosen, colour, label in ((~spoof, style.BLUE, "bona fide"), (spoof, style.ORANGE, "spoof")):
            inside = np.clip(found[chosen], edges[0], edges[-1])
            shares, _ = np.histogram(inside, edges, weights=np.full(inside.size, 100 / max(1, inside.size)))
            axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35)
            axes.stairs(shares, edges, color=colour, linewidth=1.2, label=label)
        style.decorate(axes)
        axes.set_title(f"{row['title'].partition(',')[0]}: {row['strength']:.2f}", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_ylabel("% of the class", fontsize=7)
    for axes in figure.axes[len(scalars) :]:
        axes.set_visible(False)
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=9,
    )
    return figure


def _edges(found: np.ndarray) -> np.ndarray:
    """Edges of common bins over nearly all values; the outermost go into the end bins."""
    low, high = np.quantile(found, [0.005, 0.995])
    if low == high:
        low, high = found.min() - 0.5, found.max() + 0.5
    return np.linspace(low, high, BINS + 1)
