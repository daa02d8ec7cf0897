"""Cllr (cost of log-likelihood ratios) and minCllr (Cllr after the best calibration)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from dfx.metrics.eer import FloatArray, check_scores


def cllr(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute Cllr in bits: 0 is perfect, 1 is a detector without information.

    Above 1 the scores mislead.

    Source: Brümmer and du Preez, Computer Speech & Language 2006. Written with softplus (`logaddexp`), since
    `log(1 + exp(-score))` overflows for scores of a confident detector.

    >>> cllr([0.0], [0.0])
    1.0
    """
    bonafide, spoof = check_scores(bonafide, spoof)
    nats = np.mean(np.logaddexp(0.0, -bonafide)) + np.mean(np.logaddexp(0.0, spoof))
    return float(nats / (2 * math.log(2)))


def min_cllr(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute minCllr in bits: Cllr after the best monotone calibration of these scores.

    The difference to Cllr is the loss by bad calibration. Pool-adjacent-violators with equal scores as one, without
    Laplace's extra trials and without a slope added to the steps (BOSARIS, and the code of A. Nautsch that is widely
    copied, add one of 1e-6). It depends on the order of the scores only, so they need not be log-likelihood ratios: 0
    where a threshold separates the classes, at most 1.

    Source: Brümmer and du Preez, Computer Speech & Language 2006, section 7.

    >>> min_cllr([2.0, 3.0], [0.0, 1.0]), min_cllr([1.0, 1.0], [1.0])
    (0.0, 1.0)
    """
    bonafide, spoof = check_scores(bonafide, spoof)
    scores, place = np.unique(np.concatenate([bonafide, spoof]), return_inverse=True)
    count = np.bincount(place[: bonafide.size], minlength=scores.size).astype(np.float64)
    return min_cllr_of_counts(count, np.bincount(place) - count)


def min_cllr_of_counts(bonafide: FloatArray, spoof: FloatArray) -> float:
    """Compute minCllr from the number of trials of each class at each score, (scores,), the lowest first."""
    from scipy.optimize import isotonic_regression

    there = bonafide + spoof > 0
    bonafide, spoof = bonafide[there], spoof[there]
    pooled = isotonic_regression(bonafide / (bonafide + spoof), weights=bonafide + spoof)
    first = pooled.blocks[:-1]
    bonafide, spoof = np.add.reduceat(bonafide, first), np.add.reduceat(spoof, first)
    # The log-likelihood ratio of a pool is log(bonafide / spoof) - log(odds); one class alone costs nothing.
    odds = bonafide.sum() / spoof.sum()
    mixed = (bonafide > 0) & (spoof > 0)
    ratio = bonafide[mixed] / spoof[mixed] / odds
    misses = bonafide[mixed] @ np.log1p(1 / ratio) / bonafide.sum()
    return float((misses + spoof[mixed] @ np.log1p(ratio) / spoof.sum()) / (2 * math.log(2)))
