"""Cost of log-likelihood ratios: how much information the scores lose, threshold or not."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from dfx.metrics.det import check_scores


def cllr(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Cost of log-likelihood ratios, in bits: 0 is perfect, 1 says nothing, above 1 misleads.

    Source: Brümmer and du Preez, Computer Speech & Language 2006. Written with softplus (`logaddexp`), since
    `log(1 + exp(-score))` overflows for scores of a confident detector.

    >>> cllr([0.0], [0.0])
    1.0
    """
    bonafide, spoof = check_scores(bonafide, spoof)
    nats = np.mean(np.logaddexp(0.0, -bonafide)) + np.mean(np.logaddexp(0.0, spoof))
    return float(nats / (2 * math.log(2)))
