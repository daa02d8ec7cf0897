import numpy as np
import pandas as pd
import pytest

from dfx import metrics
from dfx.reporting import figures as plots
from dfx.tables.score_table import ScoreTable


def ratios(stretch=1.0, trials=4000, seed=0):
    """Log-likelihood ratios of two normal classes, true ones where `stretch` is 1."""
    generator = np.random.default_rng(seed)
    label = (np.arange(trials) % 4 == 0).astype(int)
    value = generator.standard_normal(trials) + 2.0 * label
    score = stretch * (2.0 * value - 2.0)  # the logarithm of N(2, 1) over N(0, 1)
    ids = [f"u{number}" for number in range(trials)]
    return ScoreTable(pd.DataFrame({"id": ids, "attack": "-", "label": label, "score": score}))


def test_calibrated_ratios_lie_on_the_line_and_stretched_ones_do_not():
    figure = plots.reliability({"true": ratios(), "overconfident": ratios(3.0)}, "T")
    lines = [line for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    distance = [np.abs(line.get_ydata() - line.get_xdata()).max() for line in lines]
    assert distance[0] < 10 < distance[1]
    texts = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    table = ratios(3.0)
    assert texts[1] == f"overconfident: ECE {metrics.ece(table.bonafide, table.spoof):.4f}"


def test_every_trial_is_in_a_bin():
    (stairs,) = plots.reliability({"true": ratios()}, "T").axes[1].patches
    assert stairs.get_data().values.sum() == pytest.approx(100)
