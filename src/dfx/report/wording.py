"""Numbers and names as people read them."""

from __future__ import annotations

import math

from dfx.metrics import Interval, attack_name

NAMES = {
    "eer": "EER",
    "eer_interpolated": "EER (interpolated)",
    "eer_seen": "EER, seen attacks",
    "eer_unseen": "EER, unseen attacks",
    "eer_on": "EER",
    "auc": "AUC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "min_dcf": "minDCF",
    "act_dcf": "actDCF",
    "cllr": "Cllr",
    "min_cllr": "min Cllr",
    "parameters": "parameters",
    "train_seconds": "training time",
    "latency_ms": "latency",
}
IN_PERCENT = (
    "eer",
    "eer_interpolated",
    "eer_seen",
    "eer_unseen",
    "eer_on",
    "accuracy",
    "balanced_accuracy",
    "f1",
)
COSTS = {
    "cost/parameters": "parameters",
    "cost/train_seconds": "training time (s)",
    "cost/latency_ms": "latency of a 5 s clip, one core (ms)",
}


def title(metric: str) -> str:
    """A metric in words with its unit: `EER on eval (%)`."""
    split, _, name = metric.partition("/")
    first, _, rest = name.partition("/")
    words = NAMES.get(first, first)
    if rest:
        words += f" of {attack_name(f'eer/{rest}')}"
    if split in ("dev", "eval"):
        words += f" on {split}"
    return f"{words} (%)" if is_percent(metric) else words


def is_percent(metric: str) -> bool:
    """Whether a metric is shown in percent."""
    return metric.split("/")[1:2] != [] and metric.split("/")[1] in IN_PERCENT


def number(value: float, metric: str) -> str:
    """A value without its unit; a dash for NaN."""
    if math.isnan(value):
        return "–"
    if is_percent(metric):
        return f"{100 * value:.2f}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.0f}"


def spread(mean: float, deviation: float, metric: str) -> str:
    """`12.34 ± 1.20`, or the mean alone where there is one seed."""
    if math.isnan(deviation):
        return number(mean, metric)
    return f"{number(mean, metric)} ± {number(deviation, metric)}"


def interval(bounds: Interval | None, metric: str) -> str:
    """`[10.91, 14.02]`, or nothing."""
    return f"[{number(bounds.low, metric)}, {number(bounds.high, metric)}]" if bounds else ""


def some(names: list[str], most: int = 6) -> str:
    """The first names in words: `a, b and 3 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
