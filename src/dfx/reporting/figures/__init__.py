"""Figures of a detector: error curves, scores, decisions, training and attacks.

Each function returns a `matplotlib.figure.Figure` of its own; pyplot and its global state stay out, so that
figures can be drawn in any thread and without a display. `note` is printed small at the bottom.
"""

from dfx.reporting.figures.comparison import bars, bars_per_attack
from dfx.reporting.figures.decisions import confusion, histogram, histograms
from dfx.reporting.figures.error_curves import det, roc
from dfx.reporting.figures.heat_map import heat_map
from dfx.reporting.figures.intervals import intervals
from dfx.reporting.figures.learning import learning_curves
from dfx.reporting.figures.reliability import reliability
from dfx.reporting.figures.style import save
from dfx.reporting.figures.tradeoff import System, tradeoff
from dfx.reporting.figures.training import curves

__all__ = [
    "System",
    "bars",
    "bars_per_attack",
    "confusion",
    "curves",
    "det",
    "heat_map",
    "histogram",
    "histograms",
    "intervals",
    "learning_curves",
    "reliability",
    "roc",
    "save",
    "tradeoff",
]
