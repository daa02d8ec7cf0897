"""The run as MLflow keeps it; the only writer to MLflow."""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
from filelock import FileLock, Timeout
from mlflow.entities import Metric, Param, Run, RunStatus
from mlflow.tracking import MlflowClient
from omegaconf import DictConfig, OmegaConf

from dfx.config.schema import flatten
from dfx.tables.manifest import Manifest
from dfx.tracking import cells, database, provenance
from dfx.tracking.database import ROOT, experiment, now_ms, undisturbed

OUTCOMES = ("error", "skipped")  # tags that say why a run has no result


@dataclass
class TrackedRun:
    """One run in MLflow, new, continued or finished long ago.

    Attributes:
        run_id: MLflow's.
        name: what was run: feature, model, corpus and seed.
        folder: where the run keeps its checkpoints and artifacts while it works.
        finished: whether an earlier process finished it; then there is nothing to do.
        metrics: what MLflow holds of it.
    """

    run_id: str
    folder: Path
    name: str = ""
    finished: bool = False
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def artifacts(self) -> Path:
        """Folder whose content `log_artifacts` hands over."""
        path = self.folder / "artifacts"
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def artifact_uri(self) -> str:
        """Where MLflow keeps the artifacts; a path for local stores."""
        uri: str = MlflowClient().get_run(self.run_id).info.artifact_uri
        return uri.removeprefix("file://")

    @undisturbed()
    def log_history(self, history: list[dict[str, float]]) -> None:
        """Curves by epoch, `epoch/dev/eer` …; epochs that MLflow has are not written twice."""
        client = MlflowClient()
        known = len(client.get_metric_history(self.run_id, "epoch/dev/eer"))
        points = [
            Metric(f"epoch/{name}", value, now_ms(), epoch)
            for epoch, record in enumerate(history)
            if epoch >= known
            # The EER is written last, so an epoch that counts as known is known whole.
            for name, value in sorted(record.items(), key=lambda item: item[0] == "dev/eer")
        ]
        if points:
            client.log_batch(self.run_id, metrics=points)

    @undisturbed()
    def log_metrics(self, metrics: dict[str, float]) -> None:
        """Final metrics; a value that is there already is not written again."""
        client = MlflowClient()
        held = client.get_run(self.run_id).data.metrics
        points = [Metric(key, value, now_ms(), 0) for key, value in metrics.items() if held.get(key) != value]
        for first in range(0, len(points), 1000):  # MLflow's limit for a batch
            client.log_batch(self.run_id, metrics=points[first : first + 1000])
        self.metrics.update(metrics)

    def log_artifacts(self) -> None:
        """Hand everything in `artifacts` over to MLflow."""
        MlflowClient().log_artifacts(self.run_id, str(self.artifacts))

    @undisturbed()
    def warn(self, sentence: str) -> None:
        """Keep a warning with the run, where the UI and the report show it."""
        MlflowClient().set_tag(self.run_id, "warning", sentence[:5000])


