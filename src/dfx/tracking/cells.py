"""Cells of a sweep in MLflow, and the parent run that groups them.

A cell is an ordinary run. Its tag `sweep.<id of the parent>` holds its position in the grid
(`feature=lfcc model=lcnn seed=0`); a run that belongs to several sweeps has one such tag for each. The parent holds the
axes. Cells are not MLflow's nested runs, which the UI folds and leaves out of its charts. Nothing is stored outside
MLflow, so the same command continues a sweep that was killed.
"""

from __future__ import annotations

import functools
import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from mlflow.entities import Metric, Run, RunTag
from mlflow.tracking import MlflowClient
from omegaconf import DictConfig

from dfx.config.identity import BOOKKEEPING, chosen_options
from dfx.files import os_error_sentence
from dfx.tracking import database, provenance, runs, ui
from dfx.tracking.launchers import PARENT_VARIABLE
from dfx.tracking.runs import RunRecord

MAX_TAG = 5000  # characters, MLflow's limit


def is_sweep_cell() -> bool:
    """Whether this process runs a cell of a sweep.

    Hydra started it, or the command of the cell (`cell_command`).
    """
    return PARENT_VARIABLE in os.environ and HydraConfig.initialized()


def cell_tags() -> dict[str, str]:
    """Return the tags of a run: its command, its sweep and its position in the sweep; none outside Hydra."""
    if not HydraConfig.initialized():
        return {}
    found = {"command": f"python {shlex.join(cell_command())}"[:MAX_TAG]}
    if is_sweep_cell():
        parent = os.environ[PARENT_VARIABLE]
        found[cell_position_tag(parent)] = _position(parent)
    return found


def cell_position_tag(parent: str) -> str:
    """Return the name of the tag for the position of a run in a sweep."""
    return f"sweep.{parent}"


def add_cell_to_sweep(run: Run, wanted: dict[str, str]) -> None:
    """Add a finished run to this sweep.

    `wanted` are the tags of a new run; those of the sweep are added.
    """
    held = run.data.tags
    changed = [
        RunTag(key, value)
        for key, value in wanted.items()
        if (key.startswith("sweep.") or (key == "command" and key not in held)) and held.get(key) != value
    ]
    if changed:
        with database.defer_interrupts():
            MlflowClient().log_batch(run.info.run_id, tags=changed)


def finished_cell_dev_eer(cfg: DictConfig, identity: str) -> float | None:
    """Look up the dev EER of the finished run with this identity; None if there is no such run."""
    finished = f"tags.config_hash = '{identity}' and attributes.status = 'FINISHED'"
    found = runs.find_runs(cfg.experiment_name, query=finished)
    return found[0].metrics.get("dev/eer") if found else None


def cell_error_text(error: Exception) -> str:
    """Convert an error to the text of a tag: its message, and the type of an error that is not for users."""
    for_users = isinstance(error, ValueError | OSError)
    text = os_error_sentence(error) if isinstance(error, OSError) else str(error)
    return (text if for_users else f"{type(error).__name__}: {error}")[:MAX_TAG]


def record_cell_without_result(cfg: DictConfig, sentence: str, skipped: bool) -> None:
    """Record in MLflow why the cell of this process has no result.

    It stands in the run of the cell, or in a new run if there is none yet.

    Args:
        cfg: configuration of the cell.
        sentence: the reason.
        skipped: whether it cannot have a result (feature and model do not fit), which is no failure.
    """
    parent, labels = os.environ[PARENT_VARIABLE], cell_tags()
    experiment_id = database.experiment_id(cfg.experiment_name)
    client = MlflowClient()
    # Locked, since all processes of a cell on several nodes call this, and together they have one run.
    with database.create_lock(), database.defer_interrupts():
        tag = cell_position_tag(parent)
        cell = [run for run in runs.find_runs(sweep=parent) if run.tags[tag] == labels[tag]]
        unfinished = [run for run in cell if run.status != "FINISHED"]
        if unfinished:
            run_id, held = unfinished[0].run_id, unfinished[0].tags
        else:
            options = chosen_options(cfg)
            name = "-".join(options.get(key, "?") for key in ("feature", "model", "dataset"))
            made = client.create_run(
                experiment_id,
                run_name=f"{name}-s{cfg.seed}",
                tags={**options, **labels, **provenance.code_provenance()},
            )
            run_id, held = made.info.run_id, {}
        stale = "error" if skipped else "skipped"
        if stale in held:
            client.delete_tag(run_id, stale)
        client.set_tag(run_id, "skipped" if skipped else "error", sentence[:MAX_TAG])
        client.set_terminated(run_id, "KILLED" if skipped else "FAILED")


