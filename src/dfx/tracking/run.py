"""Open a run in MLflow, new or continued, and log its parameters, metrics and artifacts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
from mlflow.entities import Metric, Param, Run, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from omegaconf import DictConfig, OmegaConf

from dfx.config.identity import logged_params
from dfx.console import say
from dfx.files import file_digest, locked_folder, write_text_file
from dfx.tables.manifest import Manifest
from dfx.tracking import cells, provenance, registry, server, ui
from dfx.tracking.database import ROOT, create_lock, defer_interrupts, experiment_id, now_ms
from dfx.tracking.place import CHECKPOINT, DIGEST, local_path, tracking_error_sentence
from dfx.tracking.server import ServerWatch

NO_RESULT = ("error", "skipped")  # tags with the reason why a run has no result
HAND_OVER = "handover.json"  # in the folder of a finished run that the tracking server does not have yet
BATCH = 1000  # metrics that MLflow takes in one call


class MetricPoint(NamedTuple):
    """Value of a metric at a time: name, value, time in milliseconds since 1970, number of the step."""

    name: str
    value: float
    time_ms: int
    step: int


@dataclass
class TrackedRun:
    """Run in MLflow: new, continued, or finished by an earlier process.

    Attributes:
        run_id: id in MLflow; empty in the helper processes of a run on several devices.
        folder: folder for checkpoints and artifacts while the run is in progress.
        name: feature, model, corpus and seed.
        finished: whether an earlier process finished it, so that nothing is to be done.
        metrics: final metrics that MLflow has.
        history: metrics of each epoch.
        warning: what `warn` was called with.
        server: whether the tracking server is out of reach; the run goes on then, see `hand_over_kept_runs`.
        with_model: whether `log_artifacts` also logs an MLflow model.
    """

    run_id: str
    folder: Path
    name: str = ""
    finished: bool = False
    metrics: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    warning: str = ""
    server: ServerWatch = field(default_factory=ServerWatch)
    with_model: bool = False

    @property
    def artifacts(self) -> Path:
        """Local folder of the files that `log_artifacts` uploads."""
        path = self.folder / "artifacts"
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def artifact_uri(self) -> str:
        """Location of the artifacts: a path if it is on this machine, else a URI in MLflow."""
        if self.server.reason:
            return str(self.artifacts.absolute())
        uri: str = MlflowClient().get_run(self.run_id).info.artifact_uri
        return str(local_path(uri) or uri)

    def log_history(self, history: list[dict[str, float]]) -> None:
        """Log the metrics of each epoch, such as `epoch/dev/eer`.

        Epochs that MLflow has are not logged again. While the server is out of reach nothing is logged.
        """
        self.history = history
        if self.server.is_due():
            with self.server.tolerate():
                self._log_history(history)
                self.server.is_back()

    @defer_interrupts()
    def _log_history(self, history: list[dict[str, float]]) -> None:
        client = MlflowClient()
        # The UI compares runs by the metric that was logged first. An epoch that has the last one is complete.
        ordered = [sorted(record, key=lambda name: (name != "dev/eer", name != "dev/auc")) for record in history]
        known = len(client.get_metric_history(self.run_id, f"epoch/{ordered[0][-1]}")) if history else 0
        points = [
            Metric(f"epoch/{name}", record[name], now_ms(), epoch)
            for epoch, record in enumerate(history)
            if epoch >= known
            for name in ordered[epoch]
        ]
        if points:
            client.log_batch(self.run_id, metrics=points)

    def log_metrics(self, metrics: dict[str, float]) -> None:
        """Log the final metrics that MLflow does not have yet."""
        self.metrics.update(metrics)
        with self.server.tolerate():
            self._log_final_metrics(metrics)

    @defer_interrupts()
    def _log_final_metrics(self, metrics: dict[str, float]) -> None:
        held = MlflowClient().get_run(self.run_id).data.metrics
        _log_metrics(self.run_id, {key: value for key, value in metrics.items() if held.get(key) != value})

    def log_artifacts(self) -> None:
        """Upload every file in the folder `artifacts`, and log the checkpoint among them as an MLflow model."""
        with self.server.tolerate():
            self._log_artifacts()

    def _log_artifacts(self) -> None:
        checkpoint = self.artifacts / CHECKPOINT
        if checkpoint.exists():
            with defer_interrupts():
                MlflowClient().set_tag(self.run_id, f"{DIGEST}{checkpoint.name}", file_digest(checkpoint))
        MlflowClient().log_artifacts(self.run_id, str(self.artifacts))
        if checkpoint.exists() and self.with_model:
            try:
                registry.log_model(self.run_id, checkpoint)
            except Exception as error:
                if server.is_out_of_reach(error):
                    raise
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                say(f"Warning: {self.name} is finished, but has no model in MLflow ({reason[:300]}).")

    def warn(self, sentence: str) -> None:
        """Store a warning in a tag; MLflow's UI and the report show it."""
        self.warning = sentence
        with self.server.tolerate(), defer_interrupts():
            MlflowClient().set_tag(self.run_id, "warning", sentence[: cells.MAX_TAG])


