"""Identity of a run: a hash of the whole resolved configuration, and the options that were chosen."""

from __future__ import annotations

import hashlib
import json
import typing

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from dfx.config.schema import Node

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
    "num_threads",
    "data.num_workers",
    "trainer.enable_progress_bar",
)


def config_hash(cfg: DictConfig, *data: str) -> str:
    """Hash that identifies a run, from its resolved configuration (without `BOOKKEEPING`) and its data.

    It covers the whole configuration, not only the overrides, so a changed default changes the identity.
    """
    resolved = typing.cast(Node, OmegaConf.to_container(cfg, resolve=True))
    for key in BOOKKEEPING:
        group, _, leaf = key.rpartition(".")
        node = resolved.get(group) or {} if group else resolved
        node.pop(leaf, None)
    _strip(resolved.get("dataset") or {})
    text = json.dumps([resolved, data], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _strip(dataset: Node) -> None:
    """Remove the bookkeeping keys of a dataset and of the corpora inside it."""
    for key in BOOKKEEPING:
        group, _, leaf = key.partition(".")
        if group == "dataset":
            dataset.pop(leaf, None)
    for corpus in (dataset.get("corpora") or {}).values():
        _strip(corpus)


def chosen_options(cfg: DictConfig) -> dict[str, str]:
    """Chosen options, as tags of the run: `{"feature": "lfcc", "model": "lcnn", …, "seed": "0"}`."""
    chosen = {}
    if HydraConfig.initialized():
        options = HydraConfig.get().runtime.choices.items()
        chosen = {group: str(option) for group, option in options if group.isidentifier() and option}
    named = {
        str(key): str(node._target_).rpartition(".")[2].lower()
        for key, node in cfg.items()
        if isinstance(node, DictConfig) and "_target_" in node
    }
    return {**named, **chosen, "seed": str(cfg.seed)}
