"""S3 score, for detectors with two outputs: a real voice is present, a fake voice is present."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dfx.metrics.auc import auc
from dfx.metrics.calibration import calibration_error

BINS = 10  # as the organisers use


def s3_score(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Compute the S3 score: mean of `0.5 (1 - AUC) + 0.25 Brier + 0.25 ECE` over the outputs.

    0 is perfect; lower is better.

    Args:
        labels: `(trials, outputs)`, 1 where the voice of that output is present, else 0.
        probabilities: `(trials, outputs)` of its presence, in [0, 1].

    Raises:
        ValueError: if the shapes differ, a value is out of range, or an output has one class only.

    Source: DACON's challenge on fake voices of 2024 (`auc_brier_ece`): ten bins of equal width, AUC with ties as half.

    >>> s3_score([[1, 0], [0, 1]], [[1.0, 0.0], [0.0, 1.0]])
    0.0
    """
    label, probability = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    if label.ndim != 2 or label.shape != probability.shape or label.size == 0:
        raise ValueError(
            f"The score of voices takes labels and probabilities of one shape (trials, outputs), got {label.shape} and "
            f"{probability.shape}: give each clip a row and each voice a column."
        )
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError(
            f"A probability lies in [0, 1], got values from {probability.min():g} to {probability.max():g}: pass "
            "scores through a sigmoid, and find out where a NaN comes from."
        )
    if not np.isin(label, (0, 1)).all():
        raise ValueError(f"A label is 0 or 1, got {np.unique(label)[:5].tolist()}: 1 says that the voice is present.")
    return float(np.mean([_of_output(label[:, i], probability[:, i]) for i in range(label.shape[1])]))


def _of_output(label: np.ndarray, probability: np.ndarray) -> float:
    present, absent = probability[label == 1], probability[label == 0]
    if not present.size or not absent.size:
        raise ValueError(
            f"An output of the score of voices needs clips with and without the voice, got {present.size} and "
            f"{absent.size}: its AUC is not defined."
        )
    brier = np.mean((probability - label) ** 2)
    return 0.5 * (1 - auc(present, absent)) + 0.25 * float(brier) + 0.25 * calibration_error(probability, label, BINS)