@contextmanager
def track_run(cfg: DictConfig, identity: str, manifest: Manifest, tags: dict[str, str]) -> Iterator[TrackedRun]:
    """Open the run with this identity: start it, continue it, or return it if it is finished.

    One process at a time works on an identity; the lock is freed when the process dies. The run is closed as FINISHED,
    KILLED (interrupted) or FAILED.

    Args:
        cfg: resolved configuration of the run; logged as parameters and as config.yaml.
        identity: `config.identity.config_hash`.
        manifest: the corpus; logged as the run's dataset.
        tags: the options and `cells.cell_tags`.
    """
    from pytorch_lightning.utilities import rank_zero_only  # takes seconds, and reports do not need it

    folder = _work_folder(cfg, identity)
    if getattr(rank_zero_only, "rank", 0) or int(os.environ.get("NODE_RANK", "0")):
        # A helper process of a run on several devices: only the first one writes to MLflow.
        yield TrackedRun(run_id="", folder=folder)
        return
    experiment = experiment_id(cfg.experiment_name)
    ui.add_shared_view(experiment)
    hand_over_kept_runs()
    with locked_folder(folder.parent, "doing the same run in", say, f"{folder.name}.lock"):
        client = MlflowClient()
        runs = client.search_runs([experiment], f"tags.config_hash = '{identity}'", max_results=50)
        finished = [run for run in runs if run.info.status == "FINISHED"]
        if finished and not cfg.rerun:
            run = finished[0]
            cells.add_cell_to_sweep(run, tags)
            _say_other_code(run)
            yield TrackedRun(run.info.run_id, folder, run.info.run_name, True, dict(run.data.metrics))
            return
        # Only those of this folder: the checkpoints of another folder belong to another process.
        interrupted = [
            run for run in runs if run.info.status != "FINISHED" and run.data.tags.get("work") == _folder_id(folder)
        ]
        name = f"{tags['feature']}-{tags['model']}-{manifest.name or tags['dataset']}-s{tags['seed']}"
        tracked = TrackedRun(
            interrupted[0].info.run_id if interrupted else "", folder, name, with_model=bool(cfg.log_model)
        )
        own = {"config_hash": identity, "manifest_hash": manifest.hash, "work": _folder_id(folder)}
        with _open(tracked, experiment, {**tags, **own, **provenance.code_provenance()}, cfg, manifest):
            yield tracked
        if tracked.server.reason:
            _keep_for_server(tracked)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def hand_over_kept_runs() -> None:
    """Upload the finished runs of this folder that the tracking server did not get, because it was out of reach."""
    uri = mlflow.get_tracking_uri()
    for mark in sorted((ROOT / "progress").glob(f"*/{HAND_OVER}")):
        folder = mark.parent
        with locked_folder(folder.parent, "handing over", say, f"{folder.name}.lock"):
            if not mark.exists() or (kept := json.loads(mark.read_text(encoding="utf-8")))["uri"] != uri:
                continue
            run = TrackedRun(kept["run_id"], folder, kept["name"], with_model=kept["with_model"])
            try:
                with run.server.tolerate():
                    _hand_over(run, kept)
            except MlflowException as error:
                say(f"{folder} cannot be handed over to {uri} ({error}): delete this folder if it is not needed.")
                continue
            if run.server.reason:
                return
            say(f"Handed over to {uri}: the run {run.name}, which it could not take before.")
            shutil.rmtree(folder, ignore_errors=True)


