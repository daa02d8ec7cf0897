"""Launchers: settings of this machine, and six cells at the same time in an empty folder."""

import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from mlflow.tracking import MlflowClient

import setups
from dfx.audio import workers as processes
from dfx.config.schema import CONF_DIR
from dfx.tracking import launchers

launchers.register_launchers()


def composed(launcher, *overrides):
    return setups.composed(f"hydra/launcher={launcher}", *overrides, return_hydra_config=True)


@pytest.mark.parametrize("path", sorted((CONF_DIR / "hydra" / "launcher").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_file_composes_to_a_launcher_that_is_installed(path):
    cfg = composed(path.stem)
    launchers.prepare_launcher(cfg, 6)
    assert cfg.hydra.launcher._target_.startswith("hydra_plugins.")


def test_as_many_workers_as_cores_cells_and_memory_allow(monkeypatch):
    def workers(num_cells, free, *overrides):
        memory = type("Memory", (), {"available": int(free * 2**30)})
        monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
        cfg = composed("joblib", *overrides)
        launchers.prepare_launcher(cfg, num_cells)
        return cfg.hydra.launcher.n_jobs

    monkeypatch.setattr(processes, "num_cores", lambda: 16)
    assert workers(48, 100) == 16
    assert workers(6, 100) == 6
    assert workers(None, 100) == 16
    assert workers(48, 8.5) == 4
    assert workers(48, 0.1) == 1
    assert workers(48, 8.5, "hydra.launcher.n_jobs=7") == 7


def test_cells_that_would_take_the_same_devices_at_once_are_refused():
    with pytest.raises(ValueError, match=r"several devices.*leave the launcher out"):
        launchers.prepare_launcher(composed("joblib", "trainer=ddp"), 6)


def test_a_launcher_that_is_not_installed_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for launcher, extra in (("ray", "ray"), ("submitit_slurm", "slurm")):
        with pytest.raises(ValueError, match=rf"hydra/launcher={launcher} .*pip install 'dfx\[{extra}\]'"):
            launchers.prepare_launcher(composed(launcher), 6)


def test_a_cluster_gets_folder_and_environment(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    monkeypatch.setenv("DFX_CACHE", "/shared/cache")
    cfg = composed("ray", "hydra.launcher.ray.init.address=auto")
    launchers.prepare_launcher(cfg, 6)
    passed = cfg.hydra.launcher.ray.init.runtime_env.env_vars
    assert passed.MLFLOW_TRACKING_URI == "http://server:5000"
    assert passed.DFX_CACHE == "/shared/cache"
    assert str(Path.cwd()) == passed.DFX_FOLDER
    assert cfg.hydra.launcher.ray.init.object_store_memory is None


SIX_AT_ONCE = {"joblib": ["hydra.launcher.n_jobs=6"], "ray": ["hydra.launcher.ray.remote.num_cpus=0.1"]}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "ray"])
def test_six_cells_at_once_on_a_fresh_folder_lose_nothing(launcher, corpus_file, tmp_path):
    cells = ["feature=lfcc,mfcc", "seed=0,1,2", "model=mlp", "dataset=manifest", f"dataset.path={corpus_file}"]
    cells += ["segment_seconds=0.5", "trainer.accelerator=cpu", "trainer.max_epochs=2", "data.batch_size=8"]
    given = [f"hydra/launcher={launcher}", *SIX_AT_ONCE[launcher], *cells]
    done = setups.start_dfx(tmp_path, "train", "-m", *given, output=subprocess.PIPE)
    shown, told = done.communicate(timeout=900)
    assert done.returncode == 0, told
    assert "UserWarning" not in told
    assert shown.count("dev EER") == 6
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found = setups.runs_in(tmp_path)
    assert [run.info.status for run in found] == ["FINISHED"] * 7
    (parent,) = [run for run in found if run.data.tags.get("kind") == "sweep"]
    cells = [run for run in found if f"sweep.{parent.info.run_id}" in run.data.tags]
    places = {run.data.tags[f"sweep.{parent.info.run_id}"] for run in cells}
    assert places == {f"feature={feature} seed={seed}" for feature in ("lfcc", "mfcc") for seed in range(3)}
    names = [{name for name in run.data.metrics if not name.startswith("system/")} for run in cells]
    assert len(names[0]) > 20
    assert all(one == names[0] for one in names)
    for run in cells:
        history = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_metric_history(run.info.run_id, "epoch/dev/eer")
        assert [point.step for point in history] == [0, 1]
    wait_for_processes_in(tmp_path)


@pytest.mark.slow
def test_other_commands_than_train_run_in_joblib_too(tmp_path):
    (tmp_path / "scores.csv").write_text("id,label,score\na,bonafide,2.0\nb,bonafide,1.0\nc,spoof,0.0\nd,spoof,-1.0\n")
    command = ["evaluate", "-m", "hydra/launcher=joblib", "scores=scores.csv", "seed=0,1"]
    assert setups.start_dfx(tmp_path, *command).wait(300) == 0


@pytest.mark.slow
def test_a_sweep_killed_at_random_moments_ends_as_one_that_was_not(corpus_file, tmp_path):
    given = ["feature=lfcc,mfcc", "seed=0,1", "model=mlp", "dataset=manifest", f"dataset.path={corpus_file}"]
    given += ["segment_seconds=0.5", "trainer.accelerator=cpu", "trainer.max_epochs=3", "data.batch_size=8"]
    command = ["train", "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *given]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    began = time.monotonic()
    assert setups.start_dfx(whole, *command).wait(900) == 0
    usual = time.monotonic() - began
    generator = np.random.default_rng()
    for kill in (os.kill, os.killpg, os.kill):  # the command alone, or its workers too
        process = setups.start_dfx(killed, *command)
        time.sleep(generator.uniform(0.2, 0.8) * usual)
        kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_for_processes_in(killed)
    last = setups.start_dfx(killed, *command, output=subprocess.PIPE)
    _, told = last.communicate(timeout=900)
    assert last.returncode == 0, told
    assert "Traceback" not in told
    assert len(figures_in(killed)) == 5
    assert figures_in(killed) == figures_in(whole)
    assert not [path for path in (killed / "mlruns" / "progress").iterdir() if path.is_dir()]


def figures_in(folder):
    """Status, figures and artifacts of the runs in a folder, those that follow from the seed alone."""
    found = []
    for run in setups.runs_in(folder):
        names = ("feature", "model", "seed", "kind")
        figures = {key: value for key, value in run.data.metrics.items() if not key.startswith(("cost/", "best/"))}
        figures = {key: value for key, value in figures.items() if "seconds" not in key}
        place = setups.artifacts(run)
        files = sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())
        found.append([str(run.data.tags.get(name)) for name in names] + [run.info.status, figures, files])
    return sorted(found, key=lambda run: run[:5])


def wait_for_processes_in(folder):
    """Wait until no process works in a folder; one that stays is an error."""
    began = time.monotonic()
    while left := processes_in(folder):
        assert time.monotonic() - began < 60, left
        time.sleep(0.5)


def processes_in(folder):
    """Names of the processes that work in a folder; what a launcher starts is started there."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == folder:
                found.append(process.name())
        except (psutil.Error, OSError):
            continue
    return found
