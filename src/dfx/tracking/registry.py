"""Log the detector of a run as an MLflow model, and register versions of it with aliases.

The model is a folder of data: the checkpoint, MLflow's description (`MLmodel`), an example of its input, and once it is
registered the pt2 program and a model card. MLflow opens it through the module `LOADER` of the installed dfx; nothing
in the folder is code. The SHA-256 hashes of the data stand as tags in MLflow's database, so that a change of the files
alone is noticed.
"""

from __future__ import annotations

import base64
import io
import json
import platform
import re
import shutil
import tempfile
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from dfx.files import file_digest
from dfx.tracking.database import create_lock, defer_interrupts
from dfx.tracking.place import AUDIO, CHECKPOINT, DIGEST
from dfx.tracking.runs import ModelRecord, require_digest

LOADER = "dfx.detector.serving"  # module that MLflow imports to open the model
DATA = "data"  # folder in the model
WEIGHTS = Path(CHECKPOINT).name
PROGRAM = "model.pt2"  # name that mlflow.pytorch looks for
CARD = "model_card.md"
EXAMPLE, SERVED_EXAMPLE = "input_example.json", "serving_input_example.json"
FILES = {"MLmodel", CARD, EXAMPLE, SERVED_EXAMPLE, f"{DATA}/{WEIGHTS}", f"{DATA}/{PROGRAM}", "registered_model_meta"}
OUTPUTS = {  # columns of the answer and their types
    "prediction": "string",
    "fake_probability": "double",
    "score": "double",
    "plain_score": "double",
    "threshold": "double",
    "duration_seconds": "double",
    "warnings": "string",
    "error": "string",
}
HEADLINE = ("dev/eer", "dev/auc", "eval/eer", "eval/auc", "eval/cllr", "eval/min_dcf")  # metrics of the model
EXAMPLE_RATE = 8000
ORIGIN = ("feature", "model", "dataset", "seed", "config_hash", "manifest_hash", "init_name", "init_sha256")  # tags
MAX_TEXT = 5000  # characters of a description, MLflow's limit
VERSIONS = "mlflow.modelVersions"  # tag of a logged model
NEWLINE, MORE = "\n", f"\n\nThe whole card is the file {CARD} of the model."


@defer_interrupts()
def log_model(run_id: str, checkpoint: Path) -> str:
    """Log the checkpoint of a run as an MLflow model, linked to the run; return the id of the model.

    A run that has a complete model keeps it.
    """
    client = MlflowClient()
    run = client.get_run(run_id)
    for known in client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'"):
        if f"{DIGEST}{WEIGHTS}" not in known.tags:
            continue  # a user's own
        if known.status == LoggedModelStatus.READY:
            return str(known.model_id)
        client.delete_logged_model(known.model_id)  # of an attempt that was interrupted
    options = {key: value for key, value in run.data.params.items() if "." not in key}
    made = _create(run.info.experiment_id, run.info.run_name, run_id, options, checkpoint)
    client.log_outputs(run_id, [LoggedModelOutput(made.model_id, 0)])
    points = [client.get_metric_history(run_id, key)[-1] for key in HEADLINE if key in run.data.metrics]
    metrics = [Metric(p.key, p.value, p.timestamp, p.step, model_id=made.model_id, run_id=run_id) for p in points]
    client.log_batch(run_id, metrics=metrics)
    client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
    return str(made.model_id)


def _create(experiment_id: str, name: str, run_id: str | None, params: dict[str, str], checkpoint: Path) -> LoggedModel:
    client = MlflowClient()
    digest = file_digest(checkpoint)
    made = client.create_logged_model(
        experiment_id, re.sub(r"[^\w-]+", "_", name), run_id, {f"{DIGEST}{WEIGHTS}": digest}, params, "detector"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / DATA).mkdir()
        shutil.copyfile(checkpoint, folder / DATA / WEIGHTS)
        _write_example(folder)
        _write_description(folder, made, {WEIGHTS: digest})
        client.log_model_artifacts(made.model_id, str(folder))
    return made


def _write_description(folder: Path, logged: LoggedModel, digests: Mapping[str, str]) -> None:
    """Write the file MLmodel: flavours, signature, example, hashes."""
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    signature = ModelSignature(
        Schema([ColSpec("string", AUDIO)]), Schema([ColSpec(kind, name, False) for name, kind in OUTPUTS.items()])
    )
    model = Model(
        logged.artifact_location,
        run_id=logged.source_run_id,
        model_id=logged.model_id,
        model_uuid=logged.model_id,
        signature=signature,
        saved_input_example_info={
            "artifact_path": EXAMPLE,
            "serving_input_path": SERVED_EXAMPLE,
            "type": "dataframe",
            "pandas_orient": "split",
        },
        metadata={f"{DIGEST}{name}": digest for name, digest in digests.items()},
    )
    model.model_size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    model.add_flavor("python_function", loader_module=LOADER, data=DATA, python_version=platform.python_version())
    if PROGRAM in digests:
        import torch

        model.add_flavor("pytorch", model_data=DATA, pytorch_version=str(torch.__version__), serialization_format="pt2")
    model.save(str(folder / "MLmodel"))


