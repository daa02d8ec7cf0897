"""URIs of MLflow are paths of this machine or not; any folder can hold a database, and several can share one."""

import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote

import mlflow
import pytest
from mlflow.entities import Experiment, ExperimentTag
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import create_sqlalchemy_engine_with_retry

from dfx.tracking.database import experiment_id
from dfx.tracking.place import (
    default_database_uri,
    hide_password,
    local_path,
    name_default_database,
    tracking_error_sentence,
)

KIND = ExperimentTag("mlflow.experimentKind", "custom_model_development")
ODD = "my thesis (2)=ü, 50%25?"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/runs/my thesis/1", "/runs/my thesis/1"),
        ("file:///runs/my%20thesis/1", "/runs/my thesis/1"),
        ("sqlite:////runs/my%20thesis/mlflow.db", "/runs/my thesis/mlflow.db"),
        ("sqlite:///mlflow.db", "mlflow.db"),
        ("sqlite:////runs/mlflow.db?timeout=60&uri=true", "/runs/mlflow.db"),
        ("sqlite:////runs/why%3F/mlflow.db?timeout=60", "/runs/why?/mlflow.db"),
        ("s3://bucket/1", None),
        ("mlflow-artifacts:/1/artifacts", None),
        ("http://127.0.0.1:5000", None),
    ],
)
def test_a_uri_as_a_path(uri: str, path: str | None) -> None:
    assert local_path(uri) == (Path(path) if path else None)


def test_the_database_of_an_odd_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    name_default_database()
    assert "MLFLOW_TRACKING_URI" not in os.environ  # the default of MLflow is right
    (tmp_path / ODD).mkdir()
    monkeypatch.chdir(tmp_path / ODD)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    del os.environ["MLFLOW_TRACKING_URI"]
    name_default_database()
    assert os.environ["MLFLOW_TRACKING_URI"] == default_database_uri()
    assert local_path(default_database_uri()) == tmp_path / ODD / "mlflow.db"


def test_a_folder_in_place_of_the_database_is_refused_at_once(home, monkeypatch):
    (home / "folder.db").mkdir()
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: f"sqlite:///{home}/folder.db")
    began = time.monotonic()
    with pytest.raises(IsADirectoryError):
        experiment_id("x")
    assert time.monotonic() - began < 10  # MLflow itself tries for two minutes


def test_a_database_of_another_version_of_mlflow_is_named(home, monkeypatch):
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "postgresql://me:secret@host/runs")
    text = tracking_error_sentence(MlflowException("Detected out-of-date database schema (found version a"))
    assert text.startswith(
        "MLflow's database postgresql://me:***@host/runs was made by another version of MLflow. Copy"
    )


@pytest.mark.parametrize("password", ["secret", "sec/ret", "s@cr@t", "sec%2Fret", "sec:ret"])
def test_no_part_of_a_password_is_shown(password):
    uri = f"postgresql://me:{password}@host:5432/runs"
    assert hide_password(uri) == "postgresql://me:***@host:5432/runs"
    assert hide_password(f"no {uri}, {unquote(password)}", uri) == "no postgresql://me:***@host:5432/runs, ***"
    assert hide_password("sqlite:////a/b.db") == "sqlite:////a/b.db"
    assert hide_password("http://host:5000") == "http://host:5000"


def test_a_missing_package_is_no_bad_address(home):
    assert tracking_error_sentence(ModuleNotFoundError("No module named 'x'", name="x")) == ""
    assert "MLFLOW_TRACKING_URI" in tracking_error_sentence(ModuleNotFoundError("psycopg2", name="psycopg2"))


def test_a_database_is_made_in_a_folder_whose_name_looks_encoded(tmp_path, monkeypatch):
    class Client:  # opens a database as MLflow's does, without its seconds of work
        def __init__(self, uri):
            self.engine = create_sqlalchemy_engine_with_retry(uri)

        def search_experiments(self, **options):
            with self.engine.begin() as connection:
                connection.exec_driver_sql("create table made (id int)")

    folder = tmp_path / "why?a%20b"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("dfx.tracking.database.MlflowClient", Client)
    monkeypatch.setattr(mlflow, "get_tracking_uri", default_database_uri)
    monkeypatch.setattr(mlflow, "set_experiment", lambda name: Experiment("1", name, "", "active", [KIND]))
    assert experiment_id("new") == "1"
    assert list(tmp_path.rglob("*.db")) == [folder / "mlflow.db"]


@pytest.mark.slow
def test_several_folders_share_a_new_database(tmp_path: Path) -> None:
    code = "from dfx.tracking.database import experiment_id; print(experiment_id('shared'))"
    odd = tmp_path / "my thesis (2)=ü,"
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{odd}/shared.db"}
    folders = [tmp_path / name for name in ("a", "b", "c d", "e=f")]
    for folder in (odd, *folders):
        folder.mkdir()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for folder in folders
    ]
    said = [process.communicate(timeout=300) for process in started]
    assert {out for out, _ in said} == {b"1\n"}, said
    assert (odd / "shared.db").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a", "b", "c d", "e=f", odd.name])
