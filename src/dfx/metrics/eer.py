"""EER (equal error rate) and DET curve (both error rates at every threshold)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def check_scores(bonafide: ArrayLike, spoof: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Check the scores of both classes and return them as float64 arrays `(trials,)`.

    Raises:
        ValueError: if a class is empty, or a score is not a finite number.
    """
    return check_class(bonafide, "bona fide"), check_class(spoof)


def check_class(scores: ArrayLike, name: str = "spoof") -> FloatArray:
    """Check the scores of one class and return them as a float64 array (trials,); `name` is for messages."""
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"The {name} scores must be a list of numbers, got an array of shape {array.shape}.")
    if array.size == 0:
        raise ValueError(f"There are no {name} scores, got 0: a metric needs trials of both classes.")
    if not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array))
        raise ValueError(
            f"{bad.size} of {array.size} {name} scores are not finite numbers, got {array[bad[0]]} at "
            f"position {bad[0]}: find out why the detector gave them; to skip them would flatter it."
        )
    return array


def det_curve(
    bonafide: ArrayLike, spoof: ArrayLike, merge_ties: bool = False
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Compute the false-acceptance rate, false-rejection rate and threshold of each operating point, `(points,)`.

    There is one point more than trials. Point `i` rejects the `i` lowest scores, so a trial is accepted as
    bona fide when its score is *above* the threshold. Point 0 rejects nothing; its threshold lies 0.001 below
    the lowest score. As in the organisers' code tied scores are not merged: each is a point of its own, and
    within a tie bona fide is rejected first. With `merge_ties`, only the last point of each tie is left, so
    that the thresholds are unique.

    Source: ASVspoof 2019, 2021 and 5 evaluation packages, `compute_det_curve`.

    >>> far, frr, thresholds = det_curve([2.0, 3.0], [1.0])
    >>> far.tolist(), frr.tolist(), thresholds.tolist()
    ([1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.5, 1.0], [0.999, 1.0, 2.0, 3.0])
    """
    bonafide, spoof = check_scores(bonafide, spoof)
    scores = np.concatenate([bonafide, spoof])
    order = np.argsort(scores, kind="stable")
    rejected_bonafide = np.cumsum(order < bonafide.size)
    rejected_spoof = np.arange(1, scores.size + 1) - rejected_bonafide
    far = np.concatenate([[1.0], (spoof.size - rejected_spoof) / spoof.size])
    frr = np.concatenate([[0.0], rejected_bonafide / bonafide.size])
    thresholds = np.concatenate([[scores[order[0]] - 0.001], scores[order]])
    if merge_ties:
        last = np.concatenate([[True], thresholds[1:-1] < thresholds[2:], [True]])
        return far[last], frr[last], thresholds[last]
    return far, frr, thresholds


def eer(bonafide: ArrayLike, spoof: ArrayLike) -> tuple[float, float]:
    """Compute the equal error rate and its threshold, with the definition of the ASVspoof organisers.

    It is the mean of both error rates at the first point where they are closest, without interpolation. Since
    ties are not merged, a detector that gives every trial the same score has an EER of 1, not 0.5.

    Source: ASVspoof 2019, 2021 and 5 evaluation packages, `compute_eer`.

    >>> eer([0.9, 0.8, 0.4, 0.3], [0.7, 0.2, 0.1, 0.35])
    (0.25, 0.35)
    """
    far, frr, thresholds = det_curve(bonafide, spoof)
    rate, point = closest_eer_rates(far, frr)
    return float(rate), float(thresholds[point])


def decision_threshold(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute the EER threshold for decisions on new trials: midway between the two scores next to it.

    All thresholds between these scores decide the given trials alike, and that of the organisers is the lowest. Where a
    detector separates dev, this is the highest spoof score, far from the bona fide scores.

    >>> decision_threshold([8.0, 9.0], [0.0, 1.0])
    4.5
    """
    far, frr, thresholds = det_curve(bonafide, spoof)
    point = int(closest_eer_rates(far, frr)[1])
    low, high = thresholds[point], thresholds[min(point + 1, len(thresholds) - 1)]
    middle = low + (high - low) / 2
    return float(middle if middle < high else low)


def interpolated_eer(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute the equal error rate by linear interpolation between thresholds.

    Most other toolkits report this one. On real scores it differs from `eer` in the fourth to sixth digit, on
    tied scores by much: a constant score has 0.5.

    >>> interpolated_eer([1.0, 1.0], [1.0])
    0.5
    """
    far, frr, _ = det_curve(bonafide, spoof, merge_ties=True)
    return float(crossing_eer(far, frr))


def closest_eer_rates(far: FloatArray, frr: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """Find the first point where FAR and FRR, `(..., points)`, are closest; return their mean and its index."""
    point = np.argmin(np.abs(frr - far), axis=-1)
    return _take((frr + far) / 2, point), point


def crossing_eer(far: FloatArray, frr: FloatArray) -> FloatArray:
    """Compute the equal error rate by linear interpolation of FAR and FRR, `(..., points)`."""
    gap = far - frr
    after = np.argmax(gap <= 0, axis=-1)  # the gap goes from 1 to -1, so this is never the first point
    gap_before, gap_after, far_before = _take(gap, after - 1), _take(gap, after), _take(far, after - 1)
    return far_before + gap_before / (gap_before - gap_after) * (_take(far, after) - far_before)


def _take(values: FloatArray, point: NDArray[np.intp]) -> FloatArray:
    taken: FloatArray = np.take_along_axis(values, np.expand_dims(point, -1), axis=-1)[..., 0]
    return taken
