"""Learning curves by epoch: losses and metrics of one run, or EER of several systems."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dfx.reporting.figures import style


def training_curves(history: Sequence[Mapping[str, float]], chosen: int, note: str = "") -> Figure:
    """Plot losses and dev metrics by epoch, and mark the epoch of the saved weights.

    Args:
        history: `train/loss`, `dev/loss`, `dev/eer`, `dev/auc` and `dev/accuracy` of each epoch.
        chosen: the epoch whose weights were kept.
        note: small print at the bottom.
    """
    panels = [
        ("loss", 1, {"train/loss": ("train", style.SKY), "dev/loss": ("dev", style.BLUE)}),
        ("dev EER (%)", 100, {"dev/eer": ("EER", style.ORANGE)}),
        ("dev (%)", 100, {"dev/auc": ("AUC", style.GREEN), "dev/accuracy": ("accuracy", style.PURPLE)}),
    ]
    figure, grid = style.new_panels((7.2, 1.0 + 1.9 * len(panels)), len(panels), 1, sharex=True)
    all_axes = grid[:, 0]
    for axes, (label, scale, lines) in zip(all_axes, panels, strict=True):
        for name, (legend, colour) in lines.items():
            values = [scale * row.get(name, np.nan) for row in history]
            axes.plot(values, "o-", color=colour, markersize=3.5, linewidth=1.6, label=legend)
        axes.axvline(chosen, color=style.GREY, linestyle="--", linewidth=1)
        axes.set_ylabel(label)
        if label == "dev EER (%)":
            axes.set_ylim(bottom=0)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=9)
        style.decorate_axes(axes)
    all_axes[0].set_title("Training", fontsize=12)
    all_axes[-1].set_xlabel("epoch")
    all_axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return style.finish_figure(figure, f"Dashed: epoch {chosen}, chosen on dev.", note)


def learning_curves(systems: Mapping[str, Sequence[Sequence[float]]], title: str, note: str = "") -> Figure:
    """Plot the EER of several systems by epoch: mean over seeds ± one standard deviation.

    Args:
        systems: name -> for each seed the EER on dev by epoch, in percent; seeds may have stopped at different epochs.
        title: heading.
        note: small print at the bottom.
    """
    figure, axes = style.new_figure(title, size=(7.2, 4.6 + 0.13 * len(systems)))
    for number, (name, seeds) in enumerate(systems.items()):
        look = style.line_style(number)
        values = np.array(list(itertools.zip_longest(*seeds, fillvalue=np.nan)))  # (epochs, seeds)
        epochs, mean, common = np.arange(len(values)), np.nanmean(values, axis=1), min(map(len, seeds))
        axes.plot(epochs[:common], mean[:common], **look, label=style.shorten_label(name))
        axes.plot(epochs[common - 1 :], mean[common - 1 :], ":", color=look["color"], linewidth=1.2)
        if len(seeds) > 1:
            spread = np.std(values[:common], axis=1, ddof=1)
            ends = mean[:common] - spread, mean[:common] + spread
            axes.fill_between(epochs[:common], *ends, color=look["color"], alpha=0.13, linewidth=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("epoch")
    axes.set_ylabel("dev EER (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    style.legend_below(axes, columns=2)
    caption = "Mean over seeds, band: one deviation. Dotted: some seeds had stopped, mean of the others."
    return style.finish_figure(figure, caption, note)
