import io

import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from scipy.special import ndtr, ndtri

from dfx.metrics import auc, det_curve, eer
from dfx.reporting import figures as plots
from dfx.reporting.figures import style
from setups import score_table


def scored(bonafide, spoof, attacks=("A01",)):
    attack = ["-"] * len(bonafide) + [attacks[number % len(attacks)] for number in range(len(spoof))]
    return score_table(bonafide, spoof, attack=attack)


def normal(distance, decimals=12, attacks=("A01",), seed=0):
    generator = np.random.default_rng(seed)
    bonafide, spoof = generator.normal(distance, 1, 400), generator.normal(-distance, 1, 900)
    return scored(bonafide.round(decimals), spoof.round(decimals), attacks)


TABLE = normal(1.0)
PERFECT = scored([2.0, 3.0], [0.0, 1.0])
CONSTANT = scored([1.0] * 5, [1.0] * 4)
ATTACKS = normal(1.0, attacks=[f"tacotron2+a_long_vocoder_name_{number:02d}" for number in range(30)])
HISTORY = [
    {
        "epoch": epoch,
        "train/loss": 1 / (1 + epoch),
        "dev/loss": 0.5,
        "dev/eer": rate,
        "dev/auc": 1 - rate,
        "dev/accuracy": 1 - rate,
    }
    for epoch, rate in enumerate([0.3, 0.1, 0.2, 0.1])
]
MANY = {f"a system with a very long name that goes on and on, seed {i}": normal(i / 8) for i in range(12)}
NOTE = "synthetic demo corpus"
FIGURES = {
    "det": lambda: plots.det_error_curves({"lcnn": TABLE}, note=NOTE),
    "det of many": lambda: plots.det_error_curves(MANY, note=NOTE),
    "det of extremes": lambda: plots.det_error_curves({"perfect": PERFECT, "constant": CONSTANT}, note=NOTE),
    "roc": lambda: plots.roc_error_curves({"lcnn": TABLE}, note=NOTE),
    "roc of many": lambda: plots.roc_error_curves(MANY, note=NOTE),
    "histogram": lambda: plots.histogram(TABLE, 0.1, note=NOTE),
    "histogram of one value": lambda: plots.histogram(CONSTANT, note=NOTE),
    "histograms": lambda: style.finish_figure(
        plots.histograms({f"number {n}": (np.arange(9.0), np.ones(5)) for n in range(4)}, "Numbers"), NOTE
    ),
    "intervals": lambda: plots.interval_figure(
        ["lfcc", "a long name of a model"],
        {"train to dev": [(0.6, 0.5, 0.7), None], "train to eval": [(0.6, np.nan, np.nan), (0.9, 0.8, 1.0)]},
        "AUC",
        "Without listening",
        marked=[0],
        caption=NOTE,
    ),
    "reliability": lambda: plots.reliability({"lcnn": TABLE}, "Reliability", NOTE),
    "reliability of many": lambda: plots.reliability(MANY, "Reliability", NOTE),
    "confusion": lambda: plots.confusion_heat_map(TABLE, 0.1, note=NOTE),
    "curves": lambda: plots.training_curves(HISTORY, 1, NOTE),
    "curves of one epoch": lambda: plots.training_curves(HISTORY[:1], 0, NOTE),
    "bars": lambda: plots.bars({s: {"auc": 1.0, "eer": 0.0, "accuracy": 1.0} for s in ("dev", "eval")}, NOTE),
    "attacks": lambda: plots.bars_per_attack(ATTACKS, seen={"A01"}, note=NOTE),
    "one attack": lambda: plots.bars_per_attack(TABLE, seen={"A01"}, note=NOTE),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_text_is_inside_the_figure_and_the_note_is_free(name):
    figure = FIGURES[name]()
    FigureCanvasAgg(figure).draw()
    note = figure._supxlabel
    assert NOTE in note.get_text()
    small = note.get_window_extent()
    for axes in figure.axes:
        boxes = [axes.get_tightbbox()] + ([axes.get_legend().get_window_extent()] if axes.get_legend() else [])
        for box in boxes:
            assert not box.overlaps(small)
            assert box.x0 >= -1
            assert box.y0 >= -1
            assert box.x1 <= figure.bbox.x1 + 1
            assert box.y1 <= figure.bbox.y1 + 1
        assert axes.get_window_extent().height > 10  # something is left for the data


def test_figures_leave_no_global_state_and_are_png():
    file = io.BytesIO()
    plots.det_error_curves({"lcnn": TABLE}).savefig(file)
    assert file.getvalue().startswith(b"\x89PNG")
    assert not Gcf.figs


def test_det_marks_each_equal_error_rate_on_probit_axes():
    tables = {"good": normal(1.5), "poor": normal(0.3)}
    axes = plots.det_error_curves(tables).axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    expected = [eer(table.bonafide, table.spoof)[0] for table in tables.values()]
    assert [dot.get_xdata()[0] for dot in dots] == pytest.approx(ndtri(expected))
    assert [dot.get_ydata()[0] for dot in dots] == pytest.approx(ndtri(expected))
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [f"{name}: EER {100 * r:.2f} %" for name, r in zip(tables, expected, strict=True)]


@pytest.mark.parametrize("distance", [0.2, 0.5, 1.0, 4.0])
def test_det_frame_is_filled_by_good_and_by_bad_curves(distance):
    table = normal(distance)
    axes = plots.det_error_curves({"one": table}).axes[0]
    low, high = ndtr(axes.get_xlim())
    far, frr, _ = det_curve(table.bonafide, table.spoof)
    assert high >= eer(table.bonafide, table.spoof)[0]
    reached = min(far[frr <= high].min(), frr[far <= high].min())
    half_an_error = 0.5 / len(table.spoof)
    assert max(0.7 * reached, 0.9 * half_an_error) <= low <= max(reached, 1.1 * half_an_error)


def test_det_ticks_are_percent_at_their_deviates():
    axes = plots.det_error_curves({"lcnn": TABLE}).axes[0]
    for place, text in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True):
        assert place == pytest.approx(ndtri(float(text.get_text()) / 100))
    assert "10" in [text.get_text() for text in axes.get_yticklabels()]


