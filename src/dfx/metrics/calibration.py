"""Calibration: whether the probabilities that scores stand for come true."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from dfx.metrics.det import FloatArray, check_scores

BINS = 15  # Guo et al., ICML 2017


def ece(bonafide: ArrayLike, spoof: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error of log-likelihood ratios: mean gap between probability and frequency, over bins.

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
    return calibration_error(probability, label, bins)


def brier(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Brier score of log-likelihood ratios: mean squared distance of the probability of bona fide from 1 or 0.

    The probability is taken at the proportion of bona fide among these trials, as in `ece`. 0 is perfect; whoever
    says nothing (score 0) has `p (1 - p)` for a share `p` of bona fide, .25 where the classes are as large.

    Source: Brier, Monthly Weather Review 1950, for two classes and one of them counted.

    >>> brier([0.0], [0.0])
    0.25
    """
    probability, label = _posteriors(bonafide, spoof)
    return float(np.mean((probability - label) ** 2))


def posterior(llr: FloatArray, num_bonafide: float, num_spoof: float) -> FloatArray:
    """Probability of bona fide of log-likelihood ratios, `(trials,)`, among so many trials of each class."""
    return 0.5 + 0.5 * np.tanh(
        0.5 * (llr + math.log(num_bonafide / num_spoof))
    )  # a sigmoid that cannot overflow


def bin_of(probability: FloatArray, bins: int) -> np.ndarray:
    """Number of the bin of equal width that holds each probability, `(trials,)`; an edge belongs to the lower bin."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], probability)


def calibration_error(probability: FloatArray, label: FloatArray, bins: int) -> float:
    """Expected calibration error of probabilities `(trials,)` of what the labels (0 or 1) say."""
    if bins < 1:
        raise ValueError(f"A calibration error needs bins, got {bins}: {BINS} are usual.")
    gap = np.bincount(bin_of(probability, bins), weights=probability - label, minlength=bins)
    return float(np.abs(gap).sum() / probability.size)


def _posteriors(bonafide: ArrayLike, spoof: ArrayLike) -> tuple[FloatArray, FloatArray]:
    bonafide, spoof = check_scores(bonafide, spoof)
    probability = posterior(np.concatenate([bonafide, spoof]), bonafide.size, spoof.size)
    return probability, np.repeat([1.0, 0.0], [bonafide.size, spoof.size])
