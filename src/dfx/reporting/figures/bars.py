"""Bar charts: metrics of a run, and EER by attack."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from matplotlib.figure import Figure

from dfx.metrics import eer
from dfx.reporting import metric_names
from dfx.reporting.figures import style
from dfx.tables.score_table import ScoreTable

SHOWN = ("auc", "accuracy", "eer")


def bars(metrics: Mapping[str, Mapping[str, float]], note: str = "") -> Figure:
    """Draw a bar chart of AUC, accuracy and EER with one bar for each split.

    The metrics are `{"dev": summary, "eval": summary}`.
    """
    figure, axes = style.new_figure("Performance", size=(6.4, 4.4))
    width = 0.8 / len(metrics)
    for number, (split, values) in enumerate(metrics.items()):
        places = [place + (number + 0.5) * width - 0.4 for place in range(len(SHOWN))]
        heights, colour = [values[name] for name in SHOWN], style.COLOURS[number]
        drawn = axes.bar(places, heights, 0.92 * width, color=colour, label=split)
        axes.bar_label(drawn, fmt="%.4f", padding=2, fontsize=9)
    labels = [f"{metric_names.metric_title(name)}\n{metric_names.metric_direction(name)}" for name in SHOWN]
    axes.set_xticks(range(len(SHOWN)), labels)
    axes.set_ylim(0, 1.08)
    axes.set_ylabel("rate, from 0 to 1")
    axes.grid(visible=False, axis="x")
    style.legend_below(axes, columns=len(metrics))
    return style.finish_figure(figure, "", note)


def bars_per_attack(table: ScoreTable, seen: Collection[str], note: str = "") -> Figure:
    """Draw a bar chart of the EER of each attack and of all attacks together.

    Each attack is measured against all bona fide trials; the highest EER is on top.

    Attacks that are `seen` in train have another colour than the others.
    """
    pooled = eer(table.bonafide, table.spoof)[0]
    attacks = table.attacks()
    rates = {name: eer(table.bonafide, scores)[0] for name, scores in attacks.items()}
    hardest = sorted(rates, key=lambda name: -rates[name])
    labels = [f"{style.shorten_label(name)} ({attacks[name].size:,})" for name in hardest]
    labels.append(f"all spoof ({table.spoof.size:,})")
    values = [100 * rates[name] for name in hardest] + [100 * pooled]
    colours = [style.BLUE if name in seen else style.ORANGE for name in hardest]
    figure, axes = style.new_figure("EER of each attack", size=(7.2, 1.6 + 0.24 * len(values)))
    plain = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # keeps the dashed line out of the digits
    drawn = axes.barh(range(len(values)), values, 0.72, color=[*colours, style.GREY])
    axes.bar_label(drawn, [f"{value:.2f}" for value in values], padding=3, fontsize=8, bbox=plain)
    axes.axvline(100 * pooled, color=style.GREY, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(values)), labels, fontsize=8)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * max(*values, 1.0))
    axes.set_xlabel("EER (%)")
    axes.grid(visible=False, axis="y")
    for colour, word in ((style.BLUE, "seen in training"), (style.ORANGE, "unseen")):
        axes.bar(0, 0, color=colour, label=word)
    style.legend_below(axes, columns=2)
    return style.finish_figure(figure, "In brackets: spoof trials. Dashed: all spoof together.", note)
