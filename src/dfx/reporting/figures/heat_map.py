"""Heat map of a table of numbers, and confusion matrix."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from dfx.metrics import accuracy
from dfx.reporting.figures import style
from dfx.tables.score_table import ScoreTable

COLOUR_MAP = "PuBu"  # one hue from light to dark: read with any colour vision, and in grey
DARK = 0.45  # luminance under which black text is hard to read
LONGEST = 34  # characters of a label


def heat_map(
    values: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    texts: Sequence[Sequence[str]],
    label: str,
    title: str,
    note: str = "",
    bold: Collection[tuple[int, int]] = (),
    framed: Collection[tuple[int, int]] = (),
    caption: str = "",
) -> Figure:
    """Draw a heat map of a table of numbers; higher numbers are darker.

    Args:
        values: `(rows, columns)`; a cell with NaN is hatched.
        rows: labels.
        columns: labels.
        texts: text of each cell; lines are separated by a newline.
        label: what the colours mean, with the unit.
        title: heading.
        note: small print at the bottom.
        bold: (row, column) of cells whose text is set bold.
        framed: (row, column) of cells with a frame.
        caption: what to read from it.
    """
    numbers = np.asarray(values, dtype=np.float64)
    rows, columns = ([style.shorten_label(name, LONGEST) for name in names] for names in (rows, columns))
    width, height = _cell_size(texts)
    tilted = 0.085 * max(map(len, columns)) > width
    size = (
        max(6.6, 1.5 + 0.075 * max(map(len, rows)) + width * len(columns)),
        1.7 + height * len(rows) + (0.055 * max(map(len, columns)) if tilted else 0),
    )
    figure, axes = style.new_figure(title, size)
    colours = matplotlib.colormaps[COLOUR_MAP]
    image = axes.imshow(np.ma.masked_invalid(numbers), cmap=colours, aspect="auto")
    for (row, column), number in np.ndenumerate(numbers):
        empty = bool(np.isnan(number))
        if empty:
            _box(axes, row, column, 1.0, facecolor="#F4F4F4", edgecolor="#DDDDDD", hatch="///")
        if (row, column) in framed:
            _box(axes, row, column, 0.94, fill=False, edgecolor=style.ORANGE, linewidth=2.4)
        axes.text(
            column,
            row,
            texts[row][column],
            ha="center",
            va="center",
            fontsize=8.5 if len(columns) <= 12 else 7.5,
            linespacing=1.35,
            color=style.BLACK if empty or _luminance(colours(image.norm(number))) > DARK else "white",
            fontweight="bold" if (row, column) in bold else "normal",
        )
    turn = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if tilted else {}
    axes.set_xticks(range(len(columns)), columns, fontsize=9, **turn)
    axes.set_yticks(range(len(rows)), rows, fontsize=9)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, label=label, fraction=0.04, pad=0.02, aspect=max(10, 4 * len(rows)))
    bar.outline.set_visible(False)
    return style.finish_figure(figure, caption, note)


def confusion_heat_map(table: ScoreTable, threshold: float, note: str = "") -> Figure:
    """Draw the confusion matrix at a threshold (a score at it is rejected), with counts and percentages."""
    right = accuracy(table.bonafide, table.spoof, threshold)
    accepted = [scores > threshold for scores in (table.bonafide, table.spoof)]
    counts = np.array([[np.count_nonzero(yes), np.count_nonzero(~yes)] for yes in accepted])
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    figure, axes = style.new_figure("Decisions", size=(5.2, 4.6))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), count in np.ndenumerate(counts):
        text = f"{count:,}\n{shares[row, column]:.2f} %"
        colour = "white" if shares[row, column] > 55 else style.BLACK
        axes.text(column, row, text, ha="center", va="center", fontsize=15, color=colour, linespacing=1.5)
    axes.set_xticks([0, 1], ["bona fide", "spoof"])
    axes.set_yticks([0, 1], ["bona fide", "spoof"], rotation=90, va="center")
    axes.set_xlabel(f"decision at threshold {threshold:.4g}")
    axes.set_ylabel("truth")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    return style.finish_figure(figure, f"Percent of each row. Accuracy {style.percent_text(right)}.", note)


def _cell_size(texts: Sequence[Sequence[str]]) -> tuple[float, float]:
    parts = [text.split("\n") for line in texts for text in line]
    longest = max(len(part) for lines in parts for part in lines)
    return max(0.42, 0.3 + 0.085 * longest), 0.12 + 0.18 * max(map(len, parts))


def _box(axes: Any, row: int, column: int, side: float, **look: Any) -> None:
    corner = (column - side / 2, row - side / 2)
    axes.add_patch(Rectangle(corner, side, side, **look))


def _luminance(colour: Sequence[float]) -> float:
    """Compute the perceived brightness of a colour, from 0 to 1 (Rec. 709)."""
    return float(np.dot(colour[:3], [0.2126, 0.7152, 0.0722]))
