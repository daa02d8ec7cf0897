"""Learning curves of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dfx.metrics import FloatArray
from dfx.reporting.figures import style


def curves(
    history: Sequence[Mapping[str, float]], chosen: int | None = None, title: str = "Training", note: str = ""
) -> Figure:
    """Losses and dev metrics after each epoch, with the chosen epoch marked.

    Args:
        history: one mapping for each epoch with `epoch` and any of `train/loss`, `dev/loss`, `dev/eer`,
            `dev/auc` and `dev/accuracy`; what is missing is left out.
        chosen: the epoch whose weights were kept; by default the first one with the lowest `dev/eer`.
        title: heading.
        note: small print at the bottom.
    """
    if not history:
        raise ValueError(
            "There are no learning curves to draw, got an empty history: train for an epoch first."
        )
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
    figure = Figure(figsize=(7.2, 1.0 + 1.9 * len(panels)), dpi=150, layout="constrained")
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
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
        style.decorate(axes)
    all_axes[0].set_title(title, fontsize=12)
    all_axes[-1].set_xlabel("epoch")
    all_axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return style.finish(figure, "" if chosen is None else f"Dashed: epoch {chosen}, chosen on dev.", note)


def _series(history: Sequence[Mapping[str, float]], name: str) -> FloatArray:
    return np.array([row.get(name, np.nan) for row in history], dtype=np.float64)
