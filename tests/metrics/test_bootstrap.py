import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, norm

from dfx.metrics import AsvRates, PairedEers, bootstrap_intervals, cluster_column, drawn_speakers_text, eer
from dfx.metrics.bootstrap import Bootstrap
from dfx.metrics.resampled import NAMES
from dfx.tables.score_table import ScoreTable

RATES = AsvRates(p_miss=0.02, p_fa=0.03, p_fa_spoof=0.5)


def simulated(seed, num_bonafide, num_spoof, true_eer, num_speakers=0, effect=0.7):
    """Unit normals at equal distances from 0; with speakers, each adds an effect of its own to its trials."""
    generator = np.random.default_rng(seed)
    label = np.repeat([1, 0], [num_bonafide, num_spoof])
    score = generator.normal(size=label.size)
    table = pd.DataFrame({"id": np.arange(label.size).astype(str), "attack": "-", "label": label})
    spread = 1.0
    if num_speakers:
        speaker = np.concatenate([np.arange(num_bonafide), np.arange(num_spoof)]) % num_speakers
        score += effect * generator.normal(size=num_speakers)[speaker]
        spread = np.hypot(1.0, effect)
        table["speaker"] = speaker.astype(str)
    return ScoreTable(table.assign(score=score + np.where(label == 1, 1, -1) * spread * norm.isf(true_eer)))


def covers(interval, truth):
    return interval.low <= truth <= interval.high


def test_each_metric_has_an_interval_around_its_value():
    table = simulated(0, 80, 200, 0.1)
    found = bootstrap_intervals(table, NAMES, threshold=0.0, rates=RATES, resamples=200)
    assert list(found) == list(NAMES)
    assert all(low < high for low, high in found.values())
    assert covers(found["eer"], eer(table.bonafide, table.spoof)[0])
    assert all(type(end) is float for ends in found.values() for end in ends)
    assert all(low >= 0 and high <= 1 for name, (low, high) in found.items() if name not in ("cllr", "act_dcf"))


def test_the_same_seed_gives_the_same_interval_and_another_one_another():
    table = simulated(0, 80, 200, 0.1)
    assert bootstrap_intervals(table, ["eer"], seed=1) == bootstrap_intervals(table, ["eer"], seed=1)
    assert bootstrap_intervals(table, ["eer"], seed=1) != bootstrap_intervals(table, ["eer"], seed=2)
    alone = bootstrap_intervals(table, ["eer"], seed=1)["eer"]
    assert bootstrap_intervals(table, ["auc", "eer", "ece"], seed=1)["eer"] == alone  # whatever else is measured


def test_more_trials_are_narrower():
    def width(num_trials):
        table = simulated(0, num_trials, num_trials, 0.1)
        low, high = bootstrap_intervals(table, ["eer"])["eer"]
        return high - low

    assert width(1600) == pytest.approx(width(400) / 2, rel=0.2)


def test_accuracy_of_independent_trials_has_wilsons_interval():
    table = simulated(0, 500, 500, 0.1)
    right = np.count_nonzero((table.table["score"] > 0) == (table.table["label"] == 1))
    expected = binomtest(right, 1000).proportion_ci(method="wilson")
    found = bootstrap_intervals(table, ["accuracy"], threshold=0.0, resamples=4000)["accuracy"]
    assert found == pytest.approx((expected.low, expected.high), abs=0.001)


def test_a_detector_without_an_error_is_not_certain():
    table = ScoreTable(simulated(0, 50, 200, 0.1).table.assign(score=lambda rows: rows["label"] * 2.0 - 1))
    found = bootstrap_intervals(table, ["eer", "auc", "accuracy"], threshold=0.0, resamples=50)
    assert found["eer"].low == 0.0
    assert 0.05 < found["eer"].high < 0.1  # about 4 in 50
    assert found["auc"].high == found["accuracy"].high == 1.0
    assert found["accuracy"].low < 0.95


def test_the_interval_of_a_biased_metric_is_moved_by_its_bias():
    resampled = np.random.default_rng(0).normal(0.18, 0.02, 5000)  # its own value is .2
    for name, centre in (("min_dcf", 0.22), ("eer", 0.2)):
        low, high = Bootstrap(simulated(0, 1000, 1000, 0.1)).interval(name, 0.2, resampled)
        assert (low + high) / 2 == pytest.approx(centre, abs=0.004)


def test_clusters_are_drawn_whole_and_no_class_is_ever_empty():
    generator = np.random.default_rng(0)
    is_bonafide = generator.random(60) < 0.3
    cluster = np.where(is_bonafide, generator.integers(0, 6, 60), generator.integers(4, 15, 60))
    columns = {"id": np.arange(60).astype(str), "attack": "-", "label": is_bonafide.astype(int), "score": 0.0}
    table = ScoreTable(pd.DataFrame(columns | {"speaker": cluster}))
    drawn = np.concatenate(list(Bootstrap(table, "speaker").draw(500, seed=0)))
    assert drawn.shape == (500, 60)
    for number in np.unique(cluster):
        assert (drawn[:, cluster == number] == drawn[:, cluster == number][:, :1]).all()
    assert drawn[:, is_bonafide].sum(axis=1).min() > 0
    assert drawn[:, ~is_bonafide].sum(axis=1).min() > 0
    first = np.unique(cluster, return_index=True)[1]  # one trial of each cluster: as many are drawn as there are
    assert (drawn[:, first].sum(axis=1) == first.size).all()
    assert drawn.mean() == pytest.approx(1, abs=0.03)


