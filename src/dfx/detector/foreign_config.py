"""Check the configuration in a detector file from an unknown source, before anything is built from it.

Such a file is data, not code. Hydra calls whatever a `_target_` names. So a configuration from a checkpoint, an ONNX
file or an MLflow artifact may name the features, models, losses and masks of dfx only, and what is in packages that the
user trusts. Their arguments may not name files, URLs or hub models.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from torch import nn

from dfx.audio.segments import EVAL_POLICIES, PADS
from dfx.config.schema import join_config_key
from dfx.detector.checks import import_error_reason, type_hints
from dfx.features.base import Feature
from dfx.models.pretrained import PretrainedModel

NETWORK = {"feature": "dfx.features", "model": "dfx.models", "loss": "dfx.losses"}  # keys that objects are built from
PACKAGES = (*NETWORK.values(), "dfx.augment")
MOST_SHOWN = 5
MARKS = ("_target_", "_partial_", "_convert_")  # keys of Hydra that an own configuration has
MOST_LEVELS = 20
MOST_VALUES = 10_000  # of lists and mappings, which may contain each other


def check_foreign_config(
    config: Any, file: Path, keys: Sequence[str], trust: str | Sequence[str] = ()
) -> dict[str, Any]:
    """Check that the configuration in a detector file names allowed classes only, and return it.

    Modules of other packages are not imported.

    Args:
        config: as read from the file.
        file: for messages.
        keys: that it must have.
        trust: packages whose classes it may name besides those of dfx: `["my_lab"]`.

    Raises:
        ValueError: if it is no configuration of a detector, or names what is not allowed.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f"{file} holds no configuration of a detector: give a file that dfx wrote.")
    missing = [key for key in keys if key not in config]
    if missing:
        raise ValueError(
            f"{file} does not say its {', '.join(missing)}, as an early version of dfx left it out: train it again."
        )
    found = _problems(dict(config), "", trusted_packages(trust), 0, itertools.count())
    problems = list(itertools.islice(found, MOST_SHOWN))
    problems += _value_problems(config)
    for key in NETWORK:
        if not isinstance(config[key], Mapping) or "_target_" not in config[key]:
            problems.append(f"{key} names no class.")
    if problems:
        raise ValueError(
            f"{file} was not opened, since its configuration is not that of a detector of dfx:\n  "
            + "\n  ".join(problems[:MOST_SHOWN])
        )
    return dict(config)


def trusted_packages(trust: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of the packages that the user trusts; a text is one name."""
    names = (trust,) if isinstance(trust, str) else trust
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"trust={trust} names no packages: give a list, trust=[my_lab], or trust=[] for none.")
    return tuple(names)


def _value_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one error sentence for each invalid value of the settings that prepare clips."""
    for key, largest in (("sample_rate", 1e6), ("segment_seconds", 1e6), ("seed", None)):
        value = config[key]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or (largest is not None and not 0 < value <= largest):
            yield f"{key}={value!r:.40}: it is no plausible number."
    for key in ("data", "conditioning"):
        if not isinstance(config[key], Mapping):
            yield f"{key}={config[key]!r:.40}: it has no keys."
    for key, words in (("eval_crop", EVAL_POLICIES), ("pad", PADS)):
        value = config["data"].get(key) if isinstance(config["data"], Mapping) else words[0]
        if value not in words:
            yield f"data.{key}={value!r:.40}: it is none of {', '.join(words)}."


def _problems(value: Any, path: str, trust: tuple[str, ...], level: int, visited: Iterator[int]) -> Iterator[str]:
    if next(visited) > MOST_VALUES:
        raise ValueError(f"A configuration of more than {MOST_VALUES:,} values is none of a detector of dfx.")
    if level > MOST_LEVELS:
        yield f"{path[:60]}… has more than {MOST_LEVELS} levels."
    elif isinstance(value, Mapping):
        if "_target_" in value:
            yield from _target_problems(value, path, trust)
        for key, item in value.items():
            if not isinstance(key, str):
                yield f"{path}: the key {key!r:.60} is no text."
            elif key.startswith("_") and key not in MARKS:
                yield f"{join_config_key(path, key)}: a key of Hydra that dfx does not write."
            else:
                yield from _problems(item, join_config_key(path, key), trust, level + 1, visited)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _problems(item, f"{path}[{number}]", trust, level + 1, visited)
    elif isinstance(value, str):
        if "${" in value:
            yield f"{path}={value!r:.80}: interpolations are not resolved."
    elif value is not None and not isinstance(value, bool | int | float):
        yield f"{path}: {type(value).__name__} is no value of a configuration."


def _target_problems(node: Mapping[str, Any], path: str, trust: tuple[str, ...]) -> Iterator[str]:
    target = node["_target_"]
    if path.split(".")[0] not in NETWORK:
        yield f"{join_config_key(path, '_target_')}={target!r:.80}: only {', '.join(NETWORK)} name classes."
        return
    try:
        component = _component(target, path, trust)
    except Exception as error:  # an import may raise anything
        yield f"{path}._target_={target!r:.80} cannot be imported ({import_error_reason(error)})."
        return
    if component is None:
        package = str(target).partition(".")[0]
        yield (
            f"{path}._target_={target!r:.80} is none of the features, models, losses and masks of dfx. If it is a "
            f"module of a package that you know and trust, say so: trust=[{package:.40}]."
        )
        return
    hints = type_hints(component)
    if hints is None:
        yield (
            f"{path}._target_={target!r:.80}: the types of its arguments cannot be found out. Import the classes of "
            "its annotations when it runs, not under TYPE_CHECKING."
        )
        return
    external = _external_arguments(component, hints)
    for name, parameter in inspect.signature(component).parameters.items():
        value = node.get(name, None if parameter.default is parameter.empty else parameter.default)
        if value is not None and name in external:
            yield f"{path}.{name}={value!r:.80}: a detector file holds its weights, and names no other file or model."


def _component(target: Any, path: str, trust: tuple[str, ...]) -> type[nn.Module] | None:
    """Return the class that a `_target_` names, if dfx or a trusted package defines it."""
    package, _, name = str(target).rpartition(".")
    own = package in PACKAGES and (path not in NETWORK or package == NETWORK[path])
    trusted = next((one for one in trust if f"{package}.".startswith(f"{one}.")), "")
    if own:
        found = vars(importlib.import_module(package)).get(name)
    elif trusted:
        found = get_object(str(target))
    else:
        return None
    is_module = isinstance(found, type) and issubclass(found, nn.Module)
    # Not what a trusted package only imports: `my_lab.torch.hub.load`.
    defined = is_module and f"{found.__module__}.".startswith(f"{package if own else trusted}.")
    return found if defined else None


def _external_arguments(component: type[nn.Module], hints: Mapping[str, Any]) -> set[str]:
    """Return the arguments of a class that name a file or a model to download."""
    paths = {name for name, hint in hints.items() if Path in (hint, *typing.get_args(hint))}
    return paths | set(component.weight_sources if issubclass(component, Feature | PretrainedModel) else ())
