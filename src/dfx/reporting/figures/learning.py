"""Learning curves of several systems, each over its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dfx.reporting.figures import style


def learning_curves(
    systems: Mapping[str, Sequence[Sequence[float]]],
    label: str = "dev EER (%)",
    title: str = "Learning curves",
    note: str = "",
) -> Figure:
    """The mean over seeds after each epoch, with a band of one deviation to both sides.

    Args:
        systems: by name, for each seed the values by epoch; seeds may have stopped at different epochs.
        label: of the values, with the unit.
        title: heading.
        note: small print at the bottom.

    Raises:
        ValueError: if there is no curve.
    """
    curves = {name: [list(seed) for seed in seeds if len(seed)] for name, seeds in systems.items()}
    curves = {name: seeds for name, seeds in curves.items() if seeds}
    if not curves:
        raise ValueError("There are no learning curves to draw, got none: train for an epoch first.")
    figure, axes = style.new_figure(title, size=(7.2, 4.6 + 0.13 * len(curves)))
    for number, (name, seeds) in enumerate(curves.items()):
        turn, kind = divmod(number, len(style.COLOURS))
        colour, dash = style.COLOURS[kind], style.DASHES[turn % len(style.DASHES)]
        longest, common = max(map(len, seeds)), min(map(len, seeds))
        values = np.full((len(seeds), longest), np.nan)
        for row, seed in zip(values, seeds, strict=True):
            row[: len(seed)] = seed
        epochs, mean = np.arange(longest), np.nanmean(values, axis=0)
        axes.plot(
            epochs[:common], mean[:common], dash, color=colour, linewidth=1.8, label=style.shorten(name)
        )
        axes.plot(epochs[common - 1 :], mean[common - 1 :], ":", color=colour, linewidth=1.2)
        if len(seeds) > 1:
            spread = np.std(values[:, :common], axis=0, ddof=1)
            ends = mean[:common] - spread, mean[:common] + spread
            axes.fill_between(epochs[:common], *ends, color=colour, alpha=0.13, linewidth=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    style.legend_below(axes, columns=2)
    caption = (
        "Mean over seeds, band: one deviation. Dotted: where some seeds had stopped, the mean of the others."
    )
    return style.finish(figure, caption, note)
