"""Weights that a run starts from: those of another detector (`init=PLACE`), whole or in part (`init_only`).

Published weights (`model.checkpoint=FILE`) and those of a feature (`feature.name=FOLDER`) are loaded by the model and
the feature; here they only get a name and a hash.

Weights are data: nothing is built from the configuration in the other checkpoint, and no state of its optimizer is
taken. The prior of the training data stays that of the new data.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig
from torch import Tensor

from dfx import console
from dfx.detector.checkpoint import RunCheckpoint
from dfx.detector.detector import Detector
from dfx.detector.loading import EXPORTED, find_detector_file, read_checkpoint
from dfx.files import file_digest, path_digest

OF_THE_DATA = ("loss.log_prior_odds",)  # in a state_dict, but not learnt
MOST_LISTED = 10


@dataclass(frozen=True)
class InitialWeights:
    """Weights of another detector that a run starts from; none by default.

    Attributes:
        place: as the user named it.
        name: of the run that trained them, or of the file.
        weights: chosen ones, by their name in the detector; none where the model loads them.
        patterns: by which they were chosen.
        digest: SHA-256 hash of names and values, or of the file that the model loads.
        of_maps: whether the run computes the maps of its feature beforehand, with other weights.
        feature_files: SHA-256 hashes of local files and folders, by the argument of the feature that names them.
    """

    place: str = ""
    name: str = ""
    weights: dict[str, Tensor] = field(default_factory=dict)
    patterns: tuple[str, ...] = ()
    digest: str | None = None
    of_maps: bool = False
    feature_files: dict[str, str] = field(default_factory=dict)

    @property
    def tags(self) -> dict[str, str]:
        """Tags of a run that name the origin of its weights."""
        return {"init_name": self.name, "init_sha256": self.digest} if self.digest else {}

    def load_into(self, detector: Detector, checkpoint: RunCheckpoint) -> None:
        """Copy the weights into the new detector of a run; an interrupted run goes on with its own.

        Args:
            detector: with weights of its own.
            checkpoint: of the run.

        Raises:
            ValueError: if a name or a size does not fit; the message lists them all.
        """
        if not self.weights or checkpoint.last is not None:
            return
        own = {name: value for name, value in detector.state_dict().items() if name not in OF_THE_DATA}
        wanted = {name: value for name, value in own.items() if _is_chosen(name, self.patterns)}
        problems = {
            "another size": [
                f"{name} {tuple(value.shape)}, here {tuple(own[name].shape)}"
                for name, value in self.weights.items()
                if name in own and own[name].shape != value.shape
            ],
            "only in init": [name for name in self.weights if name not in own],
            "only in this detector": [name for name in wanted if name not in self.weights],
        }
        if any(problems.values()):
            raise ValueError(self._problem_sentence(problems))
        if self.of_maps and any(
            not torch.equal(value, own[name]) for name, value in self.weights.items() if name.startswith("feature.")
        ):
            raise ValueError(
                f"init={self.place} has other weights of the feature than those that feature.cache=true computes the "
                "maps with: use feature.cache=false, or init_only=[model.*,loss.*]."
            )
        detector.load_state_dict(self.weights, strict=False)
        rest = "" if len(self.weights) == len(own) else ", the rest is new"
        console.say(f"Starting from {self.name} (init): {len(self.weights)} of {len(own)} weights{rest}.")

    def _problem_sentence(self, problems: dict[str, list[str]]) -> str:
        lines = [
            f"  {what}: {', '.join(names[:MOST_LISTED])}"
            + (f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else "")
            for what, names in problems.items()
            if names
        ]
        bad = {name.partition(".")[0] for names in problems.values() for name in names}
        good = [f"{part}.*" for part in dict.fromkeys(map(_part, self.weights)) if part not in bad]
        advice = f"take the parts that fit, init_only=[{','.join(good)}], or " if good else ""
        return "\n".join(
            [
                f"The weights of init={self.place} ({self.name}) do not fit this detector:",
                *lines,
                f"Choose the feature, model and loss of init; or {advice}take fewer with init_only=PATTERN.",
            ]
        )


def read_initial_weights(cfg: DictConfig) -> InitialWeights:
    """Read the weights that a run starts from; none if its configuration names none (`init=null`).

    Raises:
        ValueError: if there is no such detector, it is no checkpoint, or no weight has such a name.
    """
    return replace(_of_init_or_model(cfg), feature_files=_feature_files(cfg.feature))


def _of_init_or_model(cfg: DictConfig) -> InitialWeights:
    patterns = tuple(map(str, cfg.init_only)) if isinstance(cfg.init_only, ListConfig) else (cfg.init_only or "*",)
    published = cfg.model.get("checkpoint")
    if published is not None and cfg.init is not None:
        raise ValueError(
            f"init={cfg.init} and model.checkpoint={published} both give the weights to start from: give one of them."
        )
    if cfg.init is None:
        if cfg.init_only is not None:
            raise ValueError(f"init_only={cfg.init_only} chooses weights of init, which is null: give init=PLACE, too.")
        return InitialWeights() if published is None else _published_weights(Path(published).expanduser())
    file, run = find_detector_file(cfg.init, cfg.cache)
    if file.suffix in EXPORTED:
        raise ValueError(
            f"init={cfg.init} is an exported file, whose weights cannot be trained: give its checkpoint or its run."
        )
    found = read_checkpoint(file, mmap=True).get("state_dict")
    weights = {
        str(name): value
        for name, value in (found.items() if isinstance(found, dict) else ())
        if isinstance(value, Tensor) and name not in OF_THE_DATA
    }
    chosen = {name: weights[name] for name in sorted(weights) if _is_chosen(name, patterns)}
    if not chosen:
        parts = ", ".join(f"{part}.*" for part in dict.fromkeys(map(_part, weights)))
        raise ValueError(f"init={cfg.init} has no weights named {', '.join(patterns)}; it has {parts or 'none'}.")
    digest = hashlib.sha256()
    for name, value in chosen.items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    of_maps = bool(cfg.feature.get("cache", False))
    return InitialWeights(str(cfg.init), run.name if run else file.name, chosen, patterns, digest.hexdigest(), of_maps)


def _published_weights(file: Path) -> InitialWeights:
    if not file.is_file():
        raise ValueError(f"There is no file of weights {str(file)!r}: correct model.checkpoint.")
    return InitialWeights(str(file), file.name, digest=file_digest(file))


def _feature_files(feature: DictConfig) -> dict[str, str]:
    named = {key: feature.get(key) for key in getattr(get_object(feature._target_), "weight_sources", ())}
    return {
        key: path_digest(Path(place))
        for key, place in named.items()
        if place is not None and Path(place).exists()  # not a name on a hub
    }


def _is_chosen(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _part(name: str) -> str:
    return name.partition(".")[0]
