"""Figures of a detector: error curves, scores, decisions, training and attacks.

Each function returns a `matplotlib.figure.Figure` of its own; pyplot and its global state stay out, so that
figures can be drawn in any thread and without a display. `note` is printed small at the bottom.
"""

from dfx.plots.comparison import bars, bars_per_attack
from dfx.plots.decisions import confusion, histogram
from dfx.plots.error_curves import det, roc
from dfx.plots.training import curves

__all__ = ["bars", "bars_per_attack", "confusion", "curves", "det", "histogram", "roc"]
