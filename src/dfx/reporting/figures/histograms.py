"""Histograms of bona fide and spoof: scores of a system, or measurements of clips."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dfx.metrics import FloatArray, check_scores
from dfx.reporting.figures import style
from dfx.tables.score_table import ScoreTable

MAX_BINS = 80
PANEL_BINS = 30


def histogram(table: ScoreTable, threshold: float | None = None, title: str = "Scores", note: str = "") -> Figure:
    """Draw a histogram of bona fide and spoof scores, with the decision threshold."""
    bonafide, spoof = check_scores(table.bonafide, table.spoof)
    labels = [f"bona fide ({bonafide.size:,})", f"spoof ({spoof.size:,})"]
    if threshold is not None:
        labels[0] += f": {style.percent_text(float(np.mean(bonafide <= threshold)))} rejected"
        labels[1] += f": {style.percent_text(float(np.mean(spoof > threshold)))} accepted"
    figure, axes = style.new_figure(title, size=(7.2, 4.6))
    edges = _edges(bonafide, spoof, threshold)
    _draw_classes(axes, bonafide, spoof, edges, labels)
    if threshold is not None:
        label = f"threshold {threshold:.4g}"
        axes.axvline(threshold, color=style.BLACK, linestyle="--", linewidth=1.2, label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("score (higher = more bona fide)")
    axes.set_ylabel("trials of the class (% per bin)")
    style.legend_below(axes, columns=3)
    caption = "In brackets: trials. The end bins also hold the outermost 0.1 % of the scores."
    return style.finish_figure(figure, caption, note)


def histograms(panels: Mapping[str, tuple[FloatArray, FloatArray]], title: str) -> Figure:
    """Draw histograms of several measurements of clips, one small panel for each measurement.

    Args:
        panels: heading -> the values of the bona fide and of the spoof clips.
        title: heading of the figure.
    """
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure, grid = style.new_panels((7.4, 0.8 + 1.9 * rows), rows, columns)
    figure.suptitle(title, fontsize=12)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes, (heading, (bonafide, spoof)) in zip(grid.flat, panels.items(), strict=False):
        low, high = np.quantile(np.concatenate([bonafide, spoof]), [0.005, 0.995])
        if low == high:
            low, high = low - 0.5, high + 0.5
        _draw_classes(axes, bonafide, spoof, np.linspace(low, high, PANEL_BINS + 1), ["bona fide", "spoof"])
        axes.set_title(heading, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_ylabel("% of the class", fontsize=7)
        style.decorate_axes(axes)
    grid[0, 0].legend(frameon=False, fontsize=7)
    return figure


def _draw_classes(axes: Any, bonafide: FloatArray, spoof: FloatArray, edges: FloatArray, labels: Sequence[str]) -> None:
    """Draw the histograms of both classes, in percent of the clips; values outside the edges are in the end bins."""
    for values, label, colour in zip((bonafide, spoof), labels, (style.BLUE, style.ORANGE), strict=True):
        weights = np.full(values.size, 100 / max(1, values.size))
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges, weights=weights)
        axes.stairs(counts, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(counts, edges, color=colour, linewidth=1.5, label=label)


def _edges(bonafide: FloatArray, spoof: FloatArray, threshold: float | None) -> FloatArray:
    """Compute the bins for both classes; Rice's rule for the smaller class gives their number."""
    ends = [np.quantile(scores, [0.001, 0.999]) for scores in (bonafide, spoof)]
    low, high = float(np.min(ends)), float(np.max(ends))
    if threshold is not None:
        low, high = min(low, threshold), max(high, threshold)
    if low == high:
        low, high = low - 0.5, high + 0.5
    bins = 2 * math.ceil(min(bonafide.size, spoof.size) ** (1 / 3)) + 8
    return np.linspace(low, high, min(bins, MAX_BINS) + 1)
