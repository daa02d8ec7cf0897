"""Learning curves: losses and metrics of one run by epoch, or the EER of several systems over their seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dfx.metrics import FloatArray
from dfx.reporting.figures import style


def training_curves(
    history: Sequence[Mapping[str, float]], chosen: int | None = None, title: str = "Training", note: str = ""
) -> Figure:
    """Losses and dev metrics after each epoch, with the chosen epoch marked.

    Args:
        history: one mapping for each epoch with `epoch` and any of `train/loss`, `dev/loss`, `dev/eer`,
            `dev/auc` and `dev/accuracy`; what is missing is left out.
        chosen: the epoch whose weights were kept; by default the first one with the lowest `dev/eer`.
        title: heading.
        note: small print at the bottom.

    Raises:
        ValueError: if there is nothing to draw.
    """
    if not history:
        raise ValueError("There are no learning curves to draw, got an empty history: train for an epoch first.")
    epochs = np.array([row.get("epoch", number) for number, row in enumerate(history)])
    panels = [
        ("loss", 1, {"train/loss": ("train", style.SKY), "dev/loss": ("dev", style.BLUE)}),
        ("dev EER (%)", 100, {"dev/eer": ("EER", style.ORANGE)}),
        ("dev (%)", 100, {"dev/auc": ("AUC", style.GREEN), "dev/accuracy": ("accuracy", style.PURPLE)}),
    ]
    known = {name for row in history for name in row}
    panels = [panel for panel in panels if known & set(panel[2])]
    if not panels:
        raise ValueError(
            f"There are no learning curves to draw, got the keys {', '.join(sorted(known)) or 'none'}: "
            "log train/loss, dev/loss, dev/eer, dev/auc or dev/accuracy."
        )
    if chosen is None and np.isfinite(rates := _series(history, "dev/eer")).any():
        chosen = int(epochs[np.nanargmin(rates)])
    figure, grid = style.new_panels((7.2, 1.0 + 1.9 * len(panels)), len(panels), 1, sharex=True)
    all_axes = grid[:, 0]
    for axes, (label, scale, lines) in zip(all_axes, panels, strict=True):
        for name, (legend, colour) in lines.items():
            if name in known:
                values = scale * _series(history, name)
                axes.plot(epochs, values, "o-", color=colour, markersize=3.5, linewidth=1.6, label=legend)
        if chosen is not None:
            axes.axvline(chosen, color=style.GREY, linestyle="--", linewidth=1)
        axes.set_ylabel(label)
        if label == "dev EER (%)":
            axes.set_ylim(bottom=0)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=9)
        style.decorate_axes(axes)
    all_axes[0].set_title(title, fontsize=12)
    all_axes[-1].set_xlabel("epoch")
    all_axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return style.finish_figure(figure, "" if chosen is None else f"Dashed: epoch {chosen}, chosen on dev.", note)


def _series(history: Sequence[Mapping[str, float]], name: str) -> FloatArray:
    return np.array([row.get(name, np.nan) for row in history], dtype=np.float64)


def learning_curves(
    systems: Mapping[str, Sequence[Sequence[float]]],
    label: str = "dev EER (%)",
    title: str = "Learning curves",
    note: str = "",
) -> Figure:
    """Learning curves of several systems: mean over seeds after each epoch, with a band of ± one deviation.

    Args:
        systems: name -> for each seed the values by epoch; seeds may have stopped at different epochs.
        label: axis label of the values, with the unit.
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
        look = style.line_style(number)
        longest, common = max(map(len, seeds)), min(map(len, seeds))
        values = np.full((len(seeds), longest), np.nan)
        for row, seed in zip(values, seeds, strict=True):
            row[: len(seed)] = seed
        epochs, mean = np.arange(longest), np.nanmean(values, axis=0)
        axes.plot(epochs[:common], mean[:common], **look, label=style.shorten_label(name))
        axes.plot(epochs[common - 1 :], mean[common - 1 :], ":", color=look["color"], linewidth=1.2)
        if len(seeds) > 1:
            spread = np.std(values[:, :common], axis=0, ddof=1)
            ends = mean[:common] - spread, mean[:common] + spread
            axes.fill_between(epochs[:common], *ends, color=look["color"], alpha=0.13, linewidth=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    style.legend_below(axes, columns=2)
    caption = "Mean over seeds, band: one deviation. Dotted: some seeds had stopped, mean of the others."
    return style.finish_figure(figure, caption, note)
