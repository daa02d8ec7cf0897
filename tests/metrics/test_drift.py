"""The drift test: the distance of Kolmogorov and Smirnov, alarms as rare as stated, alike observations count less."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from dfx.metrics.drift import GRID, DriftSample, measure_drift


def normal(generator, count, **shift):
    return {name: generator.normal(shift.get(name, 0.0), size=count) for name in ("a", "b", "c", "d")}


def test_the_distance_is_that_of_kolmogorov_and_smirnov():
    generator = np.random.default_rng(0)
    for shift in (0.0, 0.5, 3.0):
        first, second = generator.normal(size=300), generator.normal(shift, size=500)
        (found,) = measure_drift(DriftSample({"a": first}), DriftSample({"a": second})).values()
        assert found.distance == pytest.approx(ks_2samp(first, second).statistic, abs=1.5 / GRID)
        assert (found.p_value < 0.01) == (shift > 0)


def test_what_has_moved_is_found_and_nothing_else():
    generator = np.random.default_rng(1)
    found = measure_drift(DriftSample(normal(generator, 200)), DriftSample(normal(generator, 200, b=1.0)))
    assert [name for name, one in found.items() if one.drifted] == ["b"]
    assert found["b"].excess > 1 > found["a"].excess


def test_alarms_without_a_change_are_as_rare_as_stated():
    alarms = 0
    for trial in range(100):
        generator = np.random.default_rng(trial)
        one, other = normal(generator, 70), normal(generator, 50)
        for sample, count in ((one, 70), (other, 50)):  # a rare event, a constant, and an embedding
            sample["rare"] = (generator.random(count) < 0.02).astype(float)
            sample["constant"] = np.ones(count)
            sample["embedding"] = generator.normal(size=(count, 5))
        alarms += any(
            found.drifted for found in measure_drift(DriftSample(one), DriftSample(other), seed=trial).values()
        )
    assert alarms <= 14  # 5 in the mean; more than 14 in one of 10,000 times


def test_a_moved_embedding_is_found_though_no_direction_is_known():
    generator = np.random.default_rng(2)
    one, other = generator.normal(size=(200, 8)), generator.normal(size=(200, 8))
    other[:, 3] += 1.5
    assert measure_drift(DriftSample({"e": one}), DriftSample({"e": other}))["e"].drifted


def test_alike_observations_raise_the_limit():
    generator = np.random.default_rng(3)
    groups = np.repeat(np.arange(20), 10)
    alike = np.repeat(generator.normal(size=20), 10) + 0.3 * generator.normal(size=200)
    period = DriftSample({"a": generator.normal(size=200)})
    plain = measure_drift(DriftSample({"a": alike}), period)["a"]
    grouped = measure_drift(DriftSample({"a": alike}, groups), period)["a"]
    assert grouped.distance == plain.distance
    assert grouped.limit > 1.5 * plain.limit
    assert grouped.independent == pytest.approx(20, rel=0.3)
    alone = measure_drift(DriftSample({"a": alike}, np.arange(200)), period)["a"]
    assert alone == plain


def test_unknown_values_are_left_out():
    generator = np.random.default_rng(4)
    one, other = normal(generator, 100), normal(generator, 100, c=2.0)
    other["a"][:90] = np.nan  # ten are too few
    other["b"][:50] = np.nan
    del one["d"]
    found = measure_drift(DriftSample(one), DriftSample(other))
    assert set(found) == {"b", "c"}
    assert found["c"].drifted
    assert not found["b"].drifted
    assert measure_drift(DriftSample({}), DriftSample(other)) == {}


def many(generator, count, shift=0.0):
    """Fourteen varying measures, the first of them moved."""
    return DriftSample({str(one): generator.normal(0.0 if one else shift, size=count) for one in range(14)})


@pytest.mark.parametrize("rate", [0.01, 0.005])
def test_rare_false_alarms_leave_a_gross_change_to_be_found(rate):
    generator = np.random.default_rng(5)
    found = measure_drift(many(generator, 500), many(generator, 500, 3.0), rate)
    assert [name for name, one in found.items() if one.drifted] == ["0"]


def test_many_measures_without_a_change_raise_rare_alarms():
    alarms = dict.fromkeys((0.05, 0.01), 0)
    for trial in range(100):
        generator = np.random.default_rng(trial)
        one, other = many(generator, 40), many(generator, 60)
        for rate in alarms:
            alarms[rate] += any(found.drifted for found in measure_drift(one, other, rate, trial).values())
    assert 0 < alarms[0.05] <= 14  # 5 in the mean; outside in one of 100 times
    assert alarms[0.01] <= 5  # 1 in the mean; more in one of 1,000 times


def test_rates_that_shuffles_cannot_tell_are_refused():
    sample = many(np.random.default_rng(6), 40)
    for rate in (0.0, 0.0005, 1.0):
        with pytest.raises(ValueError, match="to below 1"):
            measure_drift(sample, sample, rate)


def test_unknown_values_in_one_sample_raise_no_alarm():
    alarms = 0
    for trial in range(40):
        generator = np.random.default_rng(trial)
        one, other = many(generator, 500), many(generator, 500)
        for name in list(other.measures)[1:]:
            other.measures[name][25:] = np.nan
        alarms += any(found.drifted for found in measure_drift(one, other, seed=trial).values())
    assert alarms <= 7  # 2 in the mean; more in one of 1,000 times


@pytest.mark.parametrize("days", [5, 14])
def test_days_with_levels_of_their_own_raise_no_alarm(days):
    alarms, groups = 0, np.repeat(np.arange(days), 100)
    for trial in range(40):
        generator = np.random.default_rng([trial, days])
        levels = generator.normal(size=(days + 1, 14))
        values = np.repeat(levels, 100, axis=0) + generator.normal(size=(100 * (days + 1), 14))
        one, other = (
            {str(number): own for number, own in enumerate(part.T)} for part in np.split(values, [100 * days])
        )
        period = DriftSample(other, np.zeros(100, int))
        alarms += any(found.drifted for found in measure_drift(DriftSample(one, groups), period, seed=trial).values())
    assert alarms <= 6  # 2 in the mean; more in one of 100 times