def test_det_of_a_perfect_and_of_a_reversed_system_stays_on_the_axes():
    axes = plots.det_error_curves({"perfect": PERFECT, "reversed": scored([0.0, 1.0], [2.0, 3.0])}).axes[0]
    low, high = axes.get_xlim()
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"] == [low, high]
    assert axes.get_legend().get_texts()[0].get_text() == "perfect: EER 0.00 %"


def test_thinned_curve_is_the_curve():
    generator = np.random.default_rng(0)
    table = scored(generator.normal(1, 1, 20_000), generator.normal(-1, 1, 20_000))
    line = plots.roc_error_curves({"lcnn": table}).axes[0].lines[1]
    assert len(line.get_xdata()) < 8_000
    far, frr, _ = det_curve(table.bonafide, table.spoof)
    order = np.argsort(far, kind="stable")
    drawn = np.interp(100 * far[order], line.get_xdata()[::-1], line.get_ydata()[::-1])
    assert np.median(np.abs(drawn - 100 * (1 - frr[order]))) < 0.05


@pytest.mark.parametrize("table", [TABLE, normal(0.5, decimals=0), PERFECT, CONSTANT])
def test_area_under_the_drawn_roc_is_the_auc_in_its_legend(table):
    axes = plots.roc_error_curves({"lcnn": table}).axes[0]
    line = axes.lines[1]
    area = -np.trapezoid(line.get_ydata(), line.get_xdata()) / 1e4
    expected = auc(table.bonafide, table.spoof)
    assert area == pytest.approx(expected, abs=1e-3)
    assert axes.get_legend().get_texts()[0].get_text() == f"lcnn: AUC {expected:.4f}"


def test_histogram_holds_every_trial_even_far_outliers():
    table = scored([*TABLE.bonafide, 1e6], [*TABLE.spoof, -1e6])
    figure = plots.histogram(table, threshold=0.25)
    axes = figure.axes[0]
    for patch in axes.patches:
        assert patch.get_data().values.sum() == pytest.approx(100)
    assert axes.lines[0].get_xdata() == [0.25, 0.25]
    rejected = 100 * np.mean(table.bonafide <= 0.25)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[0] == f"bona fide (401): {rejected:.2f} % rejected"
    assert labels[2] == "threshold 0.25"


def test_histogram_shows_a_threshold_beyond_the_scores():
    low, high = plots.histogram(PERFECT, threshold=9.0).axes[0].get_xlim()
    assert low < 0.1
    assert high > 9


def test_histograms_hold_every_value_and_draw_constant_ones():
    figure = plots.histograms({"a": (np.arange(400.0), np.array([-1e6, 3.0])), "b": (np.ones(3), np.ones(2))}, "T")
    for axes in figure.axes:
        assert [patch.get_data().values.sum() for patch in axes.patches] == pytest.approx([100] * 4)


