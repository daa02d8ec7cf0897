"""Figures of all commands.

Each function returns a new `matplotlib.figure.Figure`; pyplot and its global state are not used, so that figures can be
drawn in any thread and without a display. `note` is printed small at the bottom.
"""

from dfx.reporting.figures.bars import bars, bars_per_attack
from dfx.reporting.figures.error_curves import det_error_curves, roc_error_curves
from dfx.reporting.figures.heat_map import confusion_heat_map, heat_map
from dfx.reporting.figures.histograms import histogram, histograms
from dfx.reporting.figures.intervals import interval_figure
from dfx.reporting.figures.learning_curves import learning_curves, training_curves
from dfx.reporting.figures.reliability import reliability
from dfx.reporting.figures.style import figure_png
from dfx.reporting.figures.tradeoff import TradeoffSystem, tradeoff
