"""Calibration errors (ECE, Brier score), and calibration of scores to log-likelihood ratios.

Calibration and fusion are logistic regression with the classes weighted equally, so that the log odds it gives are a
log-likelihood ratio. The targets are Platt's, (n + 1) / (n + 2) in place of 1 and 1 / (n + 2) in place of 0, with n
trials in the smaller class: a dev set without any error then gives a finite slope, and ratios that n trials can
support. Platt's n differs by class, which would favour the larger one; here scores without
information have the ratio 0.

Source: Brümmer et al., "Fusion of heterogeneous speaker recognition systems", IEEE TASLP 2007; Platt, "Probabilistic
outputs for support vector machines", 1999, section 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dfx.metrics.auc import auc
from dfx.metrics.eer import FloatArray, check_scores
from dfx.metrics.suspicious_scores import scores_are_backwards
from dfx.tables.findings import Finding, make_finding
from dfx.tables.score_table import ScoreTable, scores_side_by_side

BINS = 15  # Guo et al., ICML 2017
C = 1e6  # inverse strength of scikit-learn's penalty, on scores of unit deviation: practically none


def ece(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute the expected calibration error (ECE) of log-likelihood ratios.

    A score becomes the probability of bona fide at the proportion of bona fide among *these* trials: so calibrated
    log-likelihood ratios have an error near 0 whatever the proportion. In each of the bins of equal width in [0, 1]
    (closed on the right) the mean probability is compared with the share of bona fide; the gaps are weighted with the
    number of trials. It is the probability of one class, not of the predicted one, and it is biased upwards where
    a bin holds few trials.

    Source: Naeini et al., AAAI 2015; Guo et al., ICML 2017, equation 3.

    >>> ece([0.0], [0.0])
    0.0
    """
    probability, label = _posteriors(bonafide, spoof)
    return calibration_error(probability, label, BINS)


def brier(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute the Brier score of log-likelihood ratios: mean squared error of the probability of bona fide.

    The probability is taken at the proportion of bona fide among these trials, as in `ece`. 0 is perfect; a score of 0
    for all trials gives `p (1 - p)` for a share `p` of bona fide, .25 where the classes are of one size.

    Source: Brier, Monthly Weather Review 1950, for two classes and one of them counted.

    >>> brier([0.0], [0.0])
    0.25
    """
    probability, label = _posteriors(bonafide, spoof)
    return float(np.mean((probability - label) ** 2))


def posterior(llr: FloatArray, num_bonafide: float, num_spoof: float) -> FloatArray:
    """Convert log-likelihood ratios to probabilities of bona fide; the prior is the share of bona fide trials."""
    # A sigmoid that cannot overflow.
    return 0.5 + 0.5 * np.tanh(0.5 * (llr + math.log(num_bonafide / num_spoof)))


def calibration_bin(probability: FloatArray, bins: int) -> np.ndarray:
    """Find the bin of each probability, (trials,); the bins have equal width."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], probability)


def calibration_error(probability: FloatArray, label: FloatArray, bins: int) -> float:
    """Compute the expected calibration error of probabilities `(trials,)` with labels 0 or 1."""
    gap = np.bincount(calibration_bin(probability, bins), weights=probability - label, minlength=bins)
    return float(np.abs(gap).sum() / probability.size)


@dataclass(frozen=True)
class Calibration:
    """Linear mapping from scores to log-likelihood ratios: `slope * score + intercept`.

    Attributes:
        slope: above 0.
        intercept: log-likelihood ratio of a score of 0, in nats.
        findings: warnings about the calibration; `separated`: dev has no errors.
    """

    slope: float
    intercept: float
    findings: tuple[Finding, ...] = ()

    def apply(self, table: ScoreTable) -> ScoreTable:
        """Return the table with calibrated scores; EER and AUC are unchanged but for rounding."""
        return table.with_scores(self.slope * table.table["score"].to_numpy() + self.intercept)


def learn_calibration(dev: ScoreTable, name: str = "the system") -> Calibration:
    """Learn the calibration of a system from its dev scores.

    `name` is the name of the system in error messages.

    Raises:
        ValueError: if a class is missing in dev, its scores are constant, or they rank it the wrong way round.
    """
    (slope,), intercept, findings = fit_logistic_calibration([dev], [name])
    if slope <= 0:
        scores = dev.table["score"]
        raise ValueError(
            f"Calibration of {name} found a slope of {slope:.3g} on dev, where the AUC is "
            f"{auc(dev.bonafide, dev.spoof):.3f} and scores go from {scores.min():.4g} to {scores.max():.4g}: they "
            "tell nothing, or a few that lie far from all others decide. Look at these; dfx does not turn scores round."
        )
    return Calibration(slope, intercept, findings)


def fit_logistic_calibration(
    dev: Sequence[ScoreTable], names: Sequence[str]
) -> tuple[tuple[float, ...], float, tuple[Finding, ...]]:
    """Fit a logistic regression to the dev scores of one or several systems.

    Returns the weight of each system, the intercept and findings.

    The result is the same for any order of the trials.

    Raises:
        ValueError: if the trials differ, or the scores of a system are constant or rank dev the wrong way round.
    """
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    for table, name in zip(dev, names, strict=True):
        area = auc(table.bonafide, table.spoof)
        if scores_are_backwards(table.bonafide, table.spoof):
            raise ValueError(
                f"The AUC of {name} on dev is {area:.3f}, well below 0.5: it ranks dev the wrong way round, and a "
                "weight below 0 would hide it. Check what its scores and labels mean before you use it."
            )
        if np.ptp(table.table["score"]) == 0:
            raise ValueError(
                f"All {len(table)} dev scores of {name} are alike, and nothing can be learnt from them: look at its "
                "training, or leave it out."
            )
    scores, label = scores_side_by_side(dev).T, dev[0].table["label"].to_numpy()
    order = np.lexsort((*scores.T, label))  # sums depend on the order in their last digits
    scores, bonafide = scores[order], label[order] == 1
    center, scale = scores.mean(axis=0), scores.std(axis=0)
    num = np.where(bonafide, bonafide.sum(), (~bonafide).sum())
    # Platt's target: each trial is used twice, with this share in its own class and the rest in the other.
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
            f"be cannot be learnt from them: the ratios are limited to about {np.log(num.min() + 1):.1f} nats on dev, "
            "which so many trials can support. Calibrate on a larger or harder dev set."
        )
        findings.append(make_finding("separated", "warning", text, count=len(fused)))
    return tuple(float(weight) for weight in weights), intercept, tuple(findings)


def _posteriors(bonafide: ArrayLike, spoof: ArrayLike) -> tuple[FloatArray, FloatArray]:
    bonafide, spoof = check_scores(bonafide, spoof)
    probability = posterior(np.concatenate([bonafide, spoof]), bonafide.size, spoof.size)
    return probability, np.repeat([1.0, 0.0], [bonafide.size, spoof.size])
