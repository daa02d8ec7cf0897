"""Error curves of one or more systems: DET and ROC."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from scipy.special import ndtri

from dfx.metrics import FloatArray, auc, det_curve, eer
from dfx.reporting.figures import style
from dfx.tables.score_table import ScoreTable

# Far enough apart to be read on normal-deviate axes of any range.
DET_TICKS = np.array([0.01, 0.05, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 60, 80, 90, 95, 98, 99]) / 100
NEVER = 1e-9  # replaces rates of 0 and 1, which lie at infinity on these axes


def det_error_curves(
    tables: Mapping[str, ScoreTable], title: str = "Detection error trade-off", note: str = ""
) -> Figure:
    """Draw DET curves of one or more systems, with the EER of each marked."""
    figure, axes = style.new_figure(title, size=(6.4, 6.9 + 0.2 * len(tables)))
    rates = {name: eer(table.bonafide, table.spoof)[0] for name, table in tables.items()}
    low, high = _limits(tables, max(rates.values()))
    ends = ndtri([low, high])
    axes.plot(ends, ends, ":", color=style.GREY, linewidth=0.8)
    for number, (name, table) in enumerate(tables.items()):
        line = style.line_style(number)
        far, frr, _ = det_curve(table.bonafide, table.spoof)
        x, y = (ndtri(np.clip(rate, NEVER, 1 - NEVER)) for rate in (far, frr))
        axes.plot(
            *_thin(x, y, 1e-3),
            **line,
            label=f"{style.shorten_label(name)}: EER {style.percent_text(rates[name])}",
        )
        point = np.clip(ndtri(rates[name]), *ends)
        axes.plot(point, point, "o", color=line["color"], markeredgecolor="white", clip_on=False, zorder=5)
    ticks = DET_TICKS[(low <= DET_TICKS) & (high >= DET_TICKS)]
    labels = [f"{100 * tick:g}" for tick in ticks]
    axes.set_xticks(ndtri(ticks), labels)
    axes.set_yticks(ndtri(ticks), labels)
    axes.set(xlim=ends, ylim=ends)
    axes.set_xlabel("false acceptance rate: spoof taken for bona fide (%)")
    axes.set_ylabel("false rejection rate: bona fide taken for spoof (%)")
    style.legend_below(axes)
    return style.finish_figure(figure, "Closer to the lower left is better. Dots: equal error rates.", note)


def roc_error_curves(tables: Mapping[str, ScoreTable], note: str = "") -> Figure:
    """Draw ROC curves of one or more systems, with the AUC of each in the legend."""
    figure, axes = style.new_figure("ROC", size=(6.4, 6.9 + 0.2 * len(tables)))
    axes.plot([0, 100], [0, 100], ":", color=style.GREY, linewidth=0.8)
    for number, (name, table) in enumerate(tables.items()):
        line = style.line_style(number)
        far, frr, _ = det_curve(table.bonafide, table.spoof, merge_ties=True)
        area = auc(table.bonafide, table.spoof)
        x, y = _thin(100 * far, 100 - 100 * frr, 0.05)
        axes.plot(x, y, **line, label=f"{style.shorten_label(name)}: AUC {area:.4f}")
    axes.set(xlim=(-1, 101), ylim=(-1, 101))
    axes.set_xlabel("false acceptance rate: spoof taken for bona fide (%)")
    axes.set_ylabel("true acceptance rate: bona fide taken for bona fide (%)")
    style.legend_below(axes)
    return style.finish_figure(figure, "Closer to the upper left is better. Dotted: chance.", note)


def _limits(tables: Mapping[str, ScoreTable], worst: float) -> tuple[float, float]:
    """Compute the lowest and the highest error rate on the axes of a DET plot, with room for the highest EER."""
    high = float(np.clip(2 * worst, 0.5, 0.99))
    most = max(max(table.bonafide.size, table.spoof.size) for table in tables.values())
    reached = []
    for table in tables.values():
        far, frr, _ = det_curve(table.bonafide, table.spoof)
        reached += [far[frr <= high].min(), frr[far <= high].min()]
    # Not below half an error of the largest class, where every curve ends.
    return float(np.clip(0.8 * min(reached), np.clip(0.5 / most, 1e-4, 1e-2), 0.1)), high


def _thin(x: FloatArray, y: FloatArray, cell: float) -> tuple[FloatArray, FloatArray]:
    """Remove points of a curve that are too close to be seen apart, to draw it faster."""
    entered = np.any(np.diff(np.floor(np.stack([x, y]) / cell), prepend=np.nan, append=np.nan) != 0, axis=0)
    keep = entered[:-1] | entered[1:]
    return x[keep], y[keep]
