"""Runs become cells: one run a seed, and what is not the same is not averaged."""

import numpy as np
import pytest

from dfx.reporting import grid as grids


def test_a_cell_is_the_mean_and_the_sample_deviation_over_its_seeds(make):
    runs = [make("lfcc", "lcnn", seed, evaluation=1 + seed / 3) for seed in (2, 0, 1)]
    grid = grids.grid_of_runs(runs, "feature", "model")
    cell = grid.cells["lfcc", "lcnn"]
    values = [run.metrics["eval/eer"] for run in runs]
    assert [run.tags["seed"] for run in cell.runs] == ["0", "1", "2"]
    assert cell.mean("eval/eer") == pytest.approx(np.mean(values))
    assert cell.deviation("eval/eer") == pytest.approx(np.std(values, ddof=1))
    assert np.isnan(grids.grid_of_runs(runs[:1], "feature", "model").cells["lfcc", "lcnn"].deviation("eval/eer"))
    assert grid.notes == []


def test_of_a_repeated_seed_the_newest_counts_and_it_is_said(make):
    runs = [make("lfcc", "lcnn", 0, evaluation=distance) for distance in (1.0, 2.0, 3.0)]
    grid = grids.grid_of_runs(runs, "feature", "model")
    assert grid.cells["lfcc", "lcnn"].runs == (runs[2],)
    assert grid.notes == ["2 finished runs repeat a cell and a seed that a newer run has; the newest of each is taken."]


def test_two_learning_rates_are_not_averaged(make):
    runs = [make("lfcc", "lcnn", seed, params={"optimizer.lr": lr}) for seed in (0, 1) for lr in ("0.001", "0.0003")]
    runs += [make("lfcc", "mlp", seed) for seed in (0, 1)]
    grid = grids.grid_of_runs(runs, "feature", "model")
    assert grid.rows == ["lfcc, lr=0.0003", "lfcc, lr=0.001"]
    assert {place: len(cell.runs) for place, cell in grid.cells.items()} == {
        ("lfcc, lr=0.0003", "lcnn"): 2,
        ("lfcc, lr=0.001", "lcnn"): 2,
        ("lfcc, lr=0.001", "mlp"): 2,
    }
    assert grid.notes[0].startswith("Runs of one feature and model differ in optimizer.lr: they have separate rows")


def test_a_setting_of_the_column_splits_the_column_and_an_option_explains_its_settings(make):
    runs = [make("lfcc", "lcnn", 0, params={"model.dropout": rate}) for rate in ("0.2", "0.5")]
    runs += [make("lfcc", "mlp", 0)]
    assert grids.grid_of_runs(runs, "feature", "model").columns == ["lcnn, dropout=0.2", "lcnn, dropout=0.5", "mlp"]
    losses = {"bce": "dfx.losses.BCE", "oc_softmax": "dfx.losses.OCSoftmax"}
    runs = [
        make("lfcc", "lcnn", 0, tags={"loss": name}, params={"loss._target_": target})
        for name, target in losses.items()
    ]
    assert grids.grid_of_runs(runs, "feature", "model").rows == ["lfcc, loss=bce", "lfcc, loss=oc_softmax"]
    assert grids.grid_of_runs(runs, "loss", "model").rows == ["bce", "oc_softmax"]


def test_what_follows_from_the_seed_does_not_split(make):
    runs = [make("lfcc", "lcnn", seed, params={"dataset.seed": str(seed)}) for seed in (1, 2)]
    assert len(grids.grid_of_runs(runs, "feature", "model").cells["lfcc", "lcnn"].runs) == 2


def test_the_order_is_what_was_typed_or_else_that_of_numbers(make):
    runs = [make(feature, "mlp", 0) for feature in ("lfcc", "mfcc", "cqcc")]
    assert grids.grid_of_runs(runs, "feature", "model", {"feature": ["mfcc", "lfcc"]}).rows == ["mfcc", "lfcc", "cqcc"]
    runs = [make("lfcc", "mlp", 0, params={"data.batch_size": size}) for size in ("16", "128", "8")]
    assert grids.grid_of_runs(runs, "data.batch_size", "model").rows == ["8", "16", "128"]
    drawn = {"data.batch_size": ["interval(8,128)"]}
    assert grids.grid_of_runs(runs, "data.batch_size", "model", drawn).rows == ["8", "16", "128"]