@defer_interrupts()
def _hand_over(run: TrackedRun, kept: dict[str, Any]) -> None:
    client = MlflowClient()
    run._log_history(kept["history"])
    run._log_final_metrics(kept["metrics"])
    if kept["warning"]:
        client.set_tag(run.run_id, "warning", kept["warning"][: cells.MAX_TAG])
    run._log_artifacts()
    client.set_terminated(run.run_id, "FINISHED")


def _keep_for_server(run: TrackedRun) -> None:
    """Mark a finished run that the server does not have yet, and print where its folder is."""
    kept: dict[str, Any] = {"uri": mlflow.get_tracking_uri(), "run_id": run.run_id, "name": run.name}
    kept |= {"history": run.history, "metrics": run.metrics, "warning": run.warning, "with_model": run.with_model}
    write_text_file(run.folder / HAND_OVER, json.dumps(kept))
    say(
        f"Warning: the tracking server {kept['uri']} is still out of reach. The run is complete, and stands in "
        f"{run.folder.absolute()}: the next dfx.train in this folder hands it over when the server is back."
    )


@contextmanager
def _open(
    run: TrackedRun, experiment: str, tags: dict[str, str], cfg: DictConfig, manifest: Manifest
) -> Iterator[None]:
    """Start or restart a run in MLflow, and set its status at the end of the block."""
    client = MlflowClient()
    measured = bool(cfg.system_metrics)
    status = RunStatus.FAILED
    try:  # from the start, because MLflow closes a run that is open at exit as FINISHED
        with defer_interrupts():
            if run.run_id:
                active = mlflow.start_run(run_id=run.run_id, tags=tags, log_system_metrics=measured)
                for tag in set(NO_RESULT) & set(active.data.tags):  # tags of the last attempt
                    client.delete_tag(run.run_id, tag)
                if any(run.folder.glob("*.ckpt")):
                    say(f"Continuing the interrupted run {run.name} after its last complete epoch.")
            else:
                shutil.rmtree(run.folder, ignore_errors=True)  # files of a run that was deleted from MLflow
                started = mlflow.start_run(
                    experiment_id=experiment, run_name=run.name, tags=tags, log_system_metrics=measured
                )
                run.run_id = started.info.run_id
            _log_inputs(client, run, cfg, manifest)
            ui.set_run_description(run.run_id, _description(run, tags))
        yield
        status = RunStatus.KILLED if run.server.reason else RunStatus.FINISHED
    except (KeyboardInterrupt, SystemExit):  # Lightning turns SIGTERM and Ctrl-C into SystemExit
        status = RunStatus.KILLED
        raise
    except Exception as error:
        if mlflow.active_run():
            with _print_errors("The reason was not recorded in MLflow"):
                client.set_tag(run.run_id, "error", cells.cell_error_text(error))
        raise
    finally:
        with defer_interrupts(), run.server.tolerate():
            if status == RunStatus.FINISHED:
                mlflow.end_run(RunStatus.to_string(status))
            else:
                with _print_errors("The run was not closed in MLflow"):
                    mlflow.end_run(RunStatus.to_string(status))


@contextlib.contextmanager
def _print_errors(what: str) -> Iterator[None]:
    """Print an error of the block instead of raising it, so that the first error of the run is raised."""
    try:
        yield
    except Exception as error:
        say(f"{what}: {tracking_error_sentence(error) or (str(error).splitlines() or [''])[0][:300]}")


