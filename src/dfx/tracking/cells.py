"""The cells of a sweep and the parent run that groups them, as MLflow keeps them.

A cell is an ordinary run. Its tag `sweep.<parent>` says that it belongs to a sweep and where in the grid it stands
(`feature=lfcc model=lcnn seed=0`); a run that several sweeps share has one such tag for each. The parent carries the
axes. Nothing is kept beside MLflow, so a sweep that was killed is found again by whoever repeats its command.
"""

from __future__ import annotations

import functools
import json
import os
import shlex
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from mlflow.entities import Run, RunTag
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from omegaconf import DictConfig

from dfx.config.identity import BOOKKEEPING, choices
from dfx.tracking import database, provenance, runs
from dfx.tracking.launchers import PARENT
from dfx.tracking.runs import RunRecord

LONGEST = 5000  # characters of a tag, MLflow's limit


def inside() -> bool:
    """Whether this process is at a cell of a sweep, one that the sweep has launched or its own (`own_command`)."""
    return PARENT in os.environ and HydraConfig.initialized()


def tags() -> dict[str, str]:
    """What a run says of the command and of the sweep that it is in; nothing where Hydra did not start it."""
    if not HydraConfig.initialized():
        return {}
    found = {"command": f"python {shlex.join(own_command())}"[:LONGEST]}
    if inside():
        parent = os.environ[PARENT]
        found |= {MLFLOW_PARENT_RUN_ID: parent, place_tag(parent): _place(parent)}
    return found


def place_tag(parent: str) -> str:
    """Name of the tag that says where in a sweep a run stands."""
    return f"sweep.{parent}"


def adopt(run: Run, wanted: dict[str, str]) -> None:
    """Make a run that was finished before a cell of this sweep as well.

    Args:
        run: the run.
        wanted: its tags as they would be if it were run now; of these the ones of `tags` are written.
    """
    held = run.data.tags
    ours = {
        key: value for key, value in wanted.items() if key == MLFLOW_PARENT_RUN_ID or key.startswith("sweep.")
    }
    if "command" in wanted and "command" not in held:
        ours["command"] = wanted["command"]
    changed = [RunTag(key, value) for key, value in ours.items() if held.get(key) != value]
    if changed:
        with database.undisturbed():
            MlflowClient().log_batch(run.info.run_id, tags=changed)


def dev_eer(cfg: DictConfig, identity: str) -> float | None:
    """Result of the finished run of an identity; None where there is none."""
    finished = f"tags.config_hash = '{identity}' and attributes.status = 'FINISHED'"
    found = runs.find(cfg.experiment_name, query=finished)
    return found[0].metrics.get("dev/eer") if found else None


def text(error: Exception) -> str:
    """A failure as the text of a tag: the sentence of an error that is meant for users, or kind and message."""
    meant = isinstance(error, ValueError | OSError)
    return (str(error) if meant else f"{type(error).__name__}: {error}")[:LONGEST]


def record(cfg: DictConfig, sentence: str, skipped: bool) -> None:
    """Keep that the cell of this process has no result: in its run, or where it did not come to one, in a new one.

    Args:
        cfg: configuration of the cell.
        sentence: why.
        skipped: whether it cannot have a result (a pair that does not fit), so that nothing failed.
    """
    parent, labels = os.environ[PARENT], tags()
    experiment_id = database.experiment(cfg.experiment_name)
    place = labels[place_tag(parent)]
    client = MlflowClient()
    # Alone, since every process of a cell on several nodes comes here, and together they have one run.
    with database.alone(), database.undisturbed():
        unfinished = [run for run in _at(parent, place) if run.status != "FINISHED"]
        if unfinished:
            run_id, held = unfinished[0].run_id, unfinished[0].tags
        else:
            options = choices(cfg)
            name = "-".join(options.get(key, "?") for key in ("feature", "model", "dataset"))
            made = client.create_run(
                experiment_id,
                run_name=f"{name}-s{cfg.seed}",
                tags={**options, **labels, **provenance.code()},
            )
            run_id, held = made.info.run_id, {}
        stale = "error" if skipped else "skipped"
        if stale in held:
            client.delete_tag(run_id, stale)
        client.set_tag(run_id, "skipped" if skipped else "error", sentence[:LONGEST])
        client.set_terminated(run_id, "KILLED" if skipped else "FAILED")


