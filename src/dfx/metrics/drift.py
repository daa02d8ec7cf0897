"""Drift test: does a period of new observations differ from a reference, in any of several measures?

*Statistic.* For each measure the largest difference of the two distribution functions, on a grid of quantiles of both
samples together (Kolmogorov-Smirnov); for a yes-or-no measure that is the difference of the shares, for a measure of
several dimensions (an embedding) the root of the mean square over its dimensions.

*Limits.* The labels "reference" and "period" are shuffled, for all measures together. The limit of each measure is
passed by the same share of the shuffles, chosen such that any limit is passed by `false_alarm` of them: the rate of
false alarms over all measures together. Both samples are shuffled, so the finite size of the reference is accounted
for, and where observations are independent the rate is exact for any sizes and ties.

*Dependence.* Clips of one speaker, or of one day, resemble each other, and shuffles do not show that. The correlation
within groups of the reference gives the number of independent observations that it is worth (Kish's design effect), and
the limits are raised accordingly.

Source: Smirnov, 1939 (distance); Westfall and Young, Resampling-Based Multiple Testing, 1993, section 2.6 (shuffles of
several measures, single-step minP); Beran, JASA 1988 (limits that are passed equally often); Kish, Survey Sampling,
1965, section 5.4 (design effect); Donner, Int. Stat. Rev. 1986 (correlation within groups).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfx.metrics.eer import FloatArray, IntArray

GRID = 20  # points at which distribution functions are compared
SHUFFLES = 999
LEAST_VALUES = 20  # of a measure in each sample; it is left out with fewer


class MeasureDrift(NamedTuple):
    """Difference of one measure between a period and its reference.

    Attributes:
        distance: of the distributions, from 0 (the same) to 1 (apart): at least this share of the values has moved.
        limit: of the distance; beyond it the measure has drifted.
        p_value: of this measure alone.
        independent: observations that the reference is worth in this measure.
    """

    distance: float
    limit: float
    p_value: float
    independent: float

    @property
    def drifted(self) -> bool:
        """Whether the distance is beyond the limit."""
        return self.distance > self.limit

    @property
    def excess(self) -> float:
        """Distance in units of its limit: above 1 the measure has drifted."""
        return self.distance / self.limit if self.limit > 0 else float(self.distance > 0) * 2


class DriftSample(NamedTuple):
    """Observations of several measures.

    Attributes:
        measures: name -> (observations,) or (observations, dimensions); NaN where not known.
        groups: (observations,) number of the group of alike observations; None if each is independent.
    """

    measures: Mapping[str, FloatArray]
    groups: IntArray | None = None


def measure_drift(
    reference: DriftSample, period: DriftSample, false_alarm: float = 0.05, seed: int = 0
) -> dict[str, MeasureDrift]:
    """Compare a period with a reference, measure by measure.

    Measures that one of them does not have, or hardly ever, are left out.

    Args:
        reference: its groups show how alike observations are.
        period: its groups say which observations are one group of that kind; their likeness is not measured, or a
            change within the period would hide itself.
        false_alarm: rate at which a period without any change has a measure beyond its limit.
        seed: of the shuffles.
    """
    names = [name for name in reference.measures if name in period.measures and _is_known(name, reference, period)]
    if not names:
        return {}
    parts = [np.concatenate([_matrix(sample.measures[name]) for sample in (reference, period)]) for name in names]
    values = np.concatenate(parts, axis=1)
    first = len(_matrix(reference.measures[names[0]]))
    starts = np.cumsum([0, *(part.shape[1] for part in parts[:-1])])

    def of_measures(distances: FloatArray) -> FloatArray:
        sizes = np.diff([*starts, values.shape[1]])
        means: FloatArray = np.sqrt(np.add.reduceat(np.square(distances), starts, axis=1) / sizes)
        return means

    second = len(values) - first
    correlation = _correlations(values[:first], reference.groups)
    effect = _design_effect(correlation, reference.groups, first)
    of_period = _design_effect(correlation, period.groups, second)
    factor = np.sqrt((effect / first + of_period / second) / (1 / first + 1 / second))
    distances = _distances(values, _shuffles(first, second, seed))
    found = of_measures(distances[:1])[0]
    drawn = np.concatenate([of_measures(distances[:1] / factor), of_measures(distances[1:])])
    limits = _limits(drawn, false_alarm)
    raised = np.divide(found, drawn[0], out=np.ones(len(found)), where=drawn[0] > 0)
    p_values = (drawn >= drawn[0]).mean(axis=0)
    worth = [first / float(one.mean()) for one in np.split(effect, starts[1:])]
    return {
        name: MeasureDrift(*map(float, one))
        for name, *one in zip(names, found, limits * raised, p_values, worth, strict=True)
    }


def _is_known(name: str, *samples: DriftSample) -> bool:
    known = [np.isfinite(_matrix(sample.measures[name])).all(axis=1).sum() for sample in samples]
    return bool(min(known) >= LEAST_VALUES)


def _matrix(values: FloatArray) -> FloatArray:
    return values[:, None] if values.ndim == 1 else values


def _shuffles(first: int, second: int, seed: int) -> NDArray[np.float32]:
    """Return which observations are of the period, (shuffles + 1, observations): as it is, then shuffled."""
    labels = np.zeros((SHUFFLES + 1, first + second), np.float32)
    labels[:, first:] = 1
    labels[1:] = np.random.default_rng(seed).permuted(labels[1:], axis=1)
    return labels


def _distances(values: FloatArray, in_period: NDArray[np.float32]) -> FloatArray:
    """Return the distance of the distributions in each column, (shuffles + 1, columns)."""
    grid = np.nanquantile(values, (np.arange(GRID) + 0.5) / GRID, axis=0, method="inverted_cdf")
    below = (values[:, None, :] <= grid).astype(np.float32).reshape(len(values), -1)
    known = np.isfinite(values).astype(np.float32)
    sums, counts = in_period @ below, in_period @ known
    size = len(in_period), GRID, values.shape[1]
    period = sums.reshape(size) / counts[:, None]
    rest = (below.sum(axis=0) - sums).reshape(size) / (known.sum(axis=0) - counts)[:, None]
    distances: FloatArray = np.abs(period - rest).max(axis=1).astype(np.float64)
    return distances


def _limits(drawn: FloatArray, false_alarm: float) -> FloatArray:
    """Return the limit of each measure, (measures,), of which any is passed by at most that share of the rows.

    Args:
        drawn: distances (rows, measures), of the period itself and of its shuffles.
        false_alarm: the share.
    """
    ordered = np.sort(drawn, axis=0)
    at_least = np.stack(  # rows that are at least as far as each row, in one measure
        [len(drawn) - np.searchsorted(column, row) for column, row in zip(ordered.T, drawn.T, strict=True)], axis=1
    )
    rarest = np.sort(at_least.min(axis=1))
    allowed = int(false_alarm * len(drawn))
    passing = rarest[:allowed][rarest[:allowed] < rarest[allowed]]
    count = int(passing[-1]) if len(passing) else 0
    limits: FloatArray = ordered[len(drawn) - 1 - count]
    return limits


def _correlations(values: FloatArray, groups: IntArray | None) -> FloatArray:
    """Return the correlation of the ranks within groups in each column of `values`, (columns,), at least 0."""
    correlations = np.zeros(values.shape[1])
    for column, own in enumerate(values.T):
        known = np.isfinite(own)
        if groups is not None and known.any():
            correlations[column] = _correlation_within(own[known], groups[known])
    return correlations


def _correlation_within(values: FloatArray, groups: IntArray) -> float:
    number = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(number)
    if len(sizes) < 2 or len(sizes) == len(values):
        return 0.0
    ranks = np.searchsorted(np.sort(values), values, "left") + np.searchsorted(np.sort(values), values, "right")
    means = np.bincount(number, ranks) / sizes
    between = float(np.sum(sizes * np.square(means - ranks.mean()))) / (len(sizes) - 1)
    within = float(np.sum(np.square(ranks - means[number]))) / (len(values) - len(sizes))
    size = (len(values) - np.sum(sizes**2) / len(values)) / (len(sizes) - 1)
    spread = between + (size - 1) * within
    return max(0.0, (between - within) / spread) if spread > 0 else 0.0


def _design_effect(correlation: FloatArray, groups: IntArray | None, count: int) -> FloatArray:
    """Return by how much groups inflate the variance of a mean: Kish's design effect, (columns,)."""
    if groups is None:
        return np.ones(len(correlation))
    mean_size = float(np.sum(np.unique(groups, return_counts=True)[1] ** 2)) / count
    effect: FloatArray = 1 + (mean_size - 1) * correlation
    return effect