def _say_other_code(run: Run) -> None:
    then, now = run.data.tags.get("git_commit", ""), provenance.code_provenance()["git_commit"]
    if then != now:
        # "none (installed package)" is no hash and stays whole.
        first, second = (commit if " " in commit else commit[:9] for commit in (then, now))
        say(f"Note: {run.info.run_name} was run by other code, commit {first}, and this is {second}.")


def _log_inputs(client: MlflowClient, run: TrackedRun, cfg: DictConfig, manifest: Manifest) -> None:
    """Log parameters, corpus, configuration and software versions, except what MLflow has after a resume."""
    params = [Param(key, value[:6000]) for key, value in logged_params(cfg).items()]  # MLflow's limit
    held = client.get_run(run.run_id)
    missing = [param for param in params if param.key not in held.data.params]
    for first in range(0, len(missing), 100):
        client.log_batch(run.run_id, params=missing[first : first + 100])
    if not held.inputs or not held.inputs.dataset_inputs:
        with warnings.catch_warnings():
            # Advice for models with missing values.
            warnings.filterwarnings("ignore", message=".*integer column.*")
            source = mlflow.data.from_pandas(
                manifest.table.drop(columns="path"), name=manifest.name or "corpus", digest=manifest.hash
            )
            with create_lock():  # two processes that log a corpus for the first time would both create it
                mlflow.log_input(source, context="train, dev and eval")
    write_text_file(run.artifacts / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    versions = json.dumps(provenance.environment_provenance(), indent=2)
    write_text_file(run.artifacts / "environment.json", f"{versions}\n")


def _description(run: TrackedRun, tags: Mapping[str, str]) -> str:
    """Make the description of a run in Markdown: its options, where its results are, and its command."""
    shown = ("dataset", "feature", "model", "loss", "augment", "seed")
    lines = [
        ", ".join(f"{key} `{tags[key]}`" for key in shown if tags.get(key)),
        "`dev/…` and `eval/…` are the results with the weights that dev chose, `epoch/…` the curves. Figures, scores, "
        "configuration and checkpoint are under *Artifacts*.",
        f'```\ndfx.load("runs:/{run.run_id}").score("clip.flac")\n```',
    ]
    lines += [f"```\n{tags['command']}\n```"] if "command" in tags else []
    return "\n\n".join(lines)


def log_report(
    experiment_name: str,
    run_name: str,
    files: Iterable[Path],
    metrics: Mapping[str, float],
    tags: dict[str, str],
    history: Iterable[MetricPoint] = (),
) -> None:
    """Log the files and metrics of a report as a new run, and metrics over time if there are any."""
    place = {"experiment_id": experiment_id(experiment_name), "run_name": run_name}
    with defer_interrupts(), mlflow.start_run(**place, tags=tags | provenance.code_provenance()) as run:
        _log_metrics(run.info.run_id, metrics)
        _log_points(run.info.run_id, [Metric(*point) for point in history])
        for file in files:
            mlflow.log_artifact(str(file))


def log_run_files(run_id: str, files: Iterable[Path], folder: str) -> None:
    """Add files to the artifacts of an existing run."""
    with defer_interrupts():
        for file in files:
            MlflowClient().log_artifact(run_id, str(file), folder)


def _log_metrics(run_id: str, metrics: Mapping[str, float]) -> None:
    _log_points(run_id, [Metric(key, value, now_ms(), 0) for key, value in metrics.items()])


def _log_points(run_id: str, points: Sequence[Metric]) -> None:
    for first in range(0, len(points), BATCH):
        MlflowClient().log_batch(run_id, metrics=points[first : first + BATCH])


def _work_folder(cfg: DictConfig, identity: str) -> Path:
    """Return the folder of a run in progress, the same for all its processes."""
    experiment = re.sub(r"[^A-Za-z0-9_-]", "_", cfg.experiment_name)
    return ROOT / "progress" / f"{experiment}-{identity[:16]}"


def _folder_id(folder: Path) -> str:
    """Return the id of a work folder; it is the same on every machine that shares the folder."""
    file = folder.with_name(f"{folder.name}.id")
    if not file.exists():
        write_text_file(file, uuid.uuid4().hex)
    return file.read_text(encoding="utf-8")
