"""Detection cost function (DCF) of ASVspoof 5: minDCF and actDCF."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dfx.metrics.eer import FloatArray, check_scores, det_curve

# ASVspoof 5 evaluation plan, track 1.
P_SPOOF = 0.05
C_MISS = 1.0
C_FA = 10.0


def min_dcf(
    bonafide: ArrayLike,
    spoof: ArrayLike,
    p_spoof: float = P_SPOOF,
    c_miss: float = C_MISS,
    c_fa: float = C_FA,
) -> float:
    """Compute minDCF: normalised detection cost at the best threshold for these scores.

    A detector that ignores its input has 1.

    Args:
        bonafide: scores of the bona fide trials.
        spoof: scores of the spoof trials.
        p_spoof: prior probability of spoof, in (0, 1).
        c_miss: cost of rejecting bona fide.
        c_fa: cost of accepting spoof.

    Source: ASVspoof 5 evaluation package, `compute_mindcf`.

    >>> min_dcf([2.0, 3.0], [0.0, 1.0]), min_dcf([0.0, 1.0], [2.0, 3.0])
    (0.0, 1.0)
    """
    miss, fa = dcf_weights(p_spoof, c_miss, c_fa)
    far, frr, _ = det_curve(bonafide, spoof)
    return float(normalised_dcf(far, frr, miss, fa).min())


def act_dcf(
    bonafide: ArrayLike,
    spoof: ArrayLike,
    p_spoof: float = P_SPOOF,
    c_miss: float = C_MISS,
    c_fa: float = C_FA,
) -> float:
    """Compute actDCF: normalised detection cost of log-likelihood ratios at the Bayes threshold.

    It equals `min_dcf` for calibrated scores and is larger otherwise. Arguments as in `min_dcf`.

    Source: ASVspoof 5 evaluation package, `compute_actDCF`. Unlike at the threshold of the EER, a score *at*
    the Bayes threshold is accepted there.
    """
    bonafide, spoof = check_scores(bonafide, spoof)
    miss, fa = dcf_weights(p_spoof, c_miss, c_fa)
    threshold = bayes_threshold(p_spoof, c_miss, c_fa)
    far, frr = np.mean(spoof >= threshold), np.mean(bonafide < threshold)
    return float(normalised_dcf(far, frr, miss, fa))


def bayes_threshold(p_spoof: float = P_SPOOF, c_miss: float = C_MISS, c_fa: float = C_FA) -> float:
    """Compute the Bayes threshold: at higher log-likelihood ratios, accepting costs less than rejecting.

    >>> round(bayes_threshold(), 6)
    -0.641854
    """
    miss, fa = dcf_weights(p_spoof, c_miss, c_fa)
    return math.log(fa / miss)


def dcf_weights(p_spoof: float = P_SPOOF, c_miss: float = C_MISS, c_fa: float = C_FA) -> tuple[float, float]:
    """Compute the weights of the miss rate and the false-acceptance rate in the detection cost."""
    if not (0 < p_spoof < 1 and c_miss > 0 and c_fa > 0):
        raise ValueError(
            f"A detection cost needs a prior between 0 and 1 and positive costs, got p_spoof={p_spoof}, "
            f"c_miss={c_miss}, c_fa={c_fa}; ASVspoof 5 uses {P_SPOOF}, {C_MISS}, {C_FA}."
        )
    return c_miss * (1 - p_spoof), c_fa * p_spoof


def normalised_dcf(far: Any, frr: Any, miss: float, fa: float, constant: float = 0.0) -> FloatArray:
    """Compute the detection cost, divided by the cost of the better constant decision (accept or reject all)."""
    cost: FloatArray = (constant + miss * frr + fa * far) / (constant + min(miss, fa))
    return cost