def test_intervals_have_a_line_for_each_name():
    points = {"dev": [(0.6, 0.5, 0.8), None, (0.4, np.nan, np.nan)], "eval": [None, (0.9, 0.8, 1.0), None]}
    axes = plots.interval_figure(["a", "b", "c"], points, "AUC", "T", marked=[2]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    drawn = {tuple(container[0].get_xdata()): container[0].get_color() for container in axes.containers}
    assert drawn == {(0.6,): style.BLUE, (0.4,): style.ORANGE, (0.9,): style.BLACK}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["dev", "eval"]


def test_confusion_counts_a_score_at_the_threshold_as_rejected():
    figure = plots.confusion_heat_map(scored([1.0, 2.0, 3.0, 4.0], [0.0, 1.0]), threshold=1.0)
    texts = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert texts == {(0, 0): "3\n75.00 %", (1, 0): "1\n25.00 %", (0, 1): "0\n0.00 %", (1, 1): "2\n100.00 %"}
    assert "Accuracy 83.33 %" in figure._supxlabel.get_text()


def dashed(axes):
    return [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"]


def test_curves_mark_the_chosen_epoch():
    assert [dashed(axes) for axes in plots.training_curves(HISTORY, chosen=3).axes] == [[3], [3], [3]]


def test_curves_show_what_is_there():
    history = [{"train/loss": 0.5}, {"train/loss": 0.4, "dev/eer": 0.2}, {"dev/eer": np.nan}]
    losses, rates, _ = plots.training_curves(history, chosen=1).axes
    assert losses.lines[0].get_ydata().tolist()[:2] == [0.5, 0.4]
    assert np.isnan(losses.lines[0].get_ydata()[2])
    assert rates.lines[0].get_ydata()[1] == 20.0


def test_bars_stand_at_their_values():
    rates = [{"auc": 0.9, "accuracy": 0.8, "eer": 0.1}, {"auc": 0.7, "accuracy": 0.6, "eer": 0.3}]
    figure = plots.bars(dict(zip(("dev", "eval"), rates, strict=True)))
    axes = figure.axes[0]
    assert [bar.get_height() for bar in axes.patches] == [0.9, 0.8, 0.1, 0.7, 0.6, 0.3]
    nearest = [round(bar.get_x() + bar.get_width() / 2) for bar in axes.patches]
    assert nearest == [0, 1, 2, 0, 1, 2]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["dev", "eval"]


def test_attacks_are_sorted_and_coloured():
    table = scored([1.0, 2.0, 3.0, 4.0], [0.0, 2.5, 0.0, 2.6, 0.0, 3.5], attacks=["A01", "A02"])
    axes = plots.bars_per_attack(table, seen={"A01"}).axes[0]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["A02 (3)", "A01 (3)", "all spoof (6)"]
    hard, all_spoof = (100 * eer(table.bonafide, s)[0] for s in ([2.5, 2.6, 3.5], table.spoof))
    assert [bar.get_width() for bar in axes.patches[:3]] == [hard, 0.0, all_spoof]
    assert [to_hex(bar.get_facecolor()).upper() for bar in axes.patches[:2]] == [style.ORANGE, style.BLUE]
    assert dashed(axes) == [all_spoof]


def test_without_known_attacks_the_pooled_rate_remains():
    axes = plots.bars_per_attack(scored([1.0], [0.0], attacks=["-"]), set()).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["all spoof (1)"]


def test_long_names_keep_both_ends():
    assert style.shorten_label("x" * 60) == "x" * 60
    short = style.shorten_label("front" + "x" * 100 + "seed 3")
    assert len(short) == 60
    assert short.startswith("front")
    assert short.endswith("seed 3")


@pytest.mark.parametrize(
    "draw",
    [
        lambda table: plots.det_error_curves({"lcnn": table}),
        lambda table: plots.roc_error_curves({"lcnn": table}),
        lambda table: plots.histogram(table),
        lambda table: plots.confusion_heat_map(table, 0.0),
        lambda table: plots.bars_per_attack(table, set()),
    ],
)
def test_a_missing_class_is_named(draw):
    with pytest.raises(ValueError, match="There are no spoof scores"):
        draw(scored([1.0], []))


def test_a_dollar_in_a_name_is_no_formula_and_a_figure_that_fails_says_why(capsys):
    figure, axes = style.new_figure(r"$\input{x}$", (3, 2))
    axes.set_xlabel("$\\frac{$")
    assert style.figure_png(figure).startswith(b"\x89PNG")
    assert capsys.readouterr().err == ""
    figure.savefig = None
    assert style.figure_png(figure).startswith(b"\x89PNG")
    assert "This figure could not be drawn: TypeError" in capsys.readouterr().err
