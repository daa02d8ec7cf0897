"""Read runs, metrics and artifacts from MLflow; nothing is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from dfx.files import cache_dir, file_digest
from dfx.tracking.place import DIGEST, SQLITE, hide_password, local_path, tracking_error_sentence


@dataclass(frozen=True)
class RunRecord:
    """Copy of a run in MLflow: status, parameters, metrics and tags.

    Attributes:
        name: what was run, `lfcc-lcnn-demo-s0`.
        status: RUNNING, FINISHED, FAILED or KILLED.
        params: the options and settings (`config.identity.logged_params`).
        metrics: the last value of each.
        tags: options, hashes, and the position in its sweeps.
        artifact_uri: where the artifacts are.
        end_ms: None while it runs.
    """

    run_id: str
    name: str
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    artifact_uri: str
    start_ms: int
    end_ms: int | None


@dataclass(frozen=True)
class ModelRecord:
    """Copy of a model in MLflow, with local paths of its files.

    Attributes:
        folder: that holds the files.
        files: of the model.
        run: that it comes from; None if there is none.
        tags: of the version, or of a model that is not registered; with the hashes of files.
        model_id: of the logged model; empty for a version without one.
        name: of the registered model; empty if it is not registered.
        number: of the version.
        aliases: that point to the version.
    """

    folder: Path
    files: tuple[Path, ...]
    run: RunRecord | None
    tags: dict[str, str]
    model_id: str
    name: str = ""
    number: str = ""
    aliases: tuple[str, ...] = ()


def require_digest(file: Path, tags: Mapping[str, str], place: str) -> None:
    """Raise a ValueError if a file is not the one whose SHA-256 hash stands in these tags of MLflow.

    Files without such a tag pass: an earlier version of dfx, or somebody else, logged them.
    """
    wanted = tags.get(f"{DIGEST}{file.name}")
    if wanted is not None and (found := file_digest(file)) != wanted:
        raise ValueError(
            f"{file} was changed or damaged after {place} was logged: its SHA-256 is {found[:16]}…, and MLflow has "
            f"{wanted[:16]}…. Restore the file, or train again."
        )


def find_runs(experiment: str | None = None, sweep: str | None = None, query: str = "") -> list[RunRecord]:
    """Find runs in MLflow, newest first.

    The list is empty if the experiment or the database does not exist.

    Args:
        experiment: name; all experiments if None.
        sweep: run id of a sweep's parent: only its cells, with those that an earlier sweep ran.
        query: MLflow's filter, `tags.model = 'lcnn' and metrics."eval/eer" < 0.1`.

    Raises:
        ValueError: if the filter cannot be read.
    """
    cells = f"tags.`sweep.{sweep}` LIKE '%'" if sweep else ""
    return _search(experiment, " and ".join(part for part in (query.strip(), cells) if part))


def find_sweep_runs(experiment: str | None = None) -> list[RunRecord]:
    """Find the parent runs of sweeps, newest first.

    Their tags hold the axes and the command.
    """
    return _search(experiment, "tags.kind = 'sweep'")


def get_run(run_id: str) -> RunRecord:
    """Get a run by its id.

    Raises:
        ValueError: if there is none.
    """
    try:
        return _record(MlflowClient().get_run(run_id))
    except MlflowException as error:
        raise ValueError(
            tracking_error_sentence(error)
            or f"There is no run {run_id!r} in {hide_password(mlflow.get_tracking_uri())} ({error.message}): copy the "
            "id from MLflow's page of the run, or set MLFLOW_TRACKING_URI to the place that has it."
        ) from error


def run_artifact(run: RunRecord | str, path: str, cache: str | Path | None = None) -> Path | None:
    """Return the local path of an artifact; download it into the cache if it is in a remote store.

    Args:
        run: a run, or its id.
        path: below the run's artifacts, `scores/eval.csv`.
        cache: folder for what is downloaded; the default one if None.

    Returns:
        None if the run has no such artifact.
    """
    run = get_run(run) if isinstance(run, str) else run
    folder = local_path(run.artifact_uri)
    if folder is not None:
        return folder / path if (folder / path).exists() else None
    cached = cache_dir(cache) / "artifacts" / run.run_id
    if run.status == "FINISHED" and (cached / path).exists():
        return cached / path
    parent = PurePosixPath(path).parent
    client = MlflowClient()
    listed = client.list_artifacts(run.run_id, None if parent == PurePosixPath(".") else str(parent))
    if path not in [entry.path for entry in listed]:
        return None
    cached.mkdir(parents=True, exist_ok=True)
    return Path(client.download_artifacts(run.run_id, path, str(cached)))


def get_model(place: str, cache: str | Path | None = None) -> ModelRecord:
    """Get a registered or logged model with its files; download them into the cache if they are in a remote store.

    Args:
        place: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or `models:/m-ID` of a logged model.
        cache: folder for what is downloaded; the default one if None.

    Raises:
        ValueError: if there is no such model.
    """
    client = MlflowClient()
    name, _, alias = place.removeprefix("models:/").partition("@")
    number = ""
    if not alias:
        name, _, number = name.rpartition("/")
    try:
        if not name and number.startswith("m-"):
            logged = client.get_logged_model(number)
            source, run_id = logged.artifact_location, logged.source_run_id
            found = ModelRecord(Path(), (), None, dict(logged.tags), number)
        else:
            by_alias = client.get_model_version_by_alias
            version = by_alias(name, alias) if alias else client.get_model_version(name, number)
            source, run_id = client.get_model_version_download_uri(name, version.version), version.run_id
            known = (name, str(version.version), tuple(version.aliases))
            logged_place = re.fullmatch(r"models:/(m-\w+)", version.source or "")
            model_id = logged_place[1] if logged_place else ""
            # A version that was registered in the UI has no hashes of its own.
            tags = dict(client.get_logged_model(model_id).tags) if model_id else {}
            found = ModelRecord(Path(), (), None, tags | version.tags, model_id, *known)
    except MlflowException as error:
        raise ValueError(
            tracking_error_sentence(error)
            or f"There is no model {place!r} in {hide_password(mlflow.get_tracking_uri())} ({error.message}): give "
            "models:/NAME@ALIAS or models:/NAME/VERSION, or set MLFLOW_TRACKING_URI to the place that has it."
        ) from error
    found = replace(found, run=get_run(run_id) if run_id else None)
    parts = urlparse(source)
    if parts.scheme == "runs":
        run_id, _, path = parts.path.lstrip("/").partition("/")
        folder = run_artifact(run_id, path, cache)
    elif (folder := local_path(source)) is None:
        parent = cache_dir(cache) / "artifacts" / "models" / (name or "logged") / (found.number or number)
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(mlflow.artifacts.download_artifacts(source, dst_path=str(parent)))
    if folder is None or not folder.exists():
        return found
    if folder.is_file():
        return replace(found, folder=folder.parent, files=(folder,))
    return replace(found, folder=folder, files=tuple(sorted(path for path in folder.rglob("*") if path.is_file())))


def model_description(place: str) -> str:
    """Return the description of a version of a registered model, in Markdown; empty if it has none.

    Args:
        place: of a model that was opened, `models:/NAME@ALIAS` or `models:/NAME/VERSION`.
    """
    client = MlflowClient()
    name, _, alias = place.removeprefix("models:/").partition("@")
    if alias:
        return client.get_model_version_by_alias(name, alias).description or ""
    name, _, number = name.rpartition("/")
    return client.get_model_version(name, number).description or "" if name else ""


def run_metric_history(run_id: str, key: str) -> list[tuple[int, float]]:
    """Return the values of a metric by step; for `epoch/dev/eer`, a step is an epoch.

    If a step was logged twice, the last value counts.
    """
    points = sorted(MlflowClient().get_metric_history(run_id, key), key=lambda p: (p.step, p.timestamp))
    return sorted({point.step: point.value for point in points}.items())


def _search(experiment: str | None, query: str) -> list[RunRecord]:
    uri = mlflow.get_tracking_uri()
    database = local_path(uri) if uri.startswith(SQLITE) else None
    if database is not None and not database.exists():
        return []  # MLflow would create an empty one
    known = mlflow.get_experiment_by_name(experiment) if experiment else None
    if experiment and known is None:
        return []
    ids = [known.experiment_id] if known else None
    try:
        found = mlflow.search_runs(ids, query, output_format="list", search_all_experiments=ids is None)
    except MlflowException as error:
        raise ValueError(
            tracking_error_sentence(error)
            or f"MLflow cannot search with the filter {query!r} ({error.message}): write it as in "
            "tags.model = 'lcnn' and metrics.\"eval/eer\" < 0.1."
        ) from error
    return [_record(run) for run in found]


def _record(run: Run) -> RunRecord:
    return RunRecord(
        run.info.run_id,
        run.info.run_name,
        run.info.status,
        dict(run.data.params),
        dict(run.data.metrics),
        dict(run.data.tags),
        run.info.artifact_uri,
        run.info.start_time,
        run.info.end_time,
    )
