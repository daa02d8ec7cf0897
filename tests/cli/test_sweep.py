"""A sweep records every cell under one parent run, also after failures and interrupts."""

import json
import os
import signal

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from dfx import train
from dfx.tracking import provenance, runs
from setups import type_command

SMALL = ["trainer=smoke", "segment_seconds=0.5", "trainer.enable_progress_bar=false", "dataset=manifest"]
SENTENCE = "Picky takes 60 bins, got 80: use feature=lfcc."
PLUGIN = """
import torch
from dfx.models.blocks import IncompatiblePairError

class Picky(torch.nn.Module):
    def __init__(self, input_shape):
        super().__init__()
        if input_shape.bins != 60:
            raise IncompatiblePairError(f"Picky takes 60 bins, got {input_shape.bins}: use feature=lfcc.")
        self.embedding_dim = 60
        self.scale = torch.nn.Parameter(torch.ones(60))

    def forward(self, feature):
        return feature.mean(dim=(1, 3)) * self.scale
"""


@pytest.fixture(scope="module")
def type_in(home, undrawn_figures, corpus_file):
    """Types a command of dfx.train and gives its exit status."""

    def typed(*arguments, experiment):
        named = [f"experiment_name={experiment}"]
        if not any(argument.startswith("dataset.path=") for argument in arguments):
            named.append(f"dataset.path={corpus_file}")
        code = type_command(train.main, *arguments, *SMALL, *named)
        return code if isinstance(code, int) else 1

    return typed


def places(parent):
    """Runs of a sweep by their place in the grid; fails where two have the same."""
    found = runs.find_runs(sweep=parent.run_id)
    by_place = {run.tags[f"sweep.{parent.run_id}"]: run for run in found}
    assert len(by_place) == len(found)
    return by_place


GRID = ["-m", "feature=lfcc,mfcc", "model=mlp", "seed=0,1"]


@pytest.fixture(scope="module")
def alone(type_in):
    """One cell of the grid, run by itself before there was a sweep."""
    assert type_in("feature=lfcc", "model=mlp", "seed=1", experiment="grid") == 0
    return runs.find_runs("grid")[0]


@pytest.fixture(scope="module")
def grid(type_in, alone):
    """A finished sweep."""
    assert type_in(*GRID, experiment="grid") == 0
    (parent,) = runs.find_sweep_runs("grid")
    return parent


def test_a_grid_is_one_parent_with_its_cells(grid, alone):
    assert grid.status == "FINISHED"
    assert grid.name == "sweep 2 feature × 2 seed on manifest"
    assert json.loads(grid.tags["axes"]) == {"feature": ["lfcc", "mfcc"], "seed": ["0", "1"]}
    assert grid.tags["cells"] == "4"
    assert grid.tags["command"].startswith("python -m dfx.train -m feature=lfcc,mfcc model=mlp seed=0,1 ")
    cells = places(grid)
    assert sorted(cells) == [f"feature={f} seed={s}" for f in ("lfcc", "mfcc") for s in (0, 1)]
    assert {run.status for run in cells.values()} == {"FINISHED"}
    assert not any("mlflow.parentRunId" in run.tags for run in cells.values())  # the UI would fold them
    assert cells["feature=lfcc seed=1"].run_id == alone.run_id
    found = [run.metrics["dev/eer"] for place, run in cells.items() if "lfcc" in place]
    assert grid.metrics["cells/done"] == 4
    assert grid.metrics["cells/failed"] == 0
    assert grid.metrics["dev/eer"] <= np.mean(found)
    assert {"eval/eer", "eval/auc"} <= set(grid.metrics)
    note = grid.tags["mlflow.note.content"]
    assert note.startswith("Best cell on dev: ")
    assert "Cells: 4 finished, 0 failed." in note
    assert "| feature | EER |" in note
    query = f"tags.\"sweep.{grid.run_id}\" LIKE '%'"
    assert query in note
    assert len(runs.find_runs("grid", query=query)) == 4
    assert runs.run_artifact(grid, "summary/report.html").stat().st_size > 1000
    assert cells["feature=lfcc seed=0"].tags["mlflow.note.content"].startswith("dataset `manifest`, feature `lfcc`, ")
    command = "python -m dfx.train feature=mfcc model=mlp seed=0 trainer=smoke "
    assert cells["feature=mfcc seed=0"].tags["command"].startswith(command)


