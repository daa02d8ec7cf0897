"""Plot of values with confidence intervals, one row for each name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from dfx.reporting.figures import style

MARKERS = "oxs^Dv"
Point = tuple[float, float, float]  # value, low and high end; NaN ends for none


def interval_figure(
    names: Sequence[str],
    series: Mapping[str, Sequence[Point | None]],
    label: str,
    title: str,
    marked: Collection[int] = (),
    caption: str = "",
) -> Figure:
    """Plot values with confidence intervals: one row for each name, one colour for each series.

    Args:
        names: names of the lines, the first on top.
        series: legend text -> a point for each name; None for a missing point.
        label: axis label of the values, with the unit.
        title: heading.
        marked: numbers of the lines whose first series is drawn in orange.
        caption: what to read from it.
    """
    height = 0.12 + 0.15 * max(1, len(series))
    figure, axes = style.new_figure(title, size=(7.4, 1.5 + height * len(names)))
    for number, (legend, points) in enumerate(series.items()):
        shift = 0.16 * (number - (len(series) - 1) / 2)
        plain = style.BLACK if MARKERS[number % len(MARKERS)] == "x" else style.COLOURS[number % len(style.COLOURS)]
        for colour, wanted in ((plain, False), (style.ORANGE, True)):
            rows = [
                (line + shift, point)
                for line, point in enumerate(points)
                if point and (number == 0 and line in marked) == wanted
            ]
            if not rows and wanted:
                continue
            value, low, high = np.array([point for _, point in rows], dtype=np.float64).reshape(-1, 3).T
            axes.errorbar(
                value,
                [place for place, _ in rows],
                xerr=np.nan_to_num(np.maximum(0, [value - low, high - value])),
                fmt=MARKERS[number % len(MARKERS)],
                color=colour,
                markersize=5,
                elinewidth=1.6,
                label="_" if wanted else legend,
            )
    axes.axvline(0.5, color=style.GREY, linestyle=":", linewidth=1)
    axes.set_yticks(
        range(len(names)), [style.shorten_label(name) for name in names], fontsize=9 if len(names) < 9 else 8
    )
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.grid(visible=False, axis="y")
    style.legend_below(axes, columns=min(3, len(series)))
    return style.finish_figure(figure, caption)
