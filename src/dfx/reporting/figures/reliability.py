"""Reliability diagram: predicted probability of bona fide against the actual share of bona fide."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from dfx.metrics import BINS, calibration_bin, check_scores, ece, posterior
from dfx.reporting.figures import style
from dfx.tables.score_table import ScoreTable


def reliability(tables: Mapping[str, ScoreTable], title: str, note: str = "") -> Figure:
    """Draw the reliability diagram of one or more systems.

    Log-likelihood ratios become probabilities at the proportion of bona fide among the trials, as in `metrics.ece`.
    The lower panel shows the number of trials of each bin: a point of few trials says little.

    Args:
        tables: scores that are log-likelihood ratios, by name.
        title: heading.
        note: small print at the bottom.
    """
    size = (6.4, 7.4 + 0.2 * len(tables))
    figure, grid = style.new_panels(size, 2, 1, sharex=True, height_ratios=[3, 1])
    axes, below = grid[:, 0]
    axes.set_title(title, fontsize=12)
    axes.plot([0, 100], [0, 100], ":", color=style.GREY, linewidth=0.8)
    edges = np.linspace(0, 100, BINS + 1)
    for number, (name, table) in enumerate(tables.items()):
        colour = style.COLOURS[number % len(style.COLOURS)]
        bonafide, spoof = check_scores(table.bonafide, table.spoof)
        probability = posterior(np.concatenate([bonafide, spoof]), bonafide.size, spoof.size)
        label = np.repeat([1.0, 0.0], [bonafide.size, spoof.size])
        place = calibration_bin(probability, BINS)
        counts, predicted, found = (
            np.bincount(place, weights=weights, minlength=BINS) for weights in (None, probability, label)
        )
        there = counts > 0
        x, y = (100 * sums[there] / counts[there] for sums in (predicted, found))
        legend = f"{style.shorten_label(name)}: ECE {ece(bonafide, spoof):.4f}"
        axes.plot(x, y, "o-", color=colour, linewidth=1.4, markersize=5, clip_on=False)
        below.stairs(100 * counts / counts.sum(), edges, color=colour, linewidth=1.4, label=legend)
    axes.set(xlim=(0, 100), ylim=(0, 100))
    axes.set_ylabel("trials that are bona fide (%)")
    below.set_ylabel("trials (%)")
    below.set_xlabel("predicted probability of bona fide (%)")
    below.set_yscale("symlog", linthresh=1)
    below.set_ylim(0, 100)
    below.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    for part in (axes, below):
        style.decorate_axes(part)
    style.legend_below(below)
    return style.finish_figure(figure, "Dotted: perfect calibration.", note)