def open_sweep_parent(experiment_name: str, identity: str, name: str, labels: dict[str, str]) -> str:
    """Open the parent run of a sweep and return its id.

    If the same sweep was started before, its old parent run is opened again.
    """
    experiment_id = database.experiment_id(experiment_name)
    ui.add_shared_view(experiment_id)
    client = MlflowClient()
    with database.create_lock(), database.defer_interrupts():
        known = client.search_runs([experiment_id], f"tags.sweep_hash = '{identity}'", max_results=1)
        if known:
            run_id: str = known[0].info.run_id
            client.update_run(run_id, "RUNNING")
            client.log_batch(run_id, tags=[RunTag(key, value) for key, value in labels.items()])
            return run_id
        made = client.create_run(
            experiment_id,
            run_name=name,
            tags={"kind": "sweep", "sweep_hash": identity, **labels, **provenance.code_provenance()},
        )
        return str(made.info.run_id)


def describe_sweep_parent(parent: str, metrics: Mapping[str, float], text: str) -> None:
    """Log the headline metrics of a sweep with its parent run, and set its description."""
    client = MlflowClient()
    held = client.get_run(parent).data.metrics
    points = [Metric(key, value, database.now_ms(), 0) for key, value in metrics.items() if held.get(key) != value]
    with database.defer_interrupts():
        client.log_batch(parent, metrics=points)
    ui.set_run_description(parent, text)


@database.defer_interrupts()
def close_sweep_parent(parent: str, status: str, num_cells: int | None = None) -> None:
    """Close the parent run of a sweep as FINISHED, FAILED or KILLED, with the number of cells if given."""
    client = MlflowClient()
    if num_cells is not None:
        client.set_tag(parent, "cells", num_cells)
    client.set_terminated(parent, status)


def drop_superseded_runs(parent: str, began_ms: int) -> list[RunRecord]:
    """Drop old runs of a sweep if a later run of the same cell replaces them; return the rest.

    The newest result of a cell counts: an older one (`rerun=true`) leaves the sweep, and a failure from before
    `began_ms` is deleted (in MLflow's sense, `mlflow gc` makes it final). A cell that failed now and has an older
    result keeps both.
    """
    client = MlflowClient()
    kept = []
    cells: dict[str, list[RunRecord]] = {}
    for run in runs.find_runs(sweep=parent):
        cells.setdefault(run.tags[cell_position_tag(parent)], []).append(run)
    for found in cells.values():
        newest = sorted(found, key=lambda run: (run.status == "FINISHED", run.end_ms or 0), reverse=True)
        kept.append(newest[0])
        for run in newest[1:]:
            if run.status == "FINISHED":
                client.delete_tag(run.run_id, cell_position_tag(parent))
            elif run.status != "RUNNING" and (run.end_ms or 0) < began_ms:
                client.delete_run(run.run_id)
            else:
                kept.append(run)
    return kept


def _position(parent: str) -> str:
    """Return the overrides of this cell for the axes of its sweep.

    If the axes are not known: all overrides that change the result.
    """
    axes = _axes(parent)
    keys = {override: override.partition("=")[0] for override in HydraConfig.get().overrides.task}
    return shlex.join(o for o, key in keys.items() if (key in axes if axes else key not in BOOKKEEPING))


@functools.cache
def _axes(parent: str) -> tuple[str, ...]:
    return tuple(json.loads(runs.get_run(parent).tags["axes"]))


def cell_command() -> list[str]:
    """Build the command that runs this cell alone: arguments after `python`."""
    hydra = HydraConfig.get()
    folders = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    words = [part for folder in folders for part in ("--config-dir", str(Path(folder)))]
    # Without it an experiment that is a sweep would start the whole sweep.
    mode = ["hydra.mode=RUN"] if hydra.sweeper.get("params") else []
    return ["-m", f"dfx.{hydra.job.config_name}", *words, *hydra.overrides.task, *mode]
