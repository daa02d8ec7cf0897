"""Where MLflow keeps the runs: its database and the experiments in it, made once, whoever comes first."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from filelock import FileLock
from mlflow.tracking import MlflowClient

ROOT = Path("mlruns")
# MLflow tells of each migration, each new experiment and each monitor; none of it is for the users of dfx.
for _name in ("mlflow", "alembic"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait until a write to MLflow is whole.

    An interrupt in its midst leaves an open transaction behind: SQLite stays locked for this process, and the run is
    RUNNING for ever.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python gives signals to the main thread only
        return
    waiting: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: waiting.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if waiting:
        signal.raise_signal(signal.SIGINT)


@contextmanager
def alone() -> Iterator[None]:
    """One process at a time: for what is looked for and made where it is not there, since MLflow races with itself."""
    (ROOT / "progress").mkdir(parents=True, exist_ok=True)
    with FileLock(ROOT / "progress" / "create.lock"):
        yield


def experiment(name: str) -> str:
    """Id of the MLflow experiment of that name; made where there is none, and the database with it."""
    with alone(), undisturbed():
        _create_database(mlflow.get_tracking_uri())
        found = mlflow.set_experiment(name)
        kind = ("mlflow.experimentKind", "custom_model_development")
        # The UI then opens on runs, metrics and charts instead of on traces of language models.
        if kind not in found.tags.items():
            MlflowClient().set_experiment_tag(found.experiment_id, *kind)
        return str(found.experiment_id)


def ui_command() -> str:
    """What to type to see the runs."""
    address = os.environ.get("MLFLOW_TRACKING_URI")
    if address and address.startswith("http"):
        return address
    # By its place where the environment is not active, as after `make train`.
    command = (
        "mlflow" if shutil.which("mlflow") else os.path.relpath(Path(sys.executable).with_name("mlflow"))
    )
    return f"{command} ui --backend-store-uri {address}" if address else f"{command} ui"


def now_ms() -> int:
    """The time as MLflow counts it, ms since the epoch."""
    return int(time.time() * 1000)


def _create_database(uri: str) -> None:
    """Make a SQLite database that is not there yet beside its place, and move it there when it is whole.

    MLflow takes seconds to make one, and a process that is killed meanwhile leaves one that cannot be used.
    """
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or path.exists():
        return
    folder = path.parent / f"{path.name}.new"
    shutil.rmtree(folder, ignore_errors=True)  # with the journal of a process that was killed
    folder.mkdir(parents=True)
    MlflowClient(f"sqlite:///{folder / path.name}").search_experiments(max_results=1)
    (folder / path.name).replace(path)
    shutil.rmtree(folder)
