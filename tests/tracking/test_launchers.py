"""Launchers: settings of this machine, and six cells at the same time in an empty folder."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from hydra import compose, initialize_config_dir
from mlflow.tracking import MlflowClient
from omegaconf import DictConfig

from dfx.audio import workers as processes
from dfx.config.schema import CONF_DIR, register_schema
from dfx.tracking import launchers

register_schema()
launchers.register_launchers()


def composed(launcher: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose("train", [f"hydra/launcher={launcher}", *overrides], return_hydra_config=True)


@pytest.mark.parametrize("path", sorted((CONF_DIR / "hydra" / "launcher").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_file_composes_to_a_launcher_that_is_installed(path: Path) -> None:
    cfg = composed(path.stem)
    launchers.prepare_launcher(cfg, 6)
    assert cfg.hydra.launcher._target_.startswith("hydra_plugins.")


def test_as_many_workers_as_cores_cells_and_memory_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    def workers(num_cells: int | None, free: float, *overrides: str) -> Any:
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


def test_cells_that_would_take_the_same_devices_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match=r"several devices.*leave the launcher out"):
        launchers.prepare_launcher(composed("joblib", "trainer=ddp"), 6)


def test_a_launcher_that_is_not_installed_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for launcher, extra in (("ray", "ray"), ("submitit_slurm", "slurm")):
        with pytest.raises(ValueError, match=rf"hydra/launcher={launcher} .*pip install 'dfx\[{extra}\]'"):
            launchers.prepare_launcher(composed(launcher), 6)


def test_a_cluster_gets_folder_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    monkeypatch.setenv("DFX_CACHE", "/shared/cache")
    cfg = composed("ray", "hydra.launcher.ray.init.address=auto")
    launchers.prepare_launcher(cfg, 6)
    passed = cfg.hydra.launcher.ray.init.runtime_env.env_vars
    assert passed.MLFLOW_TRACKING_URI == "http://server:5000"
    assert passed.DFX_CACHE == "/shared/cache"
    assert str(Path.cwd()) == passed.DFX_FOLDER
    assert cfg.hydra.launcher.ray.init.object_store_memory is None


SIX_AT_ONCE = {
    "joblib": ["hydra.launcher.n_jobs=6"],
    "ray": ["hydra.launcher.ray.remote.num_cpus=0.1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "ray"])
def test_six_cells_at_once_on_a_fresh_folder_lose_nothing(launcher: str, corpus_file: Path, tmp_path: Path) -> None:
    done = sweep(tmp_path, corpus_file, launcher)
    assert done.returncode == 0, done.stderr
    assert "UserWarning" not in done.stderr
    assert done.stdout.count("dev EER") == 6
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("dfx").experiment_id])
    assert [run.info.status for run in found] == ["FINISHED"] * 7
    (parent,) = [run for run in found if run.data.tags.get("kind") == "sweep"]
    cells = [run for run in found if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    places = {run.data.tags[f"sweep.{parent.info.run_id}"] for run in cells}
    assert places == {f"model={model} seed={seed}" for model in ("mlp", "lcnn_light") for seed in range(3)}
    names = [{name for name in run.data.metrics if not name.startswith("system/")} for run in cells]
    assert len(names[0]) > 20
    assert all(one == names[0] for one in names)
    for run in cells:
        history = client.get_metric_history(run.info.run_id, "epoch/dev/eer")
        assert [point.step for point in history] == [0, 1]
    began = time.monotonic()
    while left := processes_in(tmp_path):
        assert time.monotonic() - began < 60, left
        time.sleep(0.5)


def sweep(folder: Path, corpus_file: Path, launcher: str) -> subprocess.CompletedProcess[str]:
    command = [
        *(sys.executable, "-m", "dfx.train", "-m", f"hydra/launcher={launcher}", *SIX_AT_ONCE[launcher]),
        *("model=mlp,lcnn_light", "seed=0,1,2", "dataset=manifest", f"dataset.path={corpus_file}"),
        *("segment_seconds=0.5", "trainer.accelerator=cpu", "trainer.max_epochs=2", "data.batch_size=8"),
    ]
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return subprocess.run(
        command,
        cwd=folder,
        env={**environment, "DFX_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def processes_in(folder: Path) -> list[str]:
    """Names of the processes that work in a folder; what a launcher starts is started there."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == folder:
                found.append(process.name())
        except (psutil.Error, OSError):
            continue
    return found
