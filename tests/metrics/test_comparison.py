import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from dfx.metrics import PairedEers, auc, delong_auc_difference, eer
from dfx.tables.score_table import ScoreTable


def system(noise, true_eer, num_bonafide, **columns):
    label = np.repeat([1, 0], [num_bonafide, noise.size - num_bonafide])
    rows = {"id": np.arange(noise.size).astype(str), "attack": "-", "label": label}
    return ScoreTable(pd.DataFrame(rows | {"score": noise + (2 * label - 1) * norm.isf(true_eer)}).assign(**columns))


def pair(seed, first, second, num_bonafide=300, num_spoof=900):
    """Two systems whose errors have a correlation of a half."""
    generator = np.random.default_rng(seed)
    shared, *own = generator.normal(size=(3, num_bonafide + num_spoof))
    return [
        system((shared + noise) / np.sqrt(2), rate, num_bonafide)
        for noise, rate in zip(own, (first, second), strict=True)
    ]


def eer_difference(first, second, **options):
    return PairedEers([first, second], **options).difference(0, 1)


def test_difference_of_two_systems():
    first, second = pair(0, 0.2, 0.1)
    found = eer_difference([first], [second])
    assert found.value == eer(first.bonafide, first.spoof)[0] - eer(second.bonafide, second.spoof)[0]
    assert 0 < found.low < found.value < found.high
    assert found.p_value == pytest.approx(2 / 1001)  # none of 1,000 resamples is at or below 0: never 0
    turned = eer_difference([second], [first])
    assert (turned.value, turned.p_value) == (-found.value, found.p_value)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_a_system_equals_itself():
    first, _ = pair(0, 0.2, 0.1)
    assert eer_difference([first], [first]) == (0.0, 0.0, 0.0, 1.0)
    assert delong_auc_difference(first, first) == (0.0, 0.0, 0.0, 1.0)
    assert delong_auc_difference(first, ScoreTable(first.table.assign(score=np.exp(first.table["score"])))).value == 0.0


def test_pairing_tells_apart_what_two_intervals_would_not():
    generator = np.random.default_rng(0)
    shared = generator.normal(size=1200)
    close = [system(shared + 0.1 * generator.normal(size=1200), rate, 300) for rate in (0.13, 0.11)]
    far = [system(generator.normal(size=1200), rate, 300) for rate in (0.13, 0.11)]
    width = [found.high - found.low for found in (eer_difference(*[[t] for t in two]) for two in (close, far))]
    assert width[0] < 0.5 * width[1]


def test_seeds_of_a_system_are_averaged():
    first, second = pair(0, 0.2, 0.1)
    both = eer_difference([first, second], [second])
    assert both.value == pytest.approx(eer_difference([first], [second]).value / 2)


def test_rows_may_stand_in_any_order_and_speakers_are_drawn_whole():
    first, second = pair(0, 0.2, 0.19)
    shuffled = ScoreTable(second.table.sample(frac=1, random_state=0))
    assert eer_difference([first], [shuffled]) == eer_difference([first], [second])
    assert delong_auc_difference(first, shuffled) == pytest.approx(delong_auc_difference(first, second))
    speaker = (np.arange(1200) % 15).astype(str)
    with_speakers = ScoreTable(first.table.assign(speaker=speaker))
    assert eer_difference([with_speakers], [second], cluster="speaker") != eer_difference([first], [second])


def test_different_trials_are_refused():
    first, second = pair(0, 0.2, 0.1)
    fewer = ScoreTable(second.table.iloc[:-1])
    for compare in (lambda: eer_difference([first], [fewer]), lambda: delong_auc_difference(first, fewer)):
        with pytest.raises(ValueError, match=r"1 and 2 hold different trials: 1200 and 1199, and '1199' only in one"):
            compare()
    with pytest.raises(ValueError, match="two trials of each class, got 1 bona fide"):
        delong_auc_difference(*[ScoreTable(table.table.iloc[299:]) for table in (first, second)])


@pytest.mark.parametrize("decimals", [0, 12])
def test_delong_equals_its_definition(decimals):
    tables = [ScoreTable(t.table.assign(score=t.table["score"].round(decimals))) for t in pair(1, 0.2, 0.17, 30, 50)]
    wins = [(b := t.bonafide[:, None], s := t.spoof[None, :]) and (b > s) + 0.5 * (b == s) for t in tables]
    by_bonafide, by_spoof = ([won.mean(axis=axis) for won in wins] for axis in (1, 0))
    covariance = np.cov(by_bonafide) / 30 + np.cov(by_spoof) / 50
    deviation = np.sqrt([1, -1] @ covariance @ [1, -1])
    found = delong_auc_difference(*tables)
    value = auc(tables[0].bonafide, tables[0].spoof) - auc(tables[1].bonafide, tables[1].spoof)
    assert found.value == pytest.approx(value, abs=1e-12)
    assert found.high - found.value == pytest.approx(norm.ppf(0.975) * deviation, abs=1e-12)
    assert found.p_value == pytest.approx(2 * norm.sf(abs(value) / deviation), abs=1e-12)


@pytest.mark.slow
def test_equal_systems_are_called_different_in_5_of_100_corpora():
    p_values = []
    for seed in range(500):
        first, second = pair(seed, 0.15, 0.15, 300, 900)
        p_values.append(
            (eer_difference([first], [second], resamples=200).p_value, delong_auc_difference(first, second).p_value)
        )
    rejected = (np.array(p_values) <= 0.05).mean(axis=0)
    assert 0.025 <= rejected[0] <= 0.07
    assert 0.03 <= rejected[1] <= 0.07
