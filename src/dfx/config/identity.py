"""Identity of a run: a hash of its configuration, and its chosen options as tags."""

from __future__ import annotations

import hashlib
import json
import typing
from collections.abc import Mapping

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from dfx.config.schema import Node, flatten_config

# Keys that change how a run is stored or shown but not its result; they are not part of its identity.
BOOKKEEPING = (
    "rerun",
    "cache",
    "dataset.cache",
    "dataset.num_workers",
    "dataset.facts",
    "dataset.root",  # the manifest and the files' sizes and times are hashed instead
    "dataset.ljspeech_root",
    "dataset.jsut_root",
    "dataset.mailabs_root",
    "dataset.path",
    "dataset.split_file",  # the splits that it fixes are in the manifest
    "dataset.progress",
    "experiment_name",
    "limits.seconds",  # what a machine manages; limits.hours decides what a run hears
    "limits.memory_mib",
    "log_model",
    "num_threads",
    "system_metrics",
    "data.num_workers",
    "trainer.enable_progress_bar",
)
INIT = ("init", "init_only")  # keys that name initial weights; without any, they are not part of the identity


def config_hash(
    cfg: DictConfig, *data: str, init: str | None = None, feature_files: Mapping[str, str] | None = None
) -> str:
    """Compute the hash that identifies a run, from its whole resolved configuration and hashes of its data.

    Args:
        cfg: the configuration.
        data: hashes of the data.
        init: hash of the weights that the run starts from; it stands for their place (the keys in `INIT`, and
            model.checkpoint).
        feature_files: hashes of the files that arguments of the feature name; they stand for their places.

    It covers the whole configuration, not only the overrides, so a changed default changes the identity.
    """
    settings = _without_bookkeeping(cfg)
    if init is not None:
        settings = {key: value for key, value in settings.items() if key not in INIT} | {"init": init}
        settings["model"] = {key: value for key, value in settings["model"].items() if key != "checkpoint"}
    if feature_files:
        settings["feature"] = settings["feature"] | feature_files
    text = json.dumps([settings, data], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def logged_params(cfg: DictConfig) -> dict[str, str]:
    """Return the settings of a run that MLflow logs as parameters: its options, and every key that changes the result.

    The class of a component is left out, because its option names it. The class of a part inside a component
    (`feature.mask._target_`) is kept, because no option does.
    """
    options = {key: value for key, value in chosen_options(cfg).items() if key != "experiment"}
    settings = {
        key: str(value)
        for key, value in flatten_config(_without_bookkeeping(cfg)).items()
        if not key.endswith("._partial_") and not (key.endswith("._target_") and key.count(".") == 1)
    }
    return {**options, **settings, **options}  # options first: the UI shows them in this order


def _without_bookkeeping(cfg: DictConfig) -> Node:
    """Resolve a configuration, and remove the keys in `BOOKKEEPING`, also from corpora inside corpora."""
    resolved = typing.cast(Node, OmegaConf.to_container(cfg, resolve=True))

    def remove(node: Node, group: str) -> None:
        for key in BOOKKEEPING:
            parent, _, leaf = key.rpartition(".")
            if parent == group:
                node.pop(leaf, None)
        for corpus in (node.get("corpora") or {}).values():
            remove(corpus, "dataset")

    for group in {key.rpartition(".")[0] for key in BOOKKEEPING}:
        remove((resolved.get(group) or {}) if group else resolved, group)
    return {key: value for key, value in resolved.items() if key not in INIT or value is not None}


def chosen_options(cfg: DictConfig) -> dict[str, str]:
    """Return the options of a run as tags: `{"feature": "lfcc", "model": "lcnn", "seed": "0"}`."""
    chosen = {}
    if HydraConfig.initialized():
        options = HydraConfig.get().runtime.choices.items()
        typed = {override.lstrip("+").partition("=")[0] for override in HydraConfig.get().overrides.task}
        chosen = {
            group: str(option)
            for group, option in options
            if group.isidentifier() and option and f"{group}._target_" not in typed
        }
    named = {
        str(key): str(node._target_).rpartition(".")[2].lower()
        for key, node in cfg.items()
        if isinstance(node, DictConfig) and "_target_" in node
    }
    return {**named, **chosen, "seed": str(cfg.seed)}
