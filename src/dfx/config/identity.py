"""Identity of a run: a hash of its configuration, and its chosen options as tags."""

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
    """Compute the hash that identifies a run from its resolved configuration and hashes of its data.

    The keys in `BOOKKEEPING` are left out.

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
    """Remove the bookkeeping keys from a dataset and from its corpora."""
    for key in BOOKKEEPING:
        group, _, leaf = key.partition(".")
        if group == "dataset":
            dataset.pop(leaf, None)
    for corpus in (dataset.get("corpora") or {}).values():
        _strip(corpus)


def chosen_options(cfg: DictConfig) -> dict[str, str]:
    """Return the options of a run as tags: `{"feature": "lfcc", "model": "lcnn", "seed": "0"}`."""
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
