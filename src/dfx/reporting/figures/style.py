"""Style of all figures: colours, axes, legend, small print and PNG files."""

from __future__ import annotations

import io
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from dfx import console

# Okabe and Ito's palette without its yellow, for any colour vision.
BLUE = "#0072B2"
ORANGE = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
AMBER = "#E69F00"
BLACK = "#000000"
COLOURS = [BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER, BLACK]
DASHES = ["-", "--", "-.", ":"]
GREY = "#666666"
matplotlib.rcParams["text.parse_math"] = False  # a `$` in the name of an attack is no formula
DPI = 150  # 7 inches fill the page of a report


def new_figure(title: str, size: tuple[float, float]) -> tuple[Figure, Any]:
    """Make a figure with one plot: a title and a light grid."""
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=12)
    decorate_axes(axes)
    return figure, axes


def new_panels(size: tuple[float, float], rows: int, columns: int, **layout: Any) -> tuple[Figure, Any]:
    """Make a figure with several plots in `rows` and `columns`; call `decorate_axes` on each after drawing."""
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **layout)


def figure_png(figure: Figure) -> bytes:
    """Convert a figure to the bytes of a PNG file; if it cannot be drawn, the picture shows the reason."""
    file = io.BytesIO()
    try:
        figure.savefig(file, format="png", dpi=DPI)
    except Exception as error:
        reason = f"This figure could not be drawn: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        console.say(f"Warning: {reason}")
        file, figure = io.BytesIO(), Figure(figsize=(7, 1), dpi=DPI)
        figure.text(0.02, 0.5, reason, fontsize=8, wrap=True)
        figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()


def use_log_x_axis(axes: Any) -> None:
    """Make the x axis logarithmic, with plain numbers at its ticks: 0.1, 20, 5k, 1M.

    Call it after drawing. Matplotlib's own labels are formulas, which are not drawn here.
    """
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    large = EngFormatter(sep="")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}" if value < 1000 else large(value))
    axes.xaxis.set_minor_formatter(NullFormatter())


def decorate_axes(axes: Any) -> None:
    """Draw a light grid behind the data, and remove the top and right border of the plot."""
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def line_style(number: int) -> dict[str, Any]:
    """Choose the colour, dash pattern and line width of a curve by its number."""
    turn, kind = divmod(number, len(COLOURS))
    return {"color": COLOURS[kind], "linestyle": DASHES[turn % len(DASHES)], "linewidth": 1.8}


def legend_below(axes: Any, columns: int = 1) -> None:
    """Place the legend below the axis label, outside the plot."""
    labels_high = 1 + max(text.get_text().count("\n") for text in axes.get_xticklabels())
    pad = 1.6 + 1.4 * labels_high + (1.4 if axes.get_xlabel() else 0)
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "borderaxespad": pad}
    axes.legend(**place, ncols=columns, frameon=False, fontsize=9)


def finish_figure(figure: Figure, caption: str, note: str = "") -> Figure:
    """Add the caption and a note in small print at the bottom of a figure."""
    text = "\n".join(line for line in (caption, note) if line)
    if text:
        figure.supxlabel(text, fontsize=8, color=GREY)
    return figure


def percent_text(rate: float) -> str:
    """Format a rate as percent: `5.06 %`."""
    return f"{100 * rate:.2f} %"


def shorten_label(name: str, length: int = 60) -> str:
    """Shorten a long name: replace its middle by `…`, since names of systems differ at either end."""
    return name if len(name) <= length else f"{name[: length // 2]}…{name[-length // 2 + 1 :]}"
