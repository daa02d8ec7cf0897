"""Runs of presets against published figures."""

import pytest

from dfx.config.identity import logged_params
from dfx.config.schema import CONF_DIR
from dfx.report import published
from dfx.reporting.grid import grid_of_runs
from setups import composed


def table(make, *runs):
    """Table of runs: (experiment, dataset, EER on eval, parameters)."""
    made = []
    for seed, (experiment, dataset, eer, params) in enumerate(runs):
        settings = logged_params(composed(f"experiment={experiment}")) | {"seed": str(seed)} | params
        tags = {"experiment": experiment, "dataset": dataset}
        run = make("lfcc", "lcnn", seed, tags=tags, params=settings)
        run.metrics["eval/eer"] = eer
        made.append(run)
    return published.published_table(grid_of_runs(made, "feature", "model"))


@pytest.mark.parametrize(
    ("eers", "result"),
    [
        ((0.019, 0.029), "in the band"),
        ((0.05, 0.06), "out of the band: 2.40 points above"),
        ((0.01, 0.01), "out of the band: 0.92 points below"),
    ],
)
def test_the_mean_over_seeds_is_compared_with_the_range_of_published_seeds(make, eers, result):
    (row,) = table(make, *(("lfcc_lcnn", "asvspoof2019_la", eer, {}) for eer in eers)).rows
    assert row[:2] == ["lfcc_lcnn", "asvspoof2019_la"]
    assert row[3:6] == ["2", "1.92 to 3.10", result]


def test_one_published_value_is_no_band(make):
    (row,) = table(make, ("air_oc_softmax", "asvspoof2019_la", 0.0269, {})).rows
    assert row[4] == "2.19"
    assert row[5] == "+0.50 points; one published value, so its band over seeds is not known"


def test_a_corpus_of_2021_counts_after_training_on_2019_only(make):
    trained = {"dataset.train": "['asvspoof2019_la']", "dataset.eval": "['asvspoof2021_df']"}
    (row,) = table(make, ("asvspoof2021_lfcc_lcnn", "combined", 0.25, trained)).rows
    assert row[1:3] == ["asvspoof2021_df", "25.00"]
    assert table(make, ("asvspoof2021_lfcc_lcnn", "combined", 0.25, trained | {"dataset.train": "['for']"})) is None
    assert table(make, ("aasist", "demo", 0.2, {})) is None


def test_a_run_with_other_settings_is_left_out_and_named(make):
    runs = [
        ("lfcc_lcnn", "asvspoof2019_la", 0.02, {}),
        ("lfcc_lcnn", "asvspoof2019_la", 0.4, {"trainer.max_epochs": "1"}),
    ]
    made = table(make, *runs)
    assert [row[2:4] for row in made.rows] == [["2.00", "1"]]
    assert "1 run of lfcc_lcnn on asvspoof2019_la left out for other settings: trainer.max_epochs=1." in made.note


def test_every_figure_belongs_to_a_preset():
    for known in published.read_published_eers():
        assert (CONF_DIR / "experiment" / f"{known.preset}.yaml").exists()
        assert 0 < min(known.values) <= max(known.values) < 0.5