def test_a_finished_sweep_is_shown_and_not_repeated(type_in, grid, capsys, monkeypatch):
    before = places(grid)
    monkeypatch.setattr(mlflow, "start_run", None)  # a cell that computes anything fails
    assert type_in(*GRID, "num_threads=1", experiment="grid") == 0  # how it is run is not part of what it is
    shown = capsys.readouterr().out
    assert "4 finished before, 0 finished now, 0 failed, 0 skipped" in shown
    assert "EER on eval (%), mean ± deviation over 2 seeds" in shown
    assert f"python -m dfx.report sweep={grid.run_id}" in shown
    assert "view     http://127.0.0.1:5000/#/experiments/" in shown
    assert places(grid) == before
    assert len(runs.find_sweep_runs("grid")) == 1


def test_a_sweep_of_other_axes_shares_cells(type_in, grid, monkeypatch):
    monkeypatch.setattr(mlflow, "start_run", None)
    assert type_in("-m", "feature=lfcc", "model=mlp", "seed=1,0", experiment="grid") == 0
    other = runs.find_sweep_runs("grid")[0]
    assert other.run_id != grid.run_id
    assert set(places(other)) == {"seed=0", "seed=1"}
    assert len(places(grid)) == 4


def test_the_axes_of_a_file_are_narrowed_on_the_command_line(type_in, grid, capsys, monkeypatch):
    monkeypatch.setattr(mlflow, "start_run", None)
    typed = ["experiment=feature_model_grid", "feature=lfcc,mfcc", "model=mlp", "seed=1"]
    assert type_in(*typed, experiment="grid") == 0
    parent = runs.find_sweep_runs("grid")[0]
    assert json.loads(parent.tags["axes"]) == {"feature": ["lfcc", "mfcc"]}
    assert set(places(parent)) == {"feature=lfcc", "feature=mfcc"}


def test_a_cell_of_a_file_is_made_alone_by_its_command(type_in, capsys):
    assert type_in("experiment=feature_model_grid", "feature=lfcc", "model=mlp", "seed=1", experiment="file") == 0
    (parent,) = runs.find_sweep_runs("file")
    (cell,) = places(parent).values()
    assert (cell.tags["model"], cell.tags["seed"]) == ("mlp", "1")
    typed = cell.tags["command"].removeprefix("python -m dfx.train ").split()
    assert "hydra.mode=RUN" in typed
    capsys.readouterr()
    assert type_in(*[word for word in typed if word not in SMALL], experiment="file") == 0
    assert "finished before; rerun=true" in capsys.readouterr().out
    assert len(runs.find_sweep_runs("file")) == 1
    assert len(runs.find_runs("file")) == 2


def test_what_fails_or_does_not_fit_stops_no_other_cell(type_in, capsys, tmp_path, monkeypatch):
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "picky_lab.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path / "lab")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "picky.yaml").write_text("# picky\n_target_: picky_lab.Picky\n_partial_: true\n")
    typed = ["--config-dir", str(tmp_path), "-m", "feature=logmel,lfcc", "model=picky"]
    typed += ["optimizer.lr=1e38,1e-3", "seed=0"]
    assert type_in(*typed, experiment="failing") == 1
    (parent,) = runs.find_sweep_runs("failing")
    assert parent.status == "FAILED"
    cells = {(run.tags["feature"], place.rpartition("=")[2]): run for place, run in places(parent).items()}
    assert {key: run.status for key, run in cells.items()} == {
        ("logmel", "1e+38"): "KILLED",
        ("logmel", "0.001"): "KILLED",
        ("lfcc", "1e+38"): "FAILED",
        ("lfcc", "0.001"): "FINISHED",
    }
    for learning_rate in ("1e+38", "0.001"):
        assert cells["logmel", learning_rate].tags["skipped"] == SENTENCE
        assert "error" not in cells["logmel", learning_rate].tags
    failed = cells["lfcc", "1e+38"]
    assert failed.tags["error"].startswith("RuntimeError: value cannot be converted")
    told = capsys.readouterr()
    assert "0 finished before, 1 finished now, 1 failed, 2 skipped" in told.out
    assert f"skipped  feature=logmel optimizer.lr=0.001: {SENTENCE}" in told.out
    assert f"python -m dfx.train --config-dir {tmp_path} feature=lfcc model=picky " in told.out
    assert told.err.count("Traceback") == 1  # of what is no error of the user's


