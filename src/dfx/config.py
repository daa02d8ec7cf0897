"""The configuration: where it lies, what its root may hold, and the checks made before anything is built.

`CONF_DIR` is an absolute path, so `python -m dfx.train`, the console script and an installed wheel find the same files
from any working directory. Nothing here imports torch: `--help`, `--cfg job` and tab completion must answer at once.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
import os
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object
from omegaconf import MISSING, DictConfig, OmegaConf

_PACKAGED = Path(__file__).parent / "conf"
CONF_DIR = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "conf"

# Keys that say how a run is kept or shown, not what it computes: they do not change its identity.
BOOKKEEPING = (
    "rerun",
    "cache",
    "dataset.cache",
    "dataset.num_workers",
    "dataset.facts",
    "dataset.root",  # what lies there is: the manifest, and the files' sizes and times, are hashed with it
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

# What the root's words may be; the classes check their own arguments.
WORDS = {
    "data.train_crop": ("random", "first", "centre"),
    "data.eval_crop": ("first", "centre", "sliding"),
    "data.pad": ("repeat", "zero"),
    "data.balance": ("none", "class", "attack", "corpus"),
}
POSITIVE = (
    "data.batch_size",
    "data.limit_utterances",
    "sample_rate",
    "segment_seconds",
    "patience",
    "num_threads",
    "trainer.max_epochs",
    "num_shards",
)
# Arguments of Lightning's Trainer that would change what a run means behind its back.
_WHOLE = "an epoch is one pass with one look at the whole of dev; use data.limit_utterances for less data."
_OWN = "dfx sets this itself (see dfx.build.trainer); leave it out."
NOT_FOR_THE_TRAINER = {
    **dict.fromkeys(
        ("limit_train_batches", "limit_val_batches", "limit_test_batches", "overfit_batches"), _WHOLE
    ),
    **dict.fromkeys(
        ("check_val_every_n_epoch", "val_check_interval", "fast_dev_run", "max_steps", "max_time"), _WHOLE
    ),
    **dict.fromkeys(("logger", "callbacks", "enable_checkpointing", "enable_model_summary"), _OWN),
    **dict.fromkeys(
        ("num_sanity_val_steps", "use_distributed_sampler", "reload_dataloaders_every_n_epochs"), _OWN
    ),
}

LISTS = (list, tuple, Sequence)  # types of arguments that are given as a list
Node = dict[str, Any]


@dataclass
class DataConfig:
    """How utterances become batches; the meaning of each key stands in `conf/train.yaml`."""

    batch_size: int = 32
    num_workers: int = 0
    bandwidth_hz: float | None = None
    trim_db: float | None = None
    loudness_db: float | None = None
    train_crop: str = "random"
    eval_crop: str = "first"
    pad: str = "repeat"
    balance: str = "none"
    max_bad_fraction: float = 0.01
    limit_utterances: int | None = None


@dataclass
class RootConfig:
    """Keys and types of the root; the component groups are open, since each class checks its own keys."""

    dataset: Node = MISSING
    feature: Node = MISSING
    model: Node = MISSING
    loss: Node = MISSING
    augment: Node | None = None
    optimizer: Node = MISSING
    trainer: Node = MISSING
    data: DataConfig = field(default_factory=DataConfig)
    seed: int = 0
    sample_rate: int = 16000
    segment_seconds: float = 4.0
    patience: int = 8
    experiment_name: str = "dfx"
    rerun: bool = False
    cache: str | None = None
    num_threads: int | None = None


@dataclass
class AuditConfig:
    """Keys and types of `dfx.audit`; their meaning stands in `conf/audit.yaml`."""

    dataset: Node = MISSING
    others: list[str] = field(default_factory=list)
    corpora: Node = field(default_factory=dict)
    sample_rate: int = 16000
    seed: int = 0
    experiment_name: str = "dfx-audit"
    out: str | None = None
    cache: str | None = None
    num_workers: int | None = None


@dataclass
class DownloadConfig:
    """Keys and types of `dfx.download`; their meaning stands in `conf/download.yaml`."""

    dataset: Node = MISSING
    data: str | None = None
    keep_archives: bool = False
    list_only: bool = False


@dataclass
class PrepareConfig:
    """Keys and types of `dfx.prepare`; their meaning stands in `conf/prepare.yaml`."""

    dataset: Node = MISSING
    sample_rate: int = 16000
    max_bad_fraction: float = 0.01
    cache: str | None = None
    num_workers: int | None = None
    shard: int = 0
    num_shards: int = 1


SCHEMAS = {"train": RootConfig, "audit": AuditConfig, "download": DownloadConfig, "prepare": PrepareConfig}


def register_schema() -> None:
    """Make the schema of each command known to Hydra; the first entry of the defaults in `conf/COMMAND.yaml`."""
    for command, schema in SCHEMAS.items():
        ConfigStore.instance().store(
            name="base_config" if command == "train" else f"{command}_config", node=schema
        )


def check(cfg: DictConfig) -> None:
    """Check the values of the root, and compare every node that names a class with the signature of that class.

    Hydra lets a misspelt key or a wrong type inside an experiment file through until the constructor fails, minutes
    later; here all of them are found at once, before any data is touched.

    Raises:
        ValueError: one error that lists every problem, each with a suggestion.
    """
    resolved = typing.cast(Node, OmegaConf.to_container(cfg, resolve=True))
    problems = list(_root_problems(resolved))
    problems += [problem for path, node in _nodes(resolved, "") for problem in _problems(path, node)]
    if problems:
        separator = "\n  " if len(problems) > 1 else " "
        raise ValueError(separator.join(["The configuration does not fit:", *problems]))


def config_hash(cfg: DictConfig, *data: str) -> str:
    """Identity of a run: a hash of the whole resolved configuration, bookkeeping left out, and of its data.

    The whole configuration and not the overrides, so that a changed default gives a new identity.
    """
    resolved = typing.cast(Node, OmegaConf.to_container(cfg, resolve=True))
    for key in BOOKKEEPING:
        *parents, leaf = key.split(".")
        node = resolved
        for parent in parents:
            node = node.get(parent) or {}
        node.pop(leaf, None)
    _strip(resolved.get("dataset") or {})
    text = json.dumps([resolved, data], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _strip(dataset: Node) -> None:
    """Take the bookkeeping keys out of a dataset and of the corpora that it is made of."""
    for key in BOOKKEEPING:
        group, _, leaf = key.partition(".")
        if group == "dataset":
            dataset.pop(leaf, None)
    for corpus in (dataset.get("corpora") or {}).values():
        _strip(corpus)


def choices(cfg: DictConfig) -> dict[str, str]:
    """The options that were chosen, as tags of the run: `{"feature": "lfcc", "model": "lcnn", …, "seed": "0"}`."""
    chosen = {}
    if HydraConfig.initialized():
        chosen = {k: str(v) for k, v in HydraConfig.get().runtime.choices.items() if "/" not in k and v}
    groups = [key for key, value in cfg.items() if isinstance(value, DictConfig) and key != "data"]
    named = {str(key): str(cfg[key].get("_target_", "?")).rpartition(".")[2].lower() for key in groups}
    return {**named, **chosen, "seed": str(cfg.seed)}


def flatten(node: Any, path: str = "") -> dict[str, Any]:
    """Leaves of a nested container by dotted path: `{"model": {"dropout": .5}}` -> `{"model.dropout": .5}`."""
    if isinstance(node, Mapping) and node:
        return {k: v for key, value in node.items() for k, v in flatten(value, _join(path, key)).items()}
    return {path: node}


def closest(word: str, words: typing.Iterable[str]) -> str:
    """A suggestion in words, `did you mean 'lcnn'?`, or the empty string when nothing is near."""
    match = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f"did you mean {match[0]!r}?" if match else ""


def _root_problems(resolved: Node) -> Iterator[str]:
    leaves = flatten(resolved)
    for key, words in WORDS.items():
        if key in leaves and leaves[key] not in words:
            yield f"{key}={leaves[key]}: use one of {', '.join(words)}."
    for key in POSITIVE:
        value = leaves.get(key)
        if isinstance(value, int | float) and value <= 0:
            yield f"{key}={value}: it must be positive."
    if isinstance(data := resolved.get("data"), Mapping):
        from dfx.conditioning import Conditions

        yield from (f"data.{text}" for text in Conditions.of(data).problems(resolved["sample_rate"]))
    for key, reason in NOT_FOR_THE_TRAINER.items():
        if key in resolved.get("trainer", {}):
            yield f"trainer.{key}: {reason}"


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _nodes(node: Any, path: str) -> Iterator[tuple[str, Node]]:
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield path, dict(node)
        for key, value in node.items():
            yield from _nodes(value, _join(path, key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _nodes(value, f"{path}[{number}]")


def _problems(path: str, node: Node) -> Iterator[str]:
    target = str(node["_target_"])
    try:
        call = get_object(target)
    except Exception as error:  # whatever an import raises, the user must read it
        yield f"{path}._target_: {target!r} cannot be imported ({_first_line(error)})."
        return
    parameters = inspect.signature(call).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    hints = _type_hints(call)
    keys = {key: value for key, value in node.items() if not (key.startswith("_") and key.endswith("_"))}
    for key, value in keys.items():
        if value == "???":
            plus = "+" if ".corpora." in f".{path}" else ""  # no YAML has that key
            yield f"{path}.{key} is required: give it on the command line, {plus}{path}.{key}=VALUE."
        elif key not in parameters:
            if not open_ended:
                hint = closest(key, parameters) or f"It takes {', '.join(parameters) or 'nothing'}."
                yield f"{path}.{key}: {call.__name__} has no such argument; {hint}"
        elif key in hints and not _fits(value, hints[key]):
            wanted = _spell(hints[key])
            yield f"{path}.{key}: expected {wanted}, got {value!r} ({type(value).__name__})."
    if not node.get("_partial_"):
        for name, parameter in parameters.items():
            required = parameter.default is parameter.empty and parameter.kind in (
                parameter.POSITIONAL_OR_KEYWORD,
                parameter.KEYWORD_ONLY,
            )
            if required and name not in keys:
                yield (
                    f"{path}.{name} is required by {call.__name__}: give {path}.{name}=VALUE; "
                    "what dfx itself passes (input_shape, embedding_dim) needs `_partial_: true` in the YAML."
                )


def _first_line(error: BaseException) -> str:
    cause = error.__cause__ or error
    return (str(cause).splitlines() or [type(cause).__name__])[0]


def _type_hints(call: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(call.__init__ if inspect.isclass(call) else call)
    except (NameError, TypeError, AttributeError):
        return {}  # annotations that only a type checker can resolve are not checked


def _fits(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        return any(_fits(value, option) for option in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    if (origin or hint) in LISTS:
        return isinstance(value, list | tuple)  # a word is a sequence too, of letters
    if isinstance(hint, type) and isinstance(value, str | int | float):
        return isinstance(value, str) and issubclass(
            hint, os.PathLike
        )  # no other class is written as a scalar
    return True


def _spell(hint: Any) -> str:
    if (typing.get_origin(hint) or hint) in LISTS:
        return "a list, [a,b]"
    if typing.get_origin(hint) is types.UnionType:
        return " or ".join(
            "null" if option is type(None) else _spell(option) for option in typing.get_args(hint)
        )
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
