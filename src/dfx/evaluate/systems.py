"""Systems that can score audio: what the user names, found and described, and loaded when it is needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_object
from torch import Tensor

from dfx.detector import build
from dfx.detector.detector import CONFIG_KEY
from dfx.evaluate import onnx_file
from dfx.tracking import runs

RUN = "runs:/"
CHECKPOINT = "checkpoint/best.ckpt"  # in the artifacts of a run
DEV, EVAL = "scores/dev.csv", "scores/eval.csv"
MANY = 1 << 20  # bytes that are hashed at once

Given = str | Sequence[str] | Mapping[str, str] | None
Scorer = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class System:
    """A detector that is not loaded yet.

    Attributes:
        name: as tables show it.
        file: checkpoint or ONNX file.
        digest: hash of the file.
        config: what rebuilds it, the `build.CHECKPOINT_KEYS`.
        trained_on: name of the corpus; empty where it is not known.
        dev: scores of the dev split that chose its weights, where the run has kept them.
        eval: scores of the eval split of its own corpus.
    """

    name: str
    file: Path
    digest: str
    config: dict[str, Any]
    trained_on: str = ""
    dev: Path | None = None
    eval: Path | None = None

    @property
    def llr(self) -> bool:
        """Whether its scores are log-likelihood ratios."""
        return bool(get_object(self.config["loss"]["_target_"]).llr)

    @property
    def keeps_maps(self) -> bool:
        """Whether its run cut maps of whole clips, which it kept, instead of waveforms; an ONNX file takes no maps."""
        return bool(self.config["feature"].get("cache")) and self.file.suffix != onnx_file.SUFFIX

    def load(self, device: torch.device) -> Scorer:
        """The function from waveforms (batch, samples) to scores (batch,), both float32 on the device."""
        if self.file.suffix == onnx_file.SUFFIX:
            return onnx_file.load(self.file)
        return build.load_detector(self.file).to(device)


def find(given: Given) -> list[System]:
    """The systems that a user names.

    Args:
        given: one or more of a checkpoint, an ONNX file, `runs:/RUN_ID` or `runs:/RUN_ID/checkpoint/best.ckpt`; as a
            mapping, with the name that each is to have.

    Raises:
        ValueError: if there is no such file or run, it is no detector, or one is given twice.
    """
    if isinstance(given, Mapping):
        found = [replace(_find(str(place)), name=str(name)) for name, place in given.items()]
    else:
        places = [given] if isinstance(given, str) else list(given or [])
        found = [_find(str(place)) for place in places]
    for number, system in enumerate(found):
        twin = next((other for other in found[:number] if other.digest == system.digest), None)
        if twin:
            raise ValueError(f"{system.file} and {twin.file} are the same file: name each system once.")
    names = [system.name for system in found]
    return [
        replace(system, name=f"{system.name} {system.digest[:6]}") if names.count(system.name) > 1 else system
        for system in found
    ]


def _find(place: str) -> System:
    if place.startswith(RUN):
        return _of_run(place)
    file = Path(place).expanduser()
    if not file.is_file():
        raise ValueError(
            f"There is no system {place!r}: give a checkpoint (best.ckpt), an ONNX file (.onnx) or {RUN}RUN_ID."
        )
    if file.suffix in (".csv", ".txt", ".tsv"):
        raise ValueError(
            f"{place} is no detector but a table: scores={place} measures scores that were made before."
        )
    config = _config(file)
    system = System(_name(config), file, _digest(file), config)
    # Where a run keeps its artifacts in a folder, the checkpoint lies among them.
    artifacts = file.parent.parent
    if file == artifacts / CHECKPOINT and (artifacts / DEV).exists():
        return replace(system, dev=artifacts / DEV)
    return system


def _of_run(place: str) -> System:
    run_id, _, path = place.removeprefix(RUN).partition("/")
    run = runs.get(run_id)
    file = runs.artifact(run, path or CHECKPOINT)
    if file is None:
        raise ValueError(
            f"The run {run_id} ({run.name}, {run.status}) has no artifact {path or CHECKPOINT}: give a run that "
            "dfx.train has finished."
        )
    tags = run.tags
    trained_on = run.name.removeprefix(f"{tags.get('feature')}-{tags.get('model')}-")
    trained_on = trained_on.removesuffix(f"-s{tags.get('seed')}")
    return System(
        run.name,
        file,
        _digest(file),
        _config(file),
        trained_on if trained_on != run.name else tags.get("dataset", ""),
        runs.artifact(run, DEV),
        runs.artifact(run, EVAL),
    )


def _config(file: Path) -> dict[str, Any]:
    kept = onnx_file.config(file) if file.suffix == onnx_file.SUFFIX else _of_checkpoint(file)
    missing = [part for part in build.CHECKPOINT_KEYS if part not in kept]
    if missing:
        raise ValueError(
            f"{file} does not say its {', '.join(missing)}, as an early version of dfx left it out: train it again."
        )
    return kept


def _of_checkpoint(file: Path) -> dict[str, Any]:
    try:
        # Mapped, not read: the weights are not wanted yet.
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # whatever a file that is no checkpoint makes torch raise
        raise ValueError(
            f"{file} is no checkpoint ({str(error).splitlines()[0]}): give one that dfx.train wrote (best.ckpt)."
        ) from error
    if not isinstance(state, dict) or CONFIG_KEY not in state:
        raise ValueError(
            f"{file} holds no dfx configuration: give a checkpoint that dfx.train wrote (best.ckpt)."
        )
    kept: dict[str, Any] = state[CONFIG_KEY]
    return kept


def _name(config: Mapping[str, Any]) -> str:
    """Feature, model and seed, as the name of a run has them."""
    kinds = [str(config[part]["_target_"]).rpartition(".")[2].lower() for part in ("feature", "model")]
    return f"{'-'.join(kinds)}-s{config['seed']}"


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(MANY):
            digest.update(block)
    return digest.hexdigest()
