"""Plot of the quality of systems against their cost, with the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dfx.reporting.figures import style

MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "*"]
Look = dict[str, str]  # marker and colour


@dataclass(frozen=True, eq=False)
class TradeoffSystem:
    """System in the plot of quality against cost.

    Attributes:
        kind: shown by its marker, its feature for example.
        group: shown by its colour, its model for example.
        quality: the metric, such as the EER.
        spread: deviation of the quality; NaN if not known.
        costs: axis label -> cost; the system is left out of the panel of a missing cost.
    """

    kind: str
    group: str
    quality: float
    spread: float
    costs: Mapping[str, float]


def tradeoff(systems: Sequence[TradeoffSystem], label: str, higher_is_better: bool = False, note: str = "") -> Figure:
    """Plot the quality of systems against each cost, one panel for each cost, with the Pareto front."""
    labels = list(dict.fromkeys(name for system in systems for name in system.costs))
    figure, grid = style.new_panels((2.4 + 3.6 * len(labels), 4.8), 1, len(labels), sharey=True)
    panels = grid[0]
    looks = _looks(systems)
    for axes, cost in zip(panels, labels, strict=True):
        _panel(axes, [system for system in systems if cost in system.costs], cost, higher_is_better, looks)
    panels[0].set_ylabel(label)
    figure.suptitle("Quality against cost", fontsize=12)
    figure.legend(handles=_legend(systems, looks), loc="outside right center", frameon=False, fontsize=9)
    better = "Upper" if higher_is_better else "Lower"
    caption = (
        f"{better} left is better. Line and black edges: the Pareto front, systems that no other beats in both "
        "quality and cost. Bars: one deviation over seeds."
    )
    return style.finish_figure(figure, caption, note)


def pareto_front(costs: Sequence[float], qualities: Sequence[float], higher_is_better: bool = False) -> list[int]:
    """Find the indices of the points on the Pareto front, the cheapest first.

    >>> pareto_front([1, 2, 3, 4], [0.3, 0.2, 0.4, 0.1])
    [0, 1, 3]
    """
    sign = -1 if higher_is_better else 1
    order = sorted(range(len(costs)), key=lambda place: (costs[place], sign * qualities[place]))
    kept: list[int] = []
    for place in order:
        if not kept or sign * qualities[place] < sign * qualities[kept[-1]]:
            kept.append(place)
    return kept


def _panel(
    axes: Any,
    systems: Sequence[TradeoffSystem],
    cost: str,
    higher_is_better: bool,
    looks: Mapping[TradeoffSystem, Look],
) -> None:
    costs, qualities = [system.costs[cost] for system in systems], [system.quality for system in systems]
    best = pareto_front(costs, qualities, higher_is_better)
    for place, system in enumerate(systems):
        ahead = place in best
        axes.errorbar(
            costs[place],
            qualities[place],
            None if np.isnan(system.spread) else system.spread,
            **looks[system],
            ecolor="#BBBBBB",
            elinewidth=1,
            markersize=8.5 if ahead else 6.5,
            markeredgecolor=style.BLACK if ahead else "white",
            markeredgewidth=1.2 if ahead else 0.6,
            zorder=4 if ahead else 3,
        )
    line = [costs[place] for place in best], [qualities[place] for place in best]
    axes.step(*line, where="post", color=style.BLACK, linewidth=1, zorder=2)
    axes.margins(x=0.1)
    if min(costs) > 0 and max(costs) / min(costs) > 8:
        style.use_log_x_axis(axes)
    axes.set_xlabel(cost)
    style.decorate_axes(axes)


def _looks(systems: Sequence[TradeoffSystem]) -> dict[TradeoffSystem, Look]:
    kinds = list(dict.fromkeys(system.kind for system in systems))
    groups = list(dict.fromkeys(system.group for system in systems))
    return {
        system: {
            "marker": MARKERS[kinds.index(system.kind) % len(MARKERS)],
            "color": style.COLOURS[groups.index(system.group) % len(style.COLOURS)],
        }
        for system in systems
    }


def _legend(systems: Sequence[TradeoffSystem], looks: Mapping[TradeoffSystem, Look]) -> list[Line2D]:
    """Make the legend: the colour of each group and the marker of each kind of system."""
    groups = {style.shorten_label(system.group, 30): looks[system]["color"] for system in systems}
    kinds = {style.shorten_label(system.kind, 30): looks[system]["marker"] for system in systems}
    plain: dict[str, Any] = {"linestyle": "", "markersize": 7}
    return [
        *(Line2D([], [], marker="o", color=colour, label=name, **plain) for name, colour in groups.items()),
        Line2D([], [], linestyle="", label=" "),
        *(Line2D([], [], marker=sign, color=style.GREY, label=name, **plain) for name, sign in kinds.items()),
    ]