def _write_example(folder: Path) -> None:
    """Write an example of the input: a table with half a second of a tone, as base64 of a WAV file."""
    samples = 3000 * np.sin(2 * np.pi * 220 * np.arange(EXAMPLE_RATE // 2) / EXAMPLE_RATE)
    sound = io.BytesIO()
    with wave.open(sound, "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(2)
        opened.setframerate(EXAMPLE_RATE)
        opened.writeframes(samples.astype("<i2").tobytes())
    table = {"columns": [AUDIO], "data": [[base64.b64encode(sound.getvalue()).decode()]]}
    (folder / EXAMPLE).write_text(json.dumps(table), encoding="utf-8")
    (folder / SERVED_EXAMPLE).write_text(json.dumps({"dataframe_split": table}), encoding="utf-8")


def complete_model(model_id: str, program: Path | None, card: str) -> None:
    """Add the model card, and the pt2 program if there is one, to a logged model."""
    client = MlflowClient()
    logged = client.get_logged_model(model_id)
    digests = {key.removeprefix(DIGEST): value for key, value in logged.tags.items() if key.startswith(DIGEST)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / CARD).write_text(card, encoding="utf-8")
        if program is not None:
            (folder / DATA).mkdir()
            shutil.copyfile(program, folder / DATA / PROGRAM)
            digests[PROGRAM] = file_digest(program)
            _write_description(folder, logged, digests)
        with defer_interrupts():
            client.log_model_artifacts(model_id, str(folder))
            if program is not None:
                client.set_logged_model_tags(model_id, {f"{DIGEST}{PROGRAM}": digests[PROGRAM]})


def check_model_files(model: ModelRecord, place: str) -> None:
    """Raise a ValueError if the files of a model that dfx logged are not those that it wrote; nothing in them is run.

    Every file must be one of `FILES` with the hash in MLflow's tags, and MLmodel may name the loaders of dfx and
    of pt2 programs only: MLflow would import what else it names. A model without such hashes passes: somebody else
    logged it, and dfx takes a detector file from it and looks at nothing else.
    """
    if not any(key.startswith(DIGEST) for key in model.tags):
        return
    strange = sorted(
        str(path) for path in (path.relative_to(model.folder) for path in model.files) if str(path) not in FILES
    )
    if strange:
        raise ValueError(
            f"{place} holds files that dfx does not write ({', '.join(strange[:3])}): a model of dfx is data, and "
            "MLflow may run such files. Register the run again, and look at who can write to the artifacts."
        )
    for file in model.files:
        require_digest(file, model.tags, place)
        if file.name == "MLmodel" and (problem := _flavour_problem(file)):
            raise ValueError(
                f"{file} is not the description that dfx wrote ({problem}): MLflow would run what it names. Register "
                "the run again, and look at who can write to the artifacts."
            )


def _flavour_problem(file: Path) -> str:
    """Say what MLflow would do with a model beyond opening data of dfx; "" for nothing."""
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))["flavors"]
        flavours = {str(name): dict(keys) for name, keys in found.items()}
    except Exception as error:  # whatever the contents of a foreign file make Python raise
        return f"it cannot be read: {type(error).__name__}"
    allowed: dict[str, dict[str, Any]] = {
        "python_function": {"loader_module": LOADER, "data": DATA},
        "pytorch": {"model_data": DATA, "serialization_format": "pt2", "code": None},
    }
    for name, keys in flavours.items():
        if name not in allowed:
            return f"flavour {name!r:.40}"
        for key, value in keys.items():
            if key not in ("python_version", "pytorch_version") and (
                key not in allowed[name] or value != allowed[name][key]
            ):
                return f"{name}: {key} is {value!r:.60}"
    return ""


def find_version(name: str, model_id: str) -> str:
    """Return the newest version that `register_version` made of this logged model, or ""."""
    found = MlflowClient().search_model_versions(f"name = '{name}'")
    made = (one for one in found if one.source == f"models:/{model_id}" and f"{DIGEST}{WEIGHTS}" in one.tags)
    return next((str(one.version) for one in made), "")


def register_version(name: str, model: ModelRecord, card: str) -> str:
    """Register a logged model under a name, with its card as description; return the number of the version."""
    client = MlflowClient()
    description = card if len(card) <= MAX_TEXT else f"{card[: card.rfind(NEWLINE, 0, MAX_TEXT - len(MORE))]}{MORE}"
    run = model.run
    tags = {key: value for key, value in model.tags.items() if key.startswith(DIGEST)}
    tags |= {key: run.tags[key] for key in ORIGIN if key in run.tags} if run else {}
    with create_lock(), defer_interrupts():
        try:
            client.get_registered_model(name)
        except MlflowException:
            client.create_registered_model(name)
        made = client.create_model_version(
            name,
            f"models:/{model.model_id}",
            run.run_id if run else None,
            tags=tags,
            description=description,
            model_id=model.model_id,
        )
        # The UI's list of models reads it, and MLflow writes it in register_model only.
        versions = [*json.loads(model.tags.get(VERSIONS, "[]")), {"name": name, "version": made.version}]
        client.set_logged_model_tags(model.model_id, {VERSIONS: json.dumps(versions)})
    return str(made.version)


def version_of_alias(name: str, alias: str) -> str:
    """Return the number of the version that has an alias, or ""."""
    return str(MlflowClient().get_registered_model(name).aliases.get(alias, ""))


def set_alias(name: str, alias: str, number: str) -> str:
    """Point an alias to a version; return the version that had it before, or ""."""
    client, before = MlflowClient(), version_of_alias(name, alias)
    with defer_interrupts():
        client.set_registered_model_alias(name, alias, number)
    return before