def test_without_clusters_each_class_keeps_its_number_of_trials():
    table = simulated(0, 1000, 499_000, 0.1)
    is_bonafide = table.table["label"] == 1
    drawn = list(Bootstrap(table).draw(3, seed=0))
    assert [chunk.shape for chunk in drawn] == [(1, 500_000)] * 3  # memory does not grow with the resamples
    assert all(chunk[:, is_bonafide].sum() == 1000 and chunk.sum() == 500_000 for chunk in drawn)


def test_a_cluster_of_one_trial_is_a_trial():
    table = simulated(0, 80, 200, 0.1)
    single = ScoreTable(table.table.assign(speaker="-"))  # unknown speakers stand for themselves
    assert bootstrap_intervals(single, ["eer"], cluster="speaker") == bootstrap_intervals(table, ["eer"])


def test_speakers_are_proposed_where_they_are_known_in_both_classes():
    table = simulated(0, 100, 200, 0.1, num_speakers=20).table
    assert cluster_column(ScoreTable(table)) == "speaker"
    assert cluster_column(ScoreTable(table.drop(columns="speaker"))) is None
    two = table.assign(speaker=lambda rows: (rows["speaker"].astype(int) % 2).astype(str))
    assert cluster_column(ScoreTable(two)) == "speaker"
    one = table.assign(speaker=lambda rows: rows["speaker"].where(rows["label"] == 1, "LJ"))
    assert cluster_column(ScoreTable(one)) is None
    unknown = table.assign(speaker=lambda rows: rows["speaker"].where(rows["label"] == 1, "-"))
    assert cluster_column(ScoreTable(unknown)) is None


def test_the_speakers_that_are_drawn_are_counted_without_unknown_ones():
    table = simulated(0, 100, 200, 0.1, num_speakers=20).table
    assert drawn_speakers_text(ScoreTable(table)) == "whole speakers (20 with bona fide, 20 with spoof trials)"
    some = table.assign(speaker=table["speaker"].mask(table["speaker"] == table["speaker"].iloc[0], "-"))
    unknown = int((some["speaker"] == "-").sum())
    text = drawn_speakers_text(ScoreTable(some))
    assert (
        text
        == f"whole speakers (19 with bona fide, 19 with spoof trials; {unknown} trials of unknown speakers one by one)"
    )
    two = table.assign(speaker=(table["speaker"].astype(int) % 2).astype(str))
    assert "(2 with bona fide, 2 with spoof trials). These are too few speakers" in drawn_speakers_text(ScoreTable(two))


def test_seeds_of_one_system():
    tables = [simulated(seed, 100, 300, 0.1) for seed in range(3)]
    one = PairedEers([tables[:1]], seed=4).interval(0)
    assert one == pytest.approx(bootstrap_intervals(tables[0], ["eer"], seed=4)["eer"])
    assert PairedEers([[tables[0], tables[0]]], seed=4).interval(0) == pytest.approx(one)
    low, high = PairedEers([tables]).interval(0)
    assert low < np.mean([eer(table.bonafide, table.spoof)[0] for table in tables]) < high
    assert high - low < one.high - one.low  # of independent detectors
    shuffled = ScoreTable(tables[1].table.sample(frac=1, random_state=0))
    assert PairedEers([[tables[0], shuffled]]).interval(0) == PairedEers([tables[:2]]).interval(0)


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        (lambda rows: rows, {"cluster": "source"}, "drawn by 'source', got .* the columns id, .*, speaker"),
        (
            lambda rows: rows.assign(speaker=rows["speaker"].where(rows["label"] == 1, "LJ")),
            {"cluster": "speaker"},
            "All spoof trials have the same speaker, got 'LJ'",
        ),
        (lambda rows: rows[rows["label"] == 1], {}, "There are no spoof scores"),
        (lambda rows: rows.iloc[99:], {}, "class with a single trial"),
        (lambda rows: rows, {"resamples": 1}, "needs two resamples, got 1"),
    ],
)
def test_what_cannot_be_resampled_is_an_error(change, options, sentence):
    table = ScoreTable(change(simulated(0, 100, 200, 0.1, num_speakers=20).table))
    with pytest.raises(ValueError, match=sentence):
        bootstrap_intervals(table, ["eer"], **options)


def coverage(tables, true_eer, cluster=None):
    found = [bootstrap_intervals(table, ["eer"], cluster=cluster, resamples=200)["eer"] for table in tables]
    return float(np.mean([covers(interval, true_eer) for interval in found]))


@pytest.mark.slow
@pytest.mark.parametrize(("num_bonafide", "num_spoof", "true_eer"), [(200, 1000, 0.05), (100, 400, 0.0137)])
def test_the_interval_of_the_eer_holds_the_truth_in_95_of_100_corpora(num_bonafide, num_spoof, true_eer):
    tables = [simulated(seed, num_bonafide, num_spoof, true_eer) for seed in range(500)]
    assert 0.93 <= coverage(tables, true_eer) <= 0.97


@pytest.mark.slow
def test_where_speakers_differ_they_must_be_drawn_whole():
    tables = [simulated(seed, 400, 800, 0.1, num_speakers=40, effect=1.0) for seed in range(300)]
    assert 0.92 <= coverage(tables, 0.1, "speaker") <= 0.975
    assert coverage(tables[:50], 0.1) <= 0.85


@pytest.mark.slow
@pytest.mark.parametrize("num_speakers", [3, 9, 12, 30])
def test_intervals_from_few_speakers_hold_the_truth_too(num_speakers):
    tables = [simulated(seed, 300, 600, 0.1, num_speakers=num_speakers, effect=0.5) for seed in range(200)]
    assert 0.92 <= coverage(tables, 0.1, "speaker") <= 0.99