@contextmanager
def track(
    cfg: DictConfig, identity: str, manifest: Manifest, tags: dict[str, str], say: Callable[[str], None]
) -> Iterator[TrackedRun]:
    """The run of this identity: a finished one as it is, an interrupted one to be continued, or a new one.

    A lock on the identity makes sure that one process at a time works on it; it is let go when the process dies. The
    run closes as FINISHED, KILLED (interrupted) or FAILED.

    Args:
        cfg: resolved configuration of the run; logged as flattened parameters.
        identity: `config.config_hash`.
        manifest: the corpus; logged as the run's dataset.
        tags: further tags: the options, and what `cells.tags` says of a sweep.
        say: called with a sentence when there is something to tell.
    """
    from pytorch_lightning.utilities import rank_zero_only  # here: a report does without Lightning, seconds

    if getattr(rank_zero_only, "rank", 0) or int(os.environ.get("NODE_RANK", "0")):
        # A process beside the first, of this machine or another: it computes, the first one keeps the books.
        yield TrackedRun(run_id="", folder=_work_folder(cfg, identity))
        return
    experiment_id = experiment(cfg.experiment_name)
    lock = FileLock(f"{_work_folder(cfg, identity)}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("The same run is in progress in another process: waiting for it to end.")
        lock.acquire()
    try:
        client = MlflowClient()
        runs = client.search_runs([experiment_id], f"tags.config_hash = '{identity}'", max_results=50)
        finished = [run for run in runs if run.info.status == "FINISHED"]
        folder = _work_folder(cfg, identity)
        if finished and not cfg.rerun:
            run = finished[0]
            cells.adopt(run, tags)
            _tell_other_code(run, say)
            yield TrackedRun(run.info.run_id, folder, run.info.run_name, True, dict(run.data.metrics))
            return
        # Only those of this folder: another's is another process's, and so are its checkpoints.
        open_runs = [
            run
            for run in runs
            if run.info.status != "FINISHED" and run.data.tags.get("work") == _place(folder)
        ]
        with _opened(client, experiment_id, open_runs, cfg, identity, manifest, tags, say) as run:
            yield run
        shutil.rmtree(run.folder, ignore_errors=True)
    finally:
        lock.release()


@contextmanager
def _opened(
    client: MlflowClient,
    experiment_id: str,
    open_runs: list[Run],
    cfg: DictConfig,
    identity: str,
    manifest: Manifest,
    tags: dict[str, str],
    say: Callable[[str], None],
) -> Iterator[TrackedRun]:
    folder = _work_folder(cfg, identity)
    tags = {
        **tags,
        "config_hash": identity,
        "manifest_hash": manifest.hash,
        "work": _place(folder),
        **provenance.code(),
    }
    mlflow.enable_system_metrics_logging()
    name = f"{tags['feature']}-{tags['model']}-{manifest.name or tags['dataset']}-s{tags['seed']}"
    status = RunStatus.FAILED
    try:  # from the start: MLflow closes at exit what is still open, and calls it FINISHED
        with undisturbed():
            if open_runs:
                active = mlflow.start_run(run_id=open_runs[0].info.run_id, tags=tags)
                for tag in set(OUTCOMES) & set(
                    active.data.tags
                ):  # it failed; whether it still does, is to be seen
                    client.delete_tag(active.info.run_id, tag)
                if any(folder.glob("*.ckpt")):
                    say(f"Continuing the interrupted run {name} where its last whole epoch ended.")
            else:
                shutil.rmtree(folder, ignore_errors=True)  # what a run that is gone from MLflow left behind
                active = mlflow.start_run(experiment_id=experiment_id, run_name=name, tags=tags)
            folder.mkdir(parents=True, exist_ok=True)
            run = TrackedRun(active.info.run_id, folder, name)
            _log_identity(client, run, cfg, manifest)
        yield run
        status = RunStatus.FINISHED
    except (KeyboardInterrupt, SystemExit):  # Lightning turns SIGTERM, and Ctrl-C, into SystemExit
        status = RunStatus.KILLED
        raise
    except Exception as error:
        active = mlflow.active_run()
        if active:
            client.set_tag(active.info.run_id, "error", cells.text(error))
        raise
    finally:
        with undisturbed():
            mlflow.end_run(RunStatus.to_string(status))


def _tell_other_code(run: Run, say: Callable[[str], None]) -> None:
    then, now = run.data.tags.get("git_commit", ""), provenance.code()["git_commit"]
    if then != now:
        # A hash is cut to what people compare; "none (installed package)" is not.
        first, second = (commit if " " in commit else commit[:9] for commit in (then, now))
        say(f"Note: {run.info.run_name} was run by other code, commit {first}, and this is {second}.")


def _log_identity(client: MlflowClient, run: TrackedRun, cfg: DictConfig, manifest: Manifest) -> None:
    """Parameters, the configuration and the environment as files, and the corpus; the same again after a resume."""
    leaves = flatten(OmegaConf.to_container(cfg, resolve=True))
    # What a corpus' authors publish is in config.yaml. 6,000 characters: MLflow's limit.
    params = [Param(key, str(value)[:6000]) for key, value in leaves.items() if ".facts." not in key]
    held = client.get_run(run.run_id)
    missing = [param for param in params if param.key not in held.data.params]
    for first in range(0, len(missing), 100):
        client.log_batch(run.run_id, params=missing[first : first + 100])
    if not held.inputs or not held.inputs.dataset_inputs:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".*integer column.*"
            )  # advice for models with missing values
            source = mlflow.data.from_pandas(
                manifest.table.drop(columns="path"), name=manifest.name or "corpus", digest=manifest.hash
            )
            with database.alone():  # or two that are the first to name a corpus both make it, and one fails
                mlflow.log_input(source, context="train, dev and eval")
    (run.artifacts / "config.yaml").write_text(OmegaConf.to_yaml(cfg, resolve=True), encoding="utf-8")
    versions = json.dumps(provenance.environment(), indent=2)
    (run.artifacts / "environment.json").write_text(f"{versions}\n", encoding="utf-8")


def log_report(
    experiment_name: str,
    run_name: str,
    files: Iterable[Path],
    metrics: dict[str, float],
    tags: dict[str, str],
) -> None:
    """Keep a report that was not trained for: its files and its numbers, as a run of their own."""
    experiment_id = experiment(experiment_name)
    client = MlflowClient()
    with undisturbed():
        run = client.create_run(experiment_id, run_name=run_name, tags={**tags, **provenance.code()})
        status = "FAILED"
        try:
            points = [Metric(key, value, now_ms(), 0) for key, value in metrics.items()]
            for first in range(0, len(points), 1000):  # MLflow's limit for a batch
                client.log_batch(run.info.run_id, metrics=points[first : first + 1000])
            for file in files:
                client.log_artifact(run.info.run_id, str(file))
            status = "FINISHED"
        finally:
            client.set_terminated(run.info.run_id, status)


def log_files(run_id: str, files: Iterable[Path], folder: str) -> None:
    """Keep files with a run that is there already, in a folder of its artifacts."""
    with undisturbed():
        for file in files:
            MlflowClient().log_artifact(run_id, str(file), folder)


def _work_folder(cfg: DictConfig, identity: str) -> Path:
    """Where a run works: the same for every process of it, and another for another experiment."""
    experiment = re.sub(r"[^A-Za-z0-9_-]", "_", cfg.experiment_name)
    return ROOT / "progress" / f"{experiment}-{identity[:16]}"


def _place(folder: Path) -> str:
    """A name of the work folder; the same on every machine that shares it, as the nodes of a cluster do."""
    file = folder.with_name(f"{folder.name}.id")
    if not file.exists():
        partial = file.with_suffix(".partial")
        partial.write_text(uuid.uuid4().hex, encoding="utf-8")
        partial.replace(file)
    return file.read_text(encoding="utf-8")
