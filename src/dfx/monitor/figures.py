"""Figures of the monitor: distance of each measure over time, and the values of the measures over time."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
from matplotlib import colors
from matplotlib.figure import Figure

from dfx.monitor.samples import MEASURE_TITLES, MEASURE_UNITS, SHARES
from dfx.monitor.watch import WatchedLog
from dfx.reporting.document_parts import DocumentPicture
from dfx.reporting.figures import style

TOP_EXCESS = 3.0  # of the colours
MOST_DATES = 8  # labels of the time axis


def draw_drift_figures(watched: WatchedLog) -> list[DocumentPicture]:
    """Draw distances over time, if there are several periods, and values over time."""
    found = []
    if sum(bool(period.drift) for period in watched.periods) > 1:
        found.append(DocumentPicture("drift", _excess_map(watched), "Over time"))
    return [*found, DocumentPicture("values", _value_panels(watched), "" if found else "Values")]


def _excess_map(watched: WatchedLog) -> Figure:
    """Draw distance / limit of each measure in each period; marked where the limit is passed."""
    latest = watched.latest.drift
    names = sorted(latest, key=lambda name: -latest[name].excess)
    excess = np.array(
        [
            [period.drift[name].excess if name in period.drift else np.nan for period in watched.periods]
            for name in names
        ]
    )
    figure, axes = style.new_figure(
        "Distance from the reference, in units of its limit", (7.4, 1.6 + 0.27 * len(names))
    )
    norm = colors.TwoSlopeNorm(1, 0, TOP_EXCESS)
    drawn = axes.pcolormesh(np.ma.masked_invalid(excess), cmap="RdBu_r", norm=norm, edgecolors="white", linewidth=0.8)
    rows, columns = np.nonzero(excess > 1)
    axes.plot(columns + 0.5, rows + 0.5, "o", color=style.BLACK, markersize=3)
    axes.set_yticks(np.arange(len(names)) + 0.5, [MEASURE_TITLES[name] for name in names], fontsize=8)
    axes.set_facecolor("#DDDDDD")
    axes.invert_yaxis()
    axes.grid(visible=False)
    dates = np.unique(
        np.linspace(0, len(watched.periods) - 1, min(MOST_DATES, len(watched.periods))).round().astype(int)
    )
    axes.set_xticks(dates + 0.5, [_short_time(watched.periods[one].end_ms) for one in dates], fontsize=8)
    bar = figure.colorbar(drawn, ax=axes, ticks=[0, 0.5, 1, 2, 3], pad=0.02)
    bar.ax.set_yticklabels(["0", "0.5", "1 = limit", "2", "3 or more"], fontsize=8)
    caption = (
        f"Dots: beyond the limit. Each column is a period ({watched.length}), named by its end (UTC). Grey: too few "
        "answers."
    )
    return style.finish_figure(figure, caption)


def _short_time(milliseconds: int) -> str:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC).strftime("%d %b\n%H:%M")


def _value_panels(watched: WatchedLog) -> Figure:
    """Draw the values of each measure over time: median and ranges, and those of the reference as lines."""
    latest = watched.latest.drift
    names = [
        name
        for name in sorted(latest, key=lambda name: -latest[name].excess)
        if name in watched.of_reference.means and _varies(watched, name)
    ]
    columns = 3
    rows = max(1, -(-len(names) // columns))
    figure, grid = style.new_panels((7.4, 0.9 + 1.55 * rows), rows, columns, sharex=True)
    for axes in grid.flat[len(names) :]:
        axes.remove()
    for number, (axes, name) in enumerate(zip(grid.flat, names, strict=False)):
        _draw_values(axes, watched, name)
        axes.tick_params(labelbottom=number + columns >= len(names))
    caption = (
        "Line: median of each period; bands: 25-75 % and 5-95 % of its answers; shares as they are. Grey: the same of\n"
        f"the reference. Orange: beyond the limit. Each period: {watched.length}; the newest is on the right. What "
        "never varies is left out."
    )
    return style.finish_figure(figure, caption)


def _varies(watched: WatchedLog, name: str) -> bool:
    known = [period.quantiles[name] for period in (watched.of_reference, *watched.periods) if name in period.quantiles]
    return bool(np.ptp(np.array(known)) > 0)


def _draw_values(axes: Any, watched: WatchedLog, name: str) -> None:
    scale = 100.0 if name in SHARES else 1.0
    known = [number for number, period in enumerate(watched.periods) if name in period.quantiles]
    values = scale * np.array([watched.periods[number].quantiles[name] for number in known])
    before = scale * np.array(watched.of_reference.quantiles[name])
    axes.axhspan(before[0], before[-1], color=style.GREY, alpha=0.12, linewidth=0)
    axes.axhspan(before[1], before[-2], color=style.GREY, alpha=0.18, linewidth=0)
    axes.axhline(before[2], color=style.GREY, linewidth=1)
    if len(known) > 1:
        axes.fill_between(known, values[:, 0], values[:, -1], color=style.SKY, alpha=0.2, linewidth=0)
        axes.fill_between(known, values[:, 1], values[:, -2], color=style.SKY, alpha=0.4, linewidth=0)
    else:
        axes.errorbar(known, values[:, 2], [values[:, 2] - values[:, 0], values[:, -1] - values[:, 2]], color=style.SKY)
    axes.plot(known, values[:, 2], "-", color=style.BLUE, linewidth=1.2)
    drifted = [number in known and name in watched.periods[number].drifted for number in known]
    for chosen, colour in ((np.logical_not(drifted), style.BLUE), (np.array(drifted, bool), style.ORANGE)):
        axes.plot(np.array(known)[chosen], values[chosen, 2], "o", color=colour, markersize=3)
    unit = "%" if name in SHARES else MEASURE_UNITS[name]
    axes.set_title(f"{MEASURE_TITLES[name]}{f' ({unit})' if unit else ''}", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.set_xticks([0, len(watched.periods) - 1], [_short_time(watched.periods[one].end_ms) for one in (0, -1)])
    style.decorate_axes(axes)
