"""Create MLflow's database and experiments, safely with several processes and with Ctrl-C."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import mlflow
from mlflow.tracking import MlflowClient

from dfx.files import locked_folder
from dfx.tracking.place import SQLITE, VARIABLE, default_database_uri, local_path, sqlite_uri

ROOT = Path("mlruns")


@contextmanager
def defer_interrupts() -> Iterator[None]:
    """Delay Ctrl-C until a write to MLflow is complete.

    An interrupt during a write leaves an open transaction: SQLite stays locked for this process, and the run stays
    RUNNING for ever.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    waiting: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: waiting.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if waiting:
        signal.raise_signal(signal.SIGINT)


def create_lock() -> AbstractContextManager[None]:
    """Lock that lets one process at a time create an entry in MLflow.

    Without it, two processes may create the same entry.

    It lies beside the database, which processes with other working directories may use too.
    """
    uri = mlflow.get_tracking_uri()
    database = local_path(uri) if uri.startswith(SQLITE) else None
    folder = (database.parent if database else Path()) / ROOT / "progress"
    return locked_folder(folder, "creating an entry of MLflow in", lambda _: None, "create.lock")


def experiment_id(name: str) -> str:
    """Return the id of an MLflow experiment; create the experiment and the database if missing."""
    with create_lock(), defer_interrupts():
        _create_database(mlflow.get_tracking_uri())
        found = mlflow.set_experiment(name)
        kind = ("mlflow.experimentKind", "custom_model_development")
        # The UI then opens on runs, metrics and charts instead of on traces of language models.
        if kind not in found.tags.items():
            MlflowClient().set_experiment_tag(found.experiment_id, *kind)
        return str(found.experiment_id)


def ui_command() -> str:
    """Return the command or the web address that shows the runs."""
    address = os.environ.get(VARIABLE)
    if address == default_database_uri():
        address = None
    if address and address.startswith("http"):
        return address
    # With its path if the virtual environment is not active, as after `make train`.
    command = "mlflow" if shutil.which("mlflow") else os.path.relpath(Path(sys.executable).with_name("mlflow"))
    return f"{command} ui --backend-store-uri {shlex.quote(address)}" if address else f"{command} ui"


def now_ms() -> int:
    """Return the current time in milliseconds since 1970, as in MLflow."""
    return int(time.time() * 1000)


def _create_database(uri: str) -> None:
    """Create a missing SQLite database under a temporary name, then rename it.

    MLflow needs seconds to create one, and a process that is killed meanwhile would leave one that cannot be used.
    """
    path = local_path(uri)
    if not uri.startswith(SQLITE) or path is None:
        return
    if path.exists():
        path.open("rb").close()  # a folder, or no permission: MLflow would try it for two minutes
        return
    folder = path.parent / f"{path.name}.new"
    shutil.rmtree(folder, ignore_errors=True)  # left by a process that was killed
    folder.mkdir(parents=True)
    MlflowClient(sqlite_uri(folder / path.name)).search_experiments(max_results=1)
    (folder / path.name).replace(path)
    shutil.rmtree(folder)