def test_only_finished_runs_of_training_count(make):
    runs = [make("lfcc", "mlp", 0), make("lfcc", "mlp", 1, status="FAILED"), make("x", "y", 0, tags={"kind": "sweep"})]
    grid = grids.grid_of_runs(runs, "feature", "model")
    assert [len(cell.runs) for cell in grid.cells.values()] == [1]
    with pytest.raises(ValueError, match="There is no finished run to report, got none"):
        grids.grid_of_runs(runs[1:], "feature", "model")
    with pytest.raises(ValueError, match="No run has a tag or parameter 'modle': did you mean 'model'"):
        grids.grid_of_runs(runs, "feature", "modle")


def test_versions_of_the_code_are_told(make):
    runs = [make("lfcc", "mlp", seed, tags={"git_commit": str(seed)}) for seed in (0, 1)]
    assert grids.grid_of_runs(runs, "feature", "model").notes == [
        "The runs come from 2 versions of the code (tag git_commit)."
    ]


def place(parent, **values):
    return {f"sweep.{parent}": " ".join(f"{key}={value}" for key, value in values.items())}


def test_the_grid_of_a_sweep_follows_its_axes_and_says_why_a_place_is_empty(make):
    axes = {"feature": ["mfcc", "lfcc"], "model": ["lcnn", "mlp"], "seed": ["0", "1"]}
    runs = [
        make(feature, model, seed, status=status, tags=place("p", feature=feature, model=model, seed=seed) | more)
        for feature, model, seed, status, more in (
            ("mfcc", "lcnn", 0, "FINISHED", {}),
            ("mfcc", "lcnn", 1, "FINISHED", {}),
            ("mfcc", "mlp", 0, "FINISHED", {}),
            ("lfcc", "lcnn", 0, "KILLED", {"skipped": "Too short."}),
            ("lfcc", "mlp", 0, "KILLED", {"skipped": "Too short."}),
            ("lfcc", "mlp", 1, "FAILED", {}),
        )
    ]
    grid = grids.grid_of_sweep(runs, "p", axes)
    assert (grid.rows, grid.columns) == (["mfcc", "lfcc"], ["lcnn", "mlp"])
    table = grid.table("eval/eer", seeds=2)
    assert table.title == "EER on eval (%), mean ± deviation over 2 seeds"
    assert table.head == ["feature \\ model", "lcnn", "mlp"]
    values = [100 * run.metrics["eval/eer"] for run in runs[:3]]
    assert [str(cell) for cell in table.rows[0]] == [
        "mfcc",
        f"{np.mean(values[:2]):.2f} ± {np.std(values[:2], ddof=1):.2f}",
        f"{values[2]:.2f} (1)",
    ]
    assert [str(cell) for cell in table.rows[1]] == ["lfcc", "skipped", "failed"]


def test_further_axes_of_a_sweep_are_rows_and_drawn_values_stand_as_they_were_drawn(make):
    axes = {"feature": ["mfcc", "lfcc"], "model": ["lcnn", "mlp"], "augment": ["none", "noise"]}
    runs = [make("lfcc", "mlp", 0, tags=place("p", feature="lfcc", model="mlp", augment="noise"))]
    grid = grids.grid_of_sweep(runs, "p", axes)
    assert grid.rows == ["mfcc, none", "mfcc, noise", "lfcc, none", "lfcc, noise"]
    assert set(grid.cells) == {("lfcc, noise", "mlp")}
    drawn = {"lr": ["interval(0,1)"], "seed": ["0"]}
    runs = [make("lfcc", "mlp", 0, tags=place("q", lr=rate, seed=0)) for rate in (0.2, 0.1)]
    grid = grids.grid_of_sweep(runs, "q", drawn)
    assert (grid.rows, grid.columns, grid.axes) == (["0.1", "0.2"], ["EER"], ("lr", ""))
    only_seeds = grids.grid_of_sweep(
        [make("lfcc", "mlp", seed, tags=place("r", seed=seed)) for seed in (0, 1)], "r", {"seed": ["0", "1"]}
    )
    assert (only_seeds.rows, only_seeds.columns) == (["all"], ["EER"])
    assert len(only_seeds.cells["all", "EER"].runs) == 2
