import re

import numpy as np
import pytest

from dfx.metrics import NEED_LLR, accuracy, attack_key, eer, mlflow_name, summary
from dfx.tables.score_table import ScoreTable
from setups import score_table


@pytest.fixture
def table():
    generator = np.random.default_rng(0)
    score = generator.normal(np.repeat([1.0, -1.0, -3.0, 0.0], [100, 60, 40, 20]))
    return score_table(score[:100], score[100:], attack=np.repeat(["-", "A07", "A08", "-"], [100, 60, 40, 20]))


def test_every_metric_stands_in_the_summary(table):
    metrics = summary(table, threshold=0.0)
    names = "eer eer_interpolated threshold auc min_dcf act_dcf cllr min_cllr ece brier accuracy balanced_accuracy f1"
    assert list(metrics) == [*names.split(), "eer/A07", "eer/A08"]
    assert all(type(value) is float for value in metrics.values())
    assert (metrics["eer"], metrics["threshold"]) == eer(table.bonafide, table.spoof)
    assert metrics["accuracy"] == accuracy(table.bonafide, table.spoof, 0.0)


def test_without_a_threshold_there_is_no_accuracy(table):
    assert not {"accuracy", "balanced_accuracy", "f1"} & set(summary(table))


def test_what_needs_log_likelihood_ratios_changes_with_the_scale_and_nothing_else_does(table):
    scaled = ScoreTable(table.table.assign(score=3 * table.table["score"] - 1))
    before, after = summary(table, threshold=0.5), summary(scaled, threshold=0.5 * 3 - 1)
    changed = {name for name in before if after[name] != pytest.approx(before[name], abs=1e-12)}
    assert changed == {*NEED_LLR, "threshold"}


def test_an_attack_is_measured_against_all_bona_fide(table):
    rows = table.table
    spoof = rows.loc[(rows["label"] == 0) & (rows["attack"] == "A07"), "score"]
    assert summary(table)["eer/A07"] == eer(table.bonafide, spoof)[0]


NAMES = ["A07", "a+b", "a:2Bb", "a b", "a/b", "a", ".", "..", "a..b", "Ü", "tacotron2+wg", "~", "a\tb", "%", "위" * 400]


def test_attack_names_become_valid_metric_names_without_collisions():
    keys = [attack_key(name) for name in NAMES]
    assert len(set(keys)) == len(NAMES)
    assert all(re.fullmatch(r"eer/[\w. :-]+", key) for key in keys)
    assert attack_key("A07") == "eer/A07"
    assert attack_key("한국어") == "eer/한국어"
    assert mlflow_name("x+y") != mlflow_name("x_y")


def test_long_names_are_cut_and_stay_different():
    keys = [attack_key("위조탐지모델" * 40 + end) for end in ("1", "2")] + [attack_key("+" * 99)]
    assert len(set(keys)) == 3
    assert max(len(key.encode()) for key in keys) < 210


def test_mlflow_accepts_the_keys():
    validation = pytest.importorskip("mlflow.utils.validation")
    for name in NAMES:
        validation._validate_metric_name(f"eval/{attack_key(name)}")
