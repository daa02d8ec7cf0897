"""Load trained detectors from a checkpoint, an MLflow run, a registered model or an exported file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import OmegaConf

from dfx.detector import onnx, torch_archive
from dfx.detector.foreign_config import check_foreign_config, trusted_packages
from dfx.detector.network import CHECKPOINT_KEYS, CONFIG_KEY, DetectorNetwork, build_network
from dfx.detector.operating_card import CARD_KEY, read_operating_card
from dfx.detector.scoring import SavedDetector, ScoringNetwork
from dfx.tracking.place import CHECKPOINT

if TYPE_CHECKING:
    from dfx.tracking.runs import RunRecord

RUN, MODEL = "runs:/", "models:/"
DEV_SCORES, EVAL_SCORES = "scores/dev.csv", "scores/eval.csv"
RUN_CONFIG = "config.yaml"
EXPORTED = (onnx.SUFFIX, *torch_archive.FORMATS)  # suffixes
SUFFIXES = (".ckpt", *EXPORTED)  # of files that are a detector; the first one that a model has is taken


def load_detector(place: str | Path, trust: str | Sequence[str] = (), cache: str | Path | None = None) -> SavedDetector:
    """Load a trained detector from a file, an MLflow run or a registered model, as `dfx.load` does."""
    trust = trusted_packages(trust)
    file, run = find_detector_file(place, cache)
    found = _of_file(file, trust)
    if run is not None:
        return _of_run(found, run, cache)
    # A run whose artifacts are in a local folder has its dev scores beside the checkpoint.
    artifacts = file.parent.parent
    if file == artifacts / CHECKPOINT and (artifacts / DEV_SCORES).exists():
        config = artifacts / RUN_CONFIG
        return replace(found, dev_scores=artifacts / DEV_SCORES, run_config=config if config.exists() else None)
    return found


def find_detector_file(place: str | Path, cache: str | Path | None = None) -> tuple[Path, RunRecord | None]:
    """Return the local file of a detector, and the run that it comes from; nothing in the file is read.

    Files of MLflow are compared with the hash that MLflow's database has.

    Args:
        place: see `dfx.load`.
        cache: folder for what is downloaded.

    Raises:
        ValueError: if there is no such file, run or model, or the file was changed since it was logged.
    """
    place = str(place)
    if place.startswith((RUN, MODEL)):
        return _find_tracked(place, cache)
    file = Path(place).expanduser()
    if not file.is_file():
        raise ValueError(
            f"There is no detector {place!r}: give a checkpoint (best.ckpt), an exported file (.onnx, .pt2, "
            f".torchscript), {RUN}RUN_ID or {MODEL}NAME@ALIAS."
        )
    if file.suffix in (".csv", ".txt", ".tsv"):
        raise ValueError(f"{place} is no detector but a table: scores={place} measures scores that were made before.")
    return file, None


def _find_tracked(place: str, cache: str | Path | None) -> tuple[Path, RunRecord | None]:
    """Find the file of an MLflow run or a registered model."""
    from dfx.tracking import registry, runs  # MLflow takes two seconds, which a file does not need

    if place.startswith(RUN):
        run_id, _, path = place.removeprefix(RUN).partition("/")
        run = runs.get_run(run_id)
        file = _artifact(run, path or CHECKPOINT, cache)
        runs.require_digest(file, run.tags, place)
        return file, run
    model = runs.get_model(place, cache)
    registry.check_model_files(model, place)
    found = [path for suffix in SUFFIXES for path in model.files if path.suffix == suffix]
    if found:
        return found[0], model.run
    if model.run is None:
        raise ValueError(
            f"{place} holds no checkpoint (.ckpt) and no ONNX file (.onnx): register the run of a detector."
        )
    file = _artifact(model.run, CHECKPOINT, cache)
    runs.require_digest(file, model.run.tags, place)
    return file, model.run


def _artifact(run: RunRecord, path: str, cache: str | Path | None) -> Path:
    from dfx.tracking import runs

    file = runs.run_artifact(run, path, cache)
    if file is None:
        raise ValueError(
            f"The run {run.run_id} ({run.name}, {run.status}) has no artifact {path}: give a run that dfx.train has "
            "finished."
        )
    return file


def _of_run(found: SavedDetector, run: RunRecord, cache: str | Path | None) -> SavedDetector:
    from dfx.tracking import runs

    tags = run.tags
    corpus = run.name.removeprefix(f"{tags.get('feature')}-{tags.get('model')}-")
    corpus = corpus.removesuffix(f"-s{tags.get('seed')}")
    return replace(
        found,
        name=run.name,
        trained_on=corpus if corpus != run.name else tags.get("dataset", ""),
        dev_scores=runs.run_artifact(run, DEV_SCORES, cache),
        eval_scores=runs.run_artifact(run, EVAL_SCORES, cache),
        run_config=runs.run_artifact(run, RUN_CONFIG, cache),
    )


def _of_file(file: Path, trust: Sequence[str]) -> SavedDetector:
    stored: Any
    if file.suffix == onnx.SUFFIX:
        stored = onnx.read_onnx_metadata(file)
    elif file.suffix in torch_archive.FORMATS:
        torch_archive.require_trust(file, trust)
        stored = torch_archive.read_archive_metadata(file)
    else:
        state = read_checkpoint(file, mmap=True)  # mmap: the weights are not read before the first score
        stored = state[CONFIG_KEY], state.get(CARD_KEY)
    config = check_foreign_config(stored[0], file, CHECKPOINT_KEYS, trust)
    kinds = [str(config[part]["_target_"]).rpartition(".")[2].lower() for part in ("feature", "model")]

    def read_network(device: torch.device) -> ScoringNetwork:
        if file.suffix == onnx.SUFFIX:
            return onnx.OnnxNetwork(file)
        if file.suffix in torch_archive.FORMATS:
            return torch_archive.TorchArchiveNetwork(file)
        return load_network(file, trust).to(device)

    return SavedDetector(
        f"{'-'.join(kinds)}-s{config['seed']}",
        file,
        config,
        read_network,
        read_operating_card(stored[1], file),
        exported=file.suffix in EXPORTED,
    )


def load_network(file: str | Path, trust: str | Sequence[str] = ()) -> DetectorNetwork:
    """Load feature, model and loss with their trained weights from a checkpoint.

    It is on the CPU, in eval mode.

    Args:
        file: the checkpoint.
        trust: see `dfx.load`.

    Raises:
        ValueError: if the file is not a checkpoint of dfx, or its weights do not fit its configuration.
    """
    state = read_checkpoint(Path(file))
    config = check_foreign_config(state[CONFIG_KEY], Path(file), CHECKPOINT_KEYS, trust)
    try:
        made = build_network(OmegaConf.create(config))
        made.load_state_dict(state["state_dict"])
    except Exception as error:  # the classes may raise anything for arguments that dfx has not checked
        raise ValueError(
            f"{file} cannot be built from its configuration ({_cause(error)}): it is damaged, or of "
            "another version of dfx."
        ) from error
    made.checkpoint_config = config
    return made.eval()


def _cause(error: Exception) -> str:
    """Return the first two lines of the message of an error, or of its cause if it has one."""
    cause = error.__cause__ or error
    text = " ".join(str(cause).split("\n")[:2]).strip() or type(cause).__name__
    return "it is no file of torch.save" if "mmap can only be used" in text else text


def read_checkpoint(file: Path, mmap: bool = False) -> Mapping[str, Any]:
    """Read a checkpoint of dfx as data; nothing is built from it.

    Args:
        file: the checkpoint.
        mmap: whether weights are read when they are first used.

    Raises:
        ValueError: if it is none.
    """
    try:
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # torch may raise anything for a file that is no checkpoint
        raise ValueError(
            f"{file} is no checkpoint ({_cause(error)}): give one that dfx.train wrote (best.ckpt)."
        ) from error
    if not isinstance(state, dict) or CONFIG_KEY not in state:
        raise ValueError(f"{file} holds no dfx configuration: give a checkpoint that dfx.train wrote (best.ckpt).")
    return state
