import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dfx.metrics import auc, auc_placements


@pytest.mark.parametrize("decimals", [0, 1, 12])
def test_auc_equals_scikit_learn_with_and_without_ties(decimals):
    generator = np.random.default_rng(4)
    bonafide, spoof = (generator.normal(m, 1, n).round(decimals) for m, n in ((1, 300), (-1, 700)))
    expected = roc_auc_score(np.repeat([1, 0], [300, 700]), np.concatenate([bonafide, spoof]))
    assert auc(bonafide, spoof) == pytest.approx(expected, abs=1e-12)
    assert auc(spoof, bonafide) == pytest.approx(1 - expected, abs=1e-12)
    for part in auc_placements(bonafide, spoof):
        assert part.mean() == pytest.approx(expected, abs=1e-12)
