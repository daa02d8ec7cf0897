"""Calibration of scores to log-likelihood ratios, and fusion of several systems; both are learnt on dev only.

Both are logistic regression with the classes weighted equally, so that the log odds it gives are a log-likelihood
ratio. The targets are Platt's, (n + 1) / (n + 2) in place of 1 and 1 / (n + 2) in place of 0, with n trials in the
smaller class: a dev set without any error then gives a finite slope, and ratios that n trials can support. Platt's n
differs by class, which would favour the larger one: of scores that say nothing the ratio is 0 here.

Source: Brümmer et al., "Fusion of heterogeneous speaker recognition systems", IEEE TASLP 2007; Platt, "Probabilistic
outputs for support vector machines", 1999, section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx.metrics import auc
from dfx.metrics.doubts import backwards
from dfx.tables.findings import Finding, finding, some
from dfx.tables.score_table import ScoreTable

METHODS = ("logistic", "mean")
C = 1e6  # inverse strength of scikit-learn's penalty, on scores of unit deviation: as good as none
HUGE = 3.0  # ratio of deviations from which on one system drowns another in a mean

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """An increasing straight line from score to log-likelihood ratio, `slope * score + intercept`.

    Attributes:
        slope: above 0.
        intercept: log-likelihood ratio of a score of 0, in nats.
        findings: what to know before it is trusted: `separated` is a dev set without any error.
    """

    slope: float
    intercept: float
    findings: tuple[Finding, ...] = ()

    def apply(self, table: ScoreTable) -> ScoreTable:
        """The table with calibrated scores; EER and AUC stay, but for scores so close that rounding ties them."""
        return _scored(table, self.slope * table.table["score"].to_numpy() + self.intercept)


def calibrate(dev: ScoreTable, name: str = "the system") -> Calibration:
    """Calibration learnt on dev; the name is what sentences call the system.

    Raises:
        ValueError: if a class is missing in dev, its scores are constant, or they rank it the wrong way round.
    """
    (slope,), intercept, findings = _learn([dev], [name])
    if slope <= 0:
        scores = dev.table["score"]
        raise ValueError(
            f"Calibration of {name} found a slope of {slope:.3g} on dev, where the AUC is "
            f"{auc(dev.bonafide, dev.spoof):.3f} and scores go from {scores.min():.4g} to {scores.max():.4g}: they "
            "tell nothing, or a few that lie far from all others decide. Look at these; dfx does not turn scores round."
        )
    return Calibration(slope, intercept, findings)


def fuse(
    tables: Sequence[ScoreTable], method: str = "logistic", dev: Sequence[ScoreTable] | None = None
) -> tuple[ScoreTable, list[Finding]]:
    """One score table from those of several systems on the same trials, and what to know about it.

    Args:
        tables: of the trials to score, one for each system; their labels decide nothing.
        method: logistic, a weighted sum learnt on dev whose result is a log-likelihood ratio; or mean, of the scores
            calibrated on dev, and of the raw scores without dev.
        dev: of the dev trials, in the same order of systems.

    Returns:
        The trials of the first table, in its order and with its metadata; and findings: `separated`,
        `negative-weight`, `different-scales`.

    Raises:
        ValueError: if there are fewer than two systems, their trials differ, dev is missing for logistic, or a system
            ranks dev the wrong way round.
    """
    if method not in METHODS:
        raise ValueError(f"There is no fusion {method!r}: use {' or '.join(METHODS)}.")
    if len(tables) < 2:
        raise ValueError(
            f"Fusion needs two systems at least, got {len(tables)}: give one score table for each."
        )
    scores = _side_by_side(tables)
    if dev is None:
        if method == "logistic":
            raise ValueError(
                "Logistic fusion learns on dev, got no dev scores: give those too, or take method=mean."
            )
        return _scored(tables[0], scores.mean(axis=1)), _scales(scores)
    if len(dev) != len(tables):
        raise ValueError(
            f"There are {len(tables)} systems and {len(dev)} tables of dev: give one for each system."
        )
    if method == "mean":
        calibrations = [calibrate(table, f"system {number}") for number, table in enumerate(dev, start=1)]
        parts = [
            part.slope * column + part.intercept for part, column in zip(calibrations, scores.T, strict=True)
        ]
        return _scored(tables[0], np.mean(parts, axis=0)), [
            note for part in calibrations for note in part.findings
        ]
    weights, intercept, findings = _learn(dev, [f"system {number}" for number in range(1, len(dev) + 1)])
    negative = [number + 1 for number, weight in enumerate(weights) if weight < 0]
    if negative:
        text = (
            f"Logistic fusion gives system {', '.join(map(str, negative))} a negative weight (weights "
            f"{', '.join(f'{weight:.3g}' for weight in weights)}): it corrects the others where they err alike, and "
            "may not on other trials. Compare with the fusion without it."
        )
        findings = (*findings, finding("negative-weight", "warning", text, count=len(negative)))
    return _scored(tables[0], scores @ np.array(weights) + intercept), list(findings)


def _learn(
    dev: Sequence[ScoreTable], names: Sequence[str]
) -> tuple[tuple[float, ...], float, tuple[Finding, ...]]:
    """Weight of each system, intercept and findings, of a regression that is the same for any order of trials."""
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    for table, name in zip(dev, names, strict=True):
        area = auc(table.bonafide, table.spoof)
        if backwards(table.bonafide, table.spoof):
            raise ValueError(
                f"The AUC of {name} on dev is {area:.3f}, well below 0.5: it ranks dev the wrong way round, and a "
                "weight below 0 would hide it. Check what its scores and labels mean before you use it."
            )
        if np.ptp(table.table["score"]) == 0:
            raise ValueError(
                f"All {len(table)} dev scores of {name} are alike, and nothing can be learnt from them: look at its "
                "training, or leave it out."
            )
    scores, label = _side_by_side(dev), dev[0].table["label"].to_numpy()
    order = np.lexsort((*scores.T, label))  # sums depend on the order in their last digits
    scores, bonafide = scores[order], label[order] == 1
    center, scale = scores.mean(axis=0), scores.std(axis=0)
    num = np.where(bonafide, bonafide.sum(), (~bonafide).sum())
    # Platt's target: each trial stands twice, with this share in its own class and the rest in the other.
    right = (num.min() + 1) / (num.min() + 2)
    model: Any = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    model.fit(
        np.concatenate([(scores - center) / scale] * 2),
        np.concatenate([bonafide, ~bonafide]),
        sample_weight=np.concatenate([right / num, (1 - right) / num]) * len(num) / 2,
    )
    weights = model.coef_[0] / scale
    intercept = float(model.intercept_[0] - weights @ center)
    fused = scores @ weights + intercept
    findings = []
    if fused[bonafide].min() > fused[~bonafide].max():
        text = (
            f"The {len(fused)} dev trials are separated without an error by {' + '.join(names)}. How sure a score may "
            f"be cannot be learnt from them: the ratios are kept to about {np.log(num.min() + 1):.1f} nats on dev, "
            "which so many trials can support. Calibrate on a larger or harder dev set."
        )
        findings.append(finding("separated", "warning", text, count=len(fused)))
    return tuple(float(weight) for weight in weights), intercept, tuple(findings)


def _side_by_side(tables: Sequence[ScoreTable]) -> FloatArray:
    """Scores of several systems, `(trials, systems)`, in the order of the first table.

    Raises:
        ValueError: if the tables do not have the same trials with the same labels.
    """
    first = tables[0].table
    columns = [first["score"].to_numpy()]
    for number, table in enumerate(tables[1:], start=2):
        other = table.table
        rows = pd.Index(other["id"]).get_indexer(pd.Index(first["id"]))
        if len(other) != len(first) or (rows < 0).any():
            lost = [*first["id"][rows < 0], *other["id"].drop(index=rows[rows >= 0])]
            raise ValueError(
                f"Systems 1 and {number} have other trials: {len(first)} and {len(other)}, and {some(lost)} stand in "
                "one of them only. Score the same trials with each."
            )
        other = other.iloc[rows]
        contrary = first["id"][other["label"].to_numpy() != first["label"].to_numpy()]
        if len(contrary):
            raise ValueError(
                f"Systems 1 and {number} have other labels for {some(contrary)}: judge both by the same key."
            )
        columns.append(other["score"].to_numpy())
    return np.column_stack(columns)


def _scales(scores: FloatArray) -> list[Finding]:
    deviations = scores.std(axis=0)
    if deviations.max() <= HUGE * deviations.min():
        return []
    text = (
        f"The scores of the systems have standard deviations of {', '.join(f'{value:.3g}' for value in deviations)}: "
        "in a plain mean the widest decides nearly alone. Give dev scores, so that each is calibrated first."
    )
    return [finding("different-scales", "warning", text, count=scores.shape[1])]


def _scored(table: ScoreTable, scores: FloatArray) -> ScoreTable:
    return ScoreTable(table.table.assign(score=scores))
