from __future__ import annotations

import numpy as np
import pytest

from dfx.audit.ranking import area
from dfx.metrics import auc


def test_it_is_the_auc_with_ties() -> None:
    generator = np.random.default_rng(0)
    spoof, bonafide = generator.integers(0, 9, 80), generator.integers(2, 11, 50)
    found = area(spoof, bonafide)
    assert found is not None
    assert found.auc == pytest.approx(auc(spoof, bonafide))
    assert found.strength == pytest.approx(auc(bonafide, spoof))


def test_a_missing_class_has_none() -> None:
    assert area([], [1.0]) is None
    assert area([1.0], []) is None


def test_the_interval_covers_the_truth() -> None:
    generator = np.random.default_rng(1)
    truth = 0.7602  # of normal values, means one deviation apart: Phi(1 / sqrt(2))
    hits = 0
    for _ in range(400):
        found = area(generator.normal(1, 1, 60), generator.normal(0, 1, 40))
        assert found is not None
        low, high = found.interval
        hits += low <= truth <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_perfect_separation_of_few_clips_is_not_certain() -> None:
    few, many = area(np.ones(5), np.zeros(5)), area(np.ones(1000), np.zeros(1000))
    assert few is not None
    assert many is not None
    assert few.deviation == pytest.approx(0.2)
    assert many.interval == (pytest.approx(0.998, abs=1e-3), 1)


def test_one_value_tells_nothing() -> None:
    found = area(np.ones(20), np.ones(20))
    assert found == (0.5, 0)
    assert found is not None
    assert found.sigmas == 0
