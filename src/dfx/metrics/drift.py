"""Drift test: does a period of new observations differ from a reference, in any of several measures?

*Statistic.* For each measure the largest difference of the two distribution functions, on a grid of quantiles of both
samples together (Kolmogorov-Smirnov); for a yes-or-no measure that is the difference of the shares, for a measure of
several dimensions (an embedding) the root of the mean square over its dimensions.

*Limits.* The labels "reference" and "period" are shuffled, for all measures together. The limit of each measure is
passed by the same share of the shuffles, chosen such that any limit is passed by `false_alarm` of them: the rate of
false alarms over all measures together. Beyond the furthest shuffle, where shares say nothing, the distance in standard
deviations of the shuffles decides. Both samples are shuffled, so the finite size of the reference is accounted for, and
where observations are independent the rate is exact for any sizes and ties. Each measure is shuffled among the
observations that have it, so that unknown values stay where they are.

*Dependence.* Clips of one speaker, or of one day, resemble each other, and shuffles do not show that. The correlation
within groups of the reference gives the number of independent observations that it is worth (Kish's design effect), and
the limits are raised accordingly. Where the period is one more group of that kind (a day after other days), a few
groups show badly how far the next one may be: the limits are then raised as Student's t does for a mean.

Source: Smirnov, 1939 (distance); Westfall and Young, Resampling-Based Multiple Testing, 1993, section 2.6 (shuffles of
several measures, single-step minP); Beran, JASA 1988 (limits that are passed equally often); Kish, Survey Sampling,
1965, section 5.4 (design effect); Donner, Int. Stat. Rev. 1986 (correlation within groups).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dfx.metrics.eer import FloatArray, IntArray

GRID = 20  # points at which distribution functions are compared
SHUFFLES = 999  # at least
ALARMS = 10  # of the shuffles are beyond a limit, at least
LEAST_RATE = 0.001  # of false alarms: rarer ones would take too many shuffles
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


def check_rate(false_alarm: float) -> None:
    """Check that a rate of false alarms is one that shuffles can tell.

    Raises:
        ValueError: if it is not.
    """
    if not LEAST_RATE <= false_alarm < 1:
        raise ValueError(
            f"false_alarm={false_alarm}: it is a rate from {LEAST_RATE} to below 1. Rarer alarms cannot be told from "
            "chance: take 0.05, or 0.005 for one in 200 periods."
        )


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

    Raises:
        ValueError: if so rare a false alarm cannot be told by shuffling.
    """
    check_rate(false_alarm)
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

    factor, independent = _dependence(values[:first], values[first:], reference.groups, period.groups)
    factor *= _few_groups(reference.groups, period.groups, false_alarm)
    distances = _distances(values, first, _orders(len(values), false_alarm, seed))
    found = of_measures(distances[:1])[0]
    drawn = np.concatenate([of_measures(distances[:1] / factor), of_measures(distances[1:])])
    limits = _limits(drawn, false_alarm)
    raised = np.divide(found, drawn[0], out=np.ones(len(found)), where=drawn[0] > 0)
    p_values = (drawn >= drawn[0]).mean(axis=0)
    worth = [float(one.mean()) for one in np.split(independent, starts[1:])]
    return {
        name: MeasureDrift(*map(float, one))
        for name, *one in zip(names, found, limits * raised, p_values, worth, strict=True)
    }


def _is_known(name: str, *samples: DriftSample) -> bool:
    known = [np.isfinite(_matrix(sample.measures[name])).all(axis=1).sum() for sample in samples]
    return bool(min(known) >= LEAST_VALUES)


def _matrix(values: FloatArray) -> FloatArray:
    return values[:, None] if values.ndim == 1 else values


def _orders(count: int, false_alarm: float, seed: int) -> NDArray[np.int32]:
    """Return the place of each observation, (shuffles + 1, observations): as it is, then shuffled."""
    rows = max(SHUFFLES, round(ALARMS / false_alarm) - 1) + 1
    orders = np.tile(np.arange(count, dtype=np.int32), (rows, 1))
    orders[1:] = np.random.default_rng(seed).permuted(orders[1:], axis=1)
    return orders


def _distances(values: FloatArray, first: int, orders: NDArray[np.int32]) -> FloatArray:
    """Return the distance of the distributions in each column, (shuffles + 1, columns).

    Args:
        values: (observations, columns), the first ones of the reference.
        first: observations of the reference.
        orders: places of the observations; the known ones with the last places are the period.
    """
    distances = np.zeros((len(orders), values.shape[1]))
    masks, mask_of = np.unique(np.isfinite(values), axis=1, return_inverse=True)
    for number, known in enumerate(masks.T):
        columns = np.flatnonzero(mask_of == number)
        own, places = values[np.ix_(known, columns)], orders[:, known]
        last = int(known[:first].sum()) - 1  # place among the known, of the last one of the reference
        in_period = (places > np.partition(places, last, axis=1)[:, last : last + 1]).astype(np.float32)
        grid = np.quantile(own, (np.arange(GRID) + 0.5) / GRID, axis=0, method="inverted_cdf")
        below = (own[:, None, :] <= grid).astype(np.float32).reshape(len(own), -1)
        sums, period = in_period @ below, len(own) - last - 1
        apart = sums / period - (below.sum(axis=0) - sums) / (last + 1)
        distances[:, columns] = np.abs(apart).reshape(len(orders), GRID, -1).max(axis=1)
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
    spread = drawn.std(axis=0)
    far = np.divide(drawn - drawn.mean(axis=0), spread, out=np.zeros_like(drawn), where=spread > 0).clip(min=0)
    rarity = far / (1 + far) - at_least  # deviations decide between rows that are equally rare
    limit = np.sort(rarity.max(axis=1))[len(drawn) - 1 - int(false_alarm * len(drawn))]
    limits: FloatArray = np.where(rarity <= limit, drawn, 0).max(axis=0)
    return limits


def _dependence(
    reference: FloatArray, period: FloatArray, groups: IntArray | None, of_period: IntArray | None
) -> tuple[FloatArray, FloatArray]:
    """Return by how much groups raise the distance in each column, (columns,), and what the reference is worth.

    The worth is a number of independent observations, by the correlation of the ranks within groups of the reference.
    """
    factor, independent = np.ones(reference.shape[1]), np.ones(reference.shape[1])
    for column, (own, new) in enumerate(zip(reference.T, period.T, strict=True)):
        known, later = np.isfinite(own), np.isfinite(new)
        first, second = int(known.sum()), int(later.sum())
        correlation = 0.0 if groups is None else _correlation_within(own[known], groups[known])
        effect = 1.0 if groups is None else _design_effect(correlation, groups[known])
        effect_of_period = 1.0 if of_period is None else _design_effect(correlation, of_period[later])
        factor[column] = np.sqrt((effect / first + effect_of_period / second) / (1 / first + 1 / second))
        independent[column] = first / effect
    return factor, independent


def _few_groups(groups: IntArray | None, of_period: IntArray | None, false_alarm: float) -> float:
    """Return the limit of Student's t divided by the normal one, where the period is one more group."""
    if groups is None or of_period is None:
        return 1.0
    freedom = max(1, len(np.unique(groups)) - 1)
    return float(stats.t.isf(false_alarm / 2, freedom) / stats.norm.isf(false_alarm / 2))


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


def _design_effect(correlation: float, groups: IntArray) -> float:
    """Return by how much groups inflate the variance of a mean: Kish's design effect."""
    mean_size = float(np.sum(np.unique(groups, return_counts=True)[1] ** 2)) / len(groups)
    return 1 + (mean_size - 1) * correlation
