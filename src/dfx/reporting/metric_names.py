"""Names of the metrics: title, unit, direction and meaning, and their values as text."""

from __future__ import annotations

import math
from typing import NamedTuple

from dfx.metrics import ConfidenceInterval, Difference, attack_name


class Metric(NamedTuple):
    """Title, unit, direction and meaning of a metric.

    Attributes:
        unit: "%" for a rate that is shown in percent; "s", "ms" or nothing.
        higher_is_better: its direction; None if it has no direction.
        meaning: a few words for the table of one run or of one evaluation.
    """

    title: str
    unit: str
    higher_is_better: bool | None
    meaning: str = ""

    @property
    def percent(self) -> bool:
        """Whether the metric is a rate: measured from 0 to 1, shown in percent."""
        return self.unit == "%"


METRICS = {
    "eer": Metric("EER", "%", False, "organisers'; lower is better"),
    "eer_interpolated": Metric("EER, interpolated", "%", False, "as most toolkits give it"),
    "auc": Metric("AUC", "", True, "higher is better"),
    "min_tdcf_2019": Metric("min t-DCF, 2019", "", False, "with speaker verification; lower is better"),
    "min_tdcf_revised": Metric("min t-DCF, revised", "", False, "as of 2021"),
    "min_adcf": Metric("min a-DCF", "", False, "spoofing-robust speaker verification"),
    "min_dcf": Metric("minDCF", "", False, "P_spoof .05, C_miss 1, C_fa 10"),
    "act_dcf": Metric("actDCF", "", False, "the same, at Bayes' threshold"),
    "cllr": Metric("Cllr", "", False, "bits; under 1 is informative"),
    "min_cllr": Metric("min Cllr", "", False, "Cllr after the best calibration"),
    "ece": Metric("ECE", "", False, "gap between probability and frequency"),
    "brier": Metric("Brier score", "", False, "mean squared error of the probability"),
    "accuracy": Metric("accuracy", "%", True, "at dev's EER threshold"),
    "balanced_accuracy": Metric("balanced accuracy", "%", True, "the same, classes counted alike"),
    "f1": Metric("F1", "", True, "at dev's EER threshold, spoof is to be found"),
    "dev_threshold": Metric("threshold", "", None, "of dev's EER"),
    "eer_seen": Metric("EER, seen attacks", "%", False, "attacks in train"),
    "eer_unseen": Metric("EER, unseen attacks", "%", False, "attacks not in train"),
    "eer_on": Metric("EER", "%", False, "of one corpus of several"),
    "loss": Metric("loss", "", False),
    "parameters": Metric("parameters", "", False),
    "train_seconds": Metric("training time", "s", False),
    "latency_ms": Metric("latency", "ms", False, "of a 5 s clip, one core"),
}
COSTS = ("cost/parameters", "cost/train_seconds", "cost/latency_ms")  # shown with few digits


def find_metric(name: str) -> Metric:
    """Look up a metric by name, with or without its split: `eer`, `eval/eer`, `eval/eer/A07`.

    Raises:
        ValueError: if there is no such metric.
    """
    known = METRICS.get(_base(name))
    if known is None:
        raise _unknown(name)
    return known


def higher_is_better(name: str) -> bool:
    """Whether higher values of a metric are better.

    Raises:
        ValueError: if there is no such metric, or it has no direction.
    """
    direction = find_metric(name).higher_is_better
    if direction is None:
        raise _unknown(name)
    return direction


def _unknown(name: str) -> ValueError:
    known = [key for key, metric in METRICS.items() if metric.higher_is_better is not None]
    return ValueError(
        f"Whether a higher {name} is better is not known: choose one whose direction is, eval/ or dev/ with "
        f"{', '.join(known)}."
    )


def metric_title(name: str) -> str:
    """Return the title of a metric in words: `EER of A07 on eval`."""
    split, _, rest = name.partition("/")
    part = name.partition(f"{_base(name)}/")[2]
    return (
        find_metric(name).title
        + (f" of {attack_name(part)}" if part else "")
        + (f" on {split}" if split in ("dev", "eval") and rest else "")
    )


def metric_heading(name: str) -> str:
    """Return the title of a metric with its unit: `EER on eval (%)`."""
    unit = find_metric(name).unit
    return f"{metric_title(name)} ({unit})" if unit else metric_title(name)


def cost_metric_label(name: str) -> str:
    """Return the axis label of a cost metric: `latency of a 5 s clip, one core (ms)`."""
    cost = find_metric(name)
    return " ".join(part for part in (cost.title, cost.meaning, f"({cost.unit})" if cost.unit else "") if part)


def metric_direction(name: str) -> str:
    """Return the direction of a metric in words: `lower is better`."""
    return "higher is better" if higher_is_better(name) else "lower is better"


def metric_number(value: float, name: str, sign: str = "") -> str:
    """Format a value without its unit: a rate of .0506 is `5.06`, NaN is a dash.

    Args:
        value: as it was measured; a rate is from 0 to 1.
        name: name of the metric.
        sign: "+" shows the sign of positive values, too.
    """
    if math.isnan(value):
        return "–"
    if name in COSTS:
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"
    return f"{100 * value:{sign}.2f}" if find_metric(name).percent else f"{value:{sign}.4f}"


def metric_with_unit(value: float | None, name: str) -> str:
    """Format a value with its unit: `5.06 %`; return "" for None."""
    if value is None:
        return ""
    return f"{metric_number(value, name)} %" if find_metric(name).percent else metric_number(value, name)


def metric_spread(mean: float, deviation: float, name: str) -> str:
    """Format mean and deviation: `12.34 ± 1.20`; if the deviation is NaN, only the mean."""
    return metric_number(mean, name) + ("" if math.isnan(deviation) else f" ± {metric_number(deviation, name)}")


def metric_interval(bounds: ConfidenceInterval | Difference | None, name: str) -> str:
    """Format a confidence interval: `[10.91, 14.02]`; return "" for None or NaN."""
    if bounds is None or math.isnan(bounds.low):
        return ""
    return f"[{metric_number(bounds.low, name)}, {metric_number(bounds.high, name)}]"


def _base(name: str) -> str:
    first, _, rest = name.partition("/")
    return first if first in METRICS else rest.partition("/")[0]
