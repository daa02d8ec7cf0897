"""Launchers of a sweep (joblib, Ray, SLURM): machine settings, and cells that use several devices.

The launchers are plugins of Hydra, configured in `conf/hydra/launcher/`. What depends on the machine and the sweep
(cores, memory, number of cells) is filled in here before the first cell starts.
"""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import os
import shlex
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import psutil
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from dfx.audio import workers
from dfx.config.schema import CONF_DIR

EXTRAS = {"hydra_ray_launcher": "ray", "hydra_submitit_launcher": "slurm"}  # plugin -> extra of dfx
CELL_BYTES = 2 * 2**30  # a process with torch, Lightning, MLflow and a batch
PASSED_ON = ("DFX_", "MLFLOW_", "OMP_WAIT_POLICY")  # environment of processes on other machines
PARENT_VARIABLE = "DFX_SWEEP"  # environment variable of a cell: run id of the sweep's parent
PROCESS_VARIABLE = "DFX_SWEEP_PROCESS"  # environment variable of a cell: process id of the sweep's command
FOLDER_VARIABLE = "DFX_FOLDER"  # environment variable of a cell: where the sweep's command was typed
EXIT_RECORDED = 3  # exit status of a cell's own process that has recorded why it has no result
RAY_OBJECT_STORE_BYTES = 80 * 2**20  # Ray's minimum; cells exchange no objects
RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no usage reports to Ray's authors
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # num_gpus=0 hides no GPU
    "RAY_DEDUP_LOGS": "0",  # print every line of a cell, not "repeated 5x across cluster"
    "RAY_COLOR_PREFIX": "0",
}


def register_launchers() -> None:
    """Make Hydra use the files of `conf/hydra/launcher` unchanged.

    Call it before Hydra composes.

    Hydra would check a file against the plugin's own option of the same name, and warn that it will stop doing so.
    """
    Plugins.instance()  # finds the plugins, which store their options
    options = ConfigStore.instance().repo["hydra"]["launcher"]
    for path in (CONF_DIR / "hydra" / "launcher").glob("*.yaml"):
        options.pop(path.name, None)


def prepare_launcher(config: DictConfig, num_cells: int | None) -> None:
    """Set the options of a sweep's launcher that depend on this machine.

    Call it before Hydra creates the launcher.

    Args:
        config: Hydra's configuration of a multirun; its node `hydra.launcher` is changed.
        num_cells: cells of the sweep; None if a sweeper decides it.

    Raises:
        ValueError: if the launcher is not installed, or cells side by side would take the same devices.
    """
    launcher = config.hydra.launcher
    plugin = launcher._target_.split(".")[1]
    if plugin in EXTRAS and importlib.util.find_spec(f"hydra_plugins.{plugin}") is None:
        chosen = config.hydra.runtime.choices.get("hydra/launcher", plugin)
        raise ValueError(
            f"hydra/launcher={chosen} needs a package that is not installed here: pip install 'dfx[{EXTRAS[plugin]}]'."
        )
    with read_write(config.hydra), open_dict(launcher):
        if plugin == "hydra_joblib_launcher":
            _prepare_joblib(launcher, config.trainer, num_cells)
        elif plugin == "hydra_ray_launcher":
            _prepare_ray(launcher.ray.init)


def _prepare_joblib(launcher: DictConfig, trainer: DictConfig, num_cells: int | None) -> None:
    if several_devices(trainer):
        raise ValueError(
            "trainer.devices takes several devices of this machine for one cell, but hydra/launcher=joblib has several "
            "cells at work at once, all on the same devices: leave the launcher out (one cell after the other), or use "
            "trainer=default."
        )
    if launcher.n_jobs == -1:
        room = psutil.virtual_memory().available // CELL_BYTES
        launcher.n_jobs = max(1, min(workers.num_cores(), room, num_cells or room))
    # joblib restarts a worker that uses much memory, and warns; nothing is lost.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given to the executor")


def _prepare_ray(init: DictConfig) -> None:
    for name, value in RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    # Ray logs its access token, and all that is passed to `init`.
    for name in ("ray._private.authentication", "hydra_plugins.hydra_ray_launcher._launcher_util"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if init.get("address") in (None, "local"):
        init.object_store_memory = RAY_OBJECT_STORE_BYTES
        return
    init.object_store_memory = None  # the cluster's own; Hydra's plugin would set it, which Ray refuses
    passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    given = init.get("runtime_env") or {}
    init.runtime_env = {
        "worker_process_setup_hook": f"{__name__}.enter_folder",
        **given,
        "env_vars": {**passed, FOLDER_VARIABLE: str(Path.cwd()), **(given.get("env_vars") or {})},
    }


def enter_folder() -> None:
    """Change to the working directory of the sweep's command, in a cell on a cluster: paths are relative to it."""
    os.chdir(os.environ[FOLDER_VARIABLE])


def end_with_sweep() -> None:
    """End this process, if it is one of joblib's, a second after the sweep's command was killed.

    Otherwise it would finish its cell and then wait for another one for ever, with its memory.
    """
    in_worker = multiprocessing.current_process().name.startswith("LokyProcess")
    if not in_worker or PROCESS_VARIABLE not in os.environ:  # only sweeps of dfx.train have a parent
        return
    if not any(thread.name == PROCESS_VARIABLE for thread in threading.enumerate()):
        command = int(os.environ[PROCESS_VARIABLE])
        threading.Thread(target=_end_with, args=(command,), name=PROCESS_VARIABLE, daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def run_in_parallel() -> bool:
    """Whether several cells of the sweep run at the same time."""
    return _is_multirun() and not str(HydraConfig.get().launcher._target_).endswith(".BasicLauncher")


def several_devices(trainer: DictConfig) -> bool:
    """Whether the trainer configuration asks for more than one process."""
    wanted = trainer.get("devices", "auto"), trainer.get("num_nodes", 1), trainer.get("strategy", "auto")
    return tuple(map(str, wanted)) != ("1", "1", "auto")


def needs_own_process(trainer: DictConfig) -> bool:
    """Whether this cell must run in a separate process.

    Lightning starts the processes for further devices by repeating the command, which would be the whole sweep, and
    kills the first process when another one fails. Nothing is repeated if SLURM or torchrun starts them.
    """
    started_by_others = "LOCAL_RANK" in os.environ or int(os.environ.get("SLURM_NTASKS", "1")) > 1
    return _is_multirun() and several_devices(trainer) and not started_by_others


def run_in_own_process(command: Sequence[str]) -> None:
    """Run a cell in a separate process and wait for it.

    That process records why the cell has no result.

    Args:
        command: arguments of Python, `["-m", "dfx.train", "model=lcnn", …]`.

    Raises:
        ValueError: if it ends without having recorded the reason.
    """
    status = subprocess.run([sys.executable, *command], check=False).returncode
    if status not in (0, EXIT_RECORDED):
        raise ValueError(
            f"The processes of this cell ended with {workers.worker_exit_status(status)}; the error is printed above. "
            f"Alone it is run by: python {shlex.join(command)}"
        )


def _is_multirun() -> bool:
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