@pytest.mark.slow
def test_a_cell_in_a_process_of_its_own_says_why_it_has_no_result(type_in, tmp_path, monkeypatch):
    (tmp_path / "picky_lab.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "picky.yaml").write_text("# picky\n_target_: picky_lab.Picky\n_partial_: true\n")
    typed = ["--config-dir", str(tmp_path), "-m", "feature=logmel", "model=picky", "seed=0"]
    assert type_in(*typed, "+trainer.strategy=ddp", "trainer.accelerator=cpu", experiment="apart") == 0
    (parent,) = runs.find_sweep_runs("apart")
    (skipped,) = places(parent).values()
    assert (parent.status, skipped.status) == ("FINISHED", "KILLED")
    assert "error" not in skipped.tags
    assert skipped.tags["skipped"] == SENTENCE


def test_a_cell_that_fails_before_it_has_a_run_is_kept_until_it_succeeds(type_in, corpus_file, tmp_path, capsys):
    late = tmp_path / "late.csv"
    typed = ["-m", "feature=lfcc", "model=mlp", f"dataset.path={late}"]
    assert type_in(*typed, experiment="late") == 1
    (parent,) = runs.find_sweep_runs("late")
    (failed,) = places(parent).values()
    assert failed.status == "FAILED"
    assert failed.tags["error"].startswith(f"No table at '{late}'")
    assert "config_hash" not in failed.tags
    assert (failed.name, failed.tags["feature"]) == ("lfcc-mlp-manifest-s0", "lfcc")
    assert "Traceback" not in capsys.readouterr().err
    late.write_text(corpus_file.read_text())
    assert type_in(*typed, experiment="late") == 0
    (parent,) = runs.find_sweep_runs("late")
    assert parent.status == "FINISHED"
    (finished,) = places(parent).values()
    assert finished.status == "FINISHED"


def test_a_run_again_takes_the_place_of_the_first(type_in):
    typed = ["-m", "feature=lfcc", "model=mlp"]
    assert type_in(*typed, experiment="again") == 0
    (parent,) = runs.find_sweep_runs("again")
    (first,) = places(parent).values()
    assert type_in(*typed, "rerun=true", experiment="again") == 0
    (second,) = places(parent).values()
    assert second.run_id != first.run_id
    assert len(runs.find_sweep_runs("again")) == 1
    (kept,) = (run for run in runs.find_runs("again") if run.run_id == first.run_id)
    assert kept.status == "FINISHED"
    assert f"sweep.{parent.run_id}" not in kept.tags


def test_other_code_is_told(type_in, alone, capsys):
    typed = ["feature=lfcc", "model=mlp", "seed=1"]
    assert type_in(*typed, experiment="grid") == 0
    assert "other code" not in capsys.readouterr().err
    MlflowClient().set_tag(alone.run_id, "git_commit", "0123456789abcdef")
    assert type_in(*typed, experiment="grid") == 0
    assert "was run by other code, commit 012345678," in capsys.readouterr().err


@pytest.mark.parametrize("left", ["KILLED", pytest.param("RUNNING", marks=pytest.mark.slow)])
def test_ctrl_c_ends_the_sweep_as_killed_and_the_same_command_continues(left, type_in, monkeypatch):
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    typed = ["-m", "feature=lfcc,mfcc", "model=mlp"]
    environment = provenance.environment_provenance

    def interrupted():  # the last step before a cell trains
        os.kill(os.getpid(), signal.SIGINT)
        return environment()

    with monkeypatch.context() as patched:
        patched.setattr(provenance, "environment_provenance", interrupted)
        assert type_in(*typed, experiment=left) == 1
    signal.signal(signal.SIGINT, handler)
    (parent,) = runs.find_sweep_runs(left)
    (cell,) = places(parent).values()
    assert (parent.status, cell.status) == ("KILLED", "KILLED")
    for run in (parent, cell):  # a process that is killed leaves them RUNNING
        MlflowClient().update_run(run.run_id, status=left)
    assert type_in(*typed, experiment=left) == 0
    (parent,) = runs.find_sweep_runs(left)
    assert [run.status for run in (parent, *places(parent).values())] == ["FINISHED"] * 3
