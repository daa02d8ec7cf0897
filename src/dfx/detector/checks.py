"""Check the values and component arguments of a configuration before anything is built.

Hydra lets a misspelt key or a wrong type inside an experiment file through until the constructor fails, minutes later.
This module does not import torch, except through the classes that the configuration names.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from dfx.audio import segments
from dfx.audio.conditioning import Conditions
from dfx.config.schema import Node, did_you_mean, flatten_config, join_config_key

# Allowed words of the root; the classes check their own arguments.
WORDS = {
    "data.train_crop": segments.TRAIN_POLICIES,
    "data.eval_crop": segments.EVAL_POLICIES,
    "data.pad": segments.PADS,
    "data.balance": ("none", "class", "attack", "corpus"),
}
POSITIVE = (
    "data.batch_size",
    "data.limit_utterances",
    "sample_rate",
    "segment_seconds",
    "patience",
    "limits.hours",
    "limits.seconds",
    "limits.memory_mib",
    "num_threads",
)
# Arguments of Lightning's Trainer that would change the meaning of a run.
_WHOLE = "an epoch is one pass with one look at the whole of dev; use data.limit_utterances for less data."
_OWN = "dfx sets this itself (see dfx.detector.build.build_trainer); leave it out."
NOT_FOR_THE_TRAINER = {
    **dict.fromkeys(("limit_train_batches", "limit_val_batches", "limit_test_batches", "overfit_batches"), _WHOLE),
    **dict.fromkeys(("check_val_every_n_epoch", "val_check_interval", "fast_dev_run", "max_steps", "max_time"), _WHOLE),
    **dict.fromkeys(("logger", "callbacks", "enable_checkpointing", "enable_model_summary"), _OWN),
    **dict.fromkeys(("num_sanity_val_steps", "use_distributed_sampler", "reload_dataloaders_every_n_epochs"), _OWN),
}

SCALARS: dict[Any, Any] = {bool: bool, int: int, float: (int, float), str: str}  # type of argument -> of its value
LISTS = (list, tuple, Sequence)  # types of arguments that are given as a list


def check_config(cfg: DictConfig) -> None:
    """Check the values of a configuration, and the arguments of every class that it names.

    Raises:
        ValueError: if there are problems; it lists all of them, each with a suggestion.
    """
    resolved = typing.cast(Node, OmegaConf.to_container(cfg, resolve=True))
    problems = list(_value_problems(resolved))
    problems += [problem for path, node in _nodes(resolved, "") for problem in _argument_problems(path, node)]
    if problems:
        separator = "\n  " if len(problems) > 1 else " "
        raise ValueError(separator.join(["The configuration does not fit:", *problems]))


def _value_problems(resolved: Node) -> Iterator[str]:
    leaves = flatten_config(resolved)
    for key, words in WORDS.items():
        if key in leaves and leaves[key] not in words:
            yield f"{key}={leaves[key]}: use one of {', '.join(words)}."
    for key in POSITIVE:
        value = leaves.get(key)
        if isinstance(value, int | float) and value <= 0:
            yield f"{key}={value}: it must be positive."
    epochs = leaves.get("trainer.max_epochs", 1)
    least = 0 if leaves.get("model.checkpoint") else 1
    if epochs is None or (isinstance(epochs, int) and epochs < least):  # other types: _argument_problems
        given = "null" if epochs is None else epochs
        yield (
            f"trainer.max_epochs={given}: it must be positive, or 0 with model.checkpoint=FILE, which measures "
            "published weights as they are."
        )
    if isinstance(conditioning := resolved.get("conditioning"), Mapping):
        problems = Conditions.of(conditioning).problems(resolved["sample_rate"])
        yield from (f"conditioning.{problem}" for problem in problems)
    for key, reason in NOT_FOR_THE_TRAINER.items():
        if key in resolved.get("trainer", {}):
            yield f"trainer.{key}: {reason}"


def _nodes(node: Any, path: str) -> Iterator[tuple[str, Node]]:
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield path, dict(node)
        for key, value in node.items():
            yield from _nodes(value, join_config_key(path, key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _nodes(value, f"{path}[{number}]")


def _argument_problems(path: str, node: Node) -> Iterator[str]:
    target = str(node["_target_"])
    try:
        call = get_object(target)
    except Exception as error:  # an import may raise anything; the user has to read it
        yield f"{path}._target_: {target!r} cannot be imported ({import_error_reason(error)})."
        return
    parameters = inspect.signature(call).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    hints = type_hints(call) or {}  # annotations that only a type checker can resolve are not checked
    keys = {key: value for key, value in node.items() if not (key.startswith("_") and key.endswith("_"))}
    for key, value in keys.items():
        if value == "???":
            plus = "+" if ".corpora." in f".{path}" else ""  # no YAML has that key
            yield f"{path}.{key} is required: give it on the command line, {plus}{path}.{key}=VALUE."
        elif key not in parameters:
            if not open_ended:
                hint = did_you_mean(key, parameters) or f"It takes {', '.join(parameters) or 'nothing'}."
                yield f"{path}.{key}: {call.__name__} has no such argument; {hint}"
        elif key in hints and not _fits(value, hints[key]):
            wanted = _type_name(hints[key])
            yield f"{path}.{key}: expected {wanted}, got {value!r} ({type(value).__name__})."
    if not node.get("_partial_"):
        for name, parameter in parameters.items():
            by_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if by_name and parameter.default is parameter.empty and name not in keys:
                yield (
                    f"{path}.{name} is required by {call.__name__}: give {path}.{name}=VALUE; "
                    "what dfx itself passes (input_shape, embedding_dim) needs `_partial_: true` in the YAML."
                )


def import_error_reason(error: Exception) -> str:
    """Return the first line of the error that kept Hydra from importing a class."""
    cause = error.__cause__ or error
    return (str(cause).splitlines() or [type(cause).__name__])[0]


def type_hints(call: Callable[..., Any]) -> dict[str, Any] | None:
    """Return the types of the arguments of a class or function; None if only a type checker can resolve them."""
    try:
        # The constructor of a dataclass cannot resolve inherited annotations, the class can.
        own_constructor = inspect.isclass(call) and not dataclasses.is_dataclass(call)
        return typing.get_type_hints(call.__init__ if own_constructor else call)
    except (NameError, TypeError, AttributeError):
        return None


def _fits(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        return any(_fits(value, option) for option in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if hint is type(None):
        return value is None
    if hint in SCALARS:
        return isinstance(value, SCALARS[hint]) and isinstance(value, bool) == (hint is bool)
    if (origin or hint) in LISTS:
        return isinstance(value, list | tuple)  # a string is a sequence too
    if isinstance(hint, type) and isinstance(value, str | int | float):
        # No other class is written as a scalar.
        return isinstance(value, str) and issubclass(hint, os.PathLike)
    return True


def _type_name(hint: Any) -> str:
    if (typing.get_origin(hint) or hint) in LISTS:
        return "a list, [a,b]"
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return " or ".join("null" if option is type(None) else _type_name(option) for option in typing.get_args(hint))
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
