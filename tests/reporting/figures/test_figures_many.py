"""Figures of many systems: heat map, trade-off and learning curves."""

import math

import numpy as np
from matplotlib.colors import to_rgb

from dfx.reporting import figures as plots
from dfx.reporting.figures.tradeoff import pareto_front


def test_a_heat_map_has_a_text_in_each_cell_that_can_be_read():
    values = np.array([[5.0, 50.0], [np.nan, 20.0]])
    texts = [["5", "50"], ["failed", "20"]]
    figure = plots.heat_map(
        values, ["lfcc", "mfcc"], ["lcnn", "mlp"], texts, "EER (%)", "T", bold=[(0, 0)], framed=[(0, 0)]
    )
    axes = figure.axes[0]
    drawn = {text.get_text(): text for text in axes.texts}
    assert set(drawn) == {"5", "50", "failed", "20"}
    assert to_rgb(drawn["50"].get_color()) == (1, 1, 1)  # white on dark
    assert to_rgb(drawn["5"].get_color()) == (0, 0, 0)
    assert drawn["5"].get_fontweight() == "bold"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["lfcc", "mfcc"]
    figure.canvas.draw()


def test_the_front_is_what_no_other_beats():
    assert pareto_front([1, 2, 3, 4], [0.3, 0.2, 0.4, 0.1]) == [0, 1, 3]
    assert pareto_front([1, 1, 2], [0.3, 0.2, 0.2]) == [1]
    assert pareto_front([1, 2], [0.7, 0.9], higher_is_better=True) == [0, 1]


def test_quality_against_cost_has_a_panel_for_each_cost():
    systems = [
        plots.TradeoffSystem("lfcc", "lcnn", 5.0, 1.0, {"parameters": 1e6, "latency": 9.0}),
        plots.TradeoffSystem("lfcc", "mlp", 9.0, math.nan, {"parameters": 1e3}),
        plots.TradeoffSystem("mfcc", "mlp", 20.0, 1.0, {}),
    ]
    figure = plots.tradeoff(systems, "EER (%)")
    assert [axes.get_xlabel() for axes in figure.axes] == ["parameters", "latency"]
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "linear"]
    figure.canvas.draw()
    for axes in figure.axes:  # a formula of matplotlib would be drawn as it is written
        assert not [label for label in axes.get_xticklabels(which="both") if "$" in label.get_text()]
    low, high = figure.axes[0].get_xlim()
    ticks = zip(figure.axes[0].get_xticks(), figure.axes[0].get_xticklabels(), strict=True)
    assert [label.get_text() for place, label in ticks if low <= place <= high] == ["1k", "10k", "100k", "1M"]


def test_learning_curves_are_means_over_seeds_as_far_as_all_go():
    figure = plots.learning_curves({"a": [[40, 20, 10], [20, 10]], "b": [[30]]}, "T")
    solid, dotted = figure.axes[0].lines[:2]
    assert np.asarray(solid.get_ydata()).tolist() == [30, 15]
    assert np.asarray(dotted.get_ydata()).tolist() == [15, 10]
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]
    figure.canvas.draw()