def open_parent(experiment_name: str, identity: str, name: str, labels: dict[str, str]) -> str:
    """Run id of a sweep: the parent of the same sweep that was started before, or a new one; it is RUNNING then."""
    experiment_id = database.experiment(experiment_name)
    client = MlflowClient()
    with database.alone(), database.undisturbed():
        known = client.search_runs([experiment_id], f"tags.sweep_hash = '{identity}'", max_results=1)
        if known:
            run_id: str = known[0].info.run_id
            client.update_run(run_id, "RUNNING")
            client.log_batch(run_id, tags=[RunTag(key, value) for key, value in labels.items()])
            return run_id
        made = client.create_run(
            experiment_id,
            run_name=name,
            tags={"kind": "sweep", "sweep_hash": identity, **labels, **provenance.code()},
        )
        return str(made.info.run_id)


@database.undisturbed()
def close_parent(parent: str, status: str, num_cells: int | None = None) -> None:
    """End the run of a sweep as FINISHED, FAILED or KILLED, with the number of its cells where it was not known."""
    client = MlflowClient()
    if num_cells is not None:
        client.set_tag(parent, "cells", num_cells)
    client.set_terminated(parent, status)


def settle(parent: str, began_ms: int) -> list[RunRecord]:
    """The runs of a sweep, one for each cell, after what a later run has replaced was put away.

    Of a cell with a result the newest one counts: an older result (`rerun=true`) leaves the sweep, a failure from
    before this start is deleted, as MLflow deletes: `mlflow gc` is what makes it final. A cell that failed now although
    it has a result from before has both.
    """
    client = MlflowClient()
    kept = []
    cells: dict[str, list[RunRecord]] = {}
    for run in runs.find(sweep=parent):
        cells.setdefault(run.tags[place_tag(parent)], []).append(run)
    for found in cells.values():
        newest = sorted(found, key=lambda run: (run.status == "FINISHED", run.end_ms or 0), reverse=True)
        kept.append(newest[0])
        for run in newest[1:]:
            if run.status == "FINISHED":
                for tag in (place_tag(parent), MLFLOW_PARENT_RUN_ID):
                    if parent in (tag.partition(".")[2], run.tags.get(tag)):
                        client.delete_tag(run.run_id, tag)
            elif run.status != "RUNNING" and (run.end_ms or 0) < began_ms:
                client.delete_run(run.run_id)
            else:
                kept.append(run)
    return kept


def _at(parent: str, place: str) -> list[RunRecord]:
    return [run for run in runs.find(sweep=parent) if run.tags[place_tag(parent)] == place]


def _place(parent: str) -> str:
    """The overrides that are this cell's own, in the order of the axes.

    Where no axes are known, all but those that change nothing of what is computed.
    """
    axes = _axes(parent)
    keys = {override: override.partition("=")[0] for override in HydraConfig.get().overrides.task}
    return shlex.join(o for o, key in keys.items() if (key in axes if axes else key not in BOOKKEEPING))


@functools.cache
def _axes(parent: str) -> tuple[str, ...]:
    return tuple(json.loads(runs.get(parent).tags["axes"]))


def own_command() -> list[str]:
    """What makes this run alone, as arguments of Python."""
    hydra = HydraConfig.get()
    folders = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    words = [part for folder in folders for part in ("--config-dir", str(Path(folder)))]
    # An experiment that is a sweep would start the sweep.
    mode = ["hydra.mode=RUN"] if hydra.sweeper.get("params") else []
    return ["-m", f"dfx.{hydra.job.config_name}", *words, *hydra.overrides.task, *mode]
