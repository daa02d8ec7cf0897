"""Prepare the arguments of a command for Hydra: take out paths, and quote values that Hydra would misread.

Hydra reads `KEY=VALUE` with a grammar in which spaces, commas, brackets and `=` have a meaning, as they have in few
paths.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra.errors import HydraException
from omegaconf import DictConfig

from dfx.config.schema import CONF_DIR

OPTIONS_WITH_VALUE = {  # of Hydra, which may be followed by their value
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
    *("--experimental-rerun", "--info", "-i"),
}
PATH_KEYS = {  # last words of keys whose values are paths
    *("model", "scores", "key", "dev_scores", "dev_key", "asv", "asv_key", "cache", "out", "root", "path", "data"),
    *("json", "csv", "plot", "report", "log", "clips", "init", "bonafide", "checkpoint", "manifest", "control"),
}
ONE_PATH_KEYS = {"json", "csv", "plot", "report", "log", "cache", "out"}  # whole keys; the value is always one path
PATH_STARTS = ("/", "./", "../", "~/")
WRAPPED = "_value_"
PLAIN_VALUE = re.compile(r"[\w./:@%+*-]*")  # which Hydra leaves alone


def split_words(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divide the arguments of a command into paths and overrides for Hydra.

    A word without `=` that is no option is a path, and so is everything after `--`, what begins like a path (`/`, `./`,
    `../`, `~/`), and the name of an existing file. `-` is standard input.

    >>> split_words(["a b.wav", "model=x.ckpt", "--cfg", "job", "--", "odd=name.wav"])
    (['a b.wav', 'odd=name.wav'], ['model=x.ckpt', '--cfg', 'job'])
    """
    words: list[str] = []
    others: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            words += rest
        elif argument in OPTIONS_WITH_VALUE:
            others += [argument, *itertools.islice(rest, 1)]
        elif argument != "-" and _is_override(argument):
            others.append(argument)
        else:
            words.append(argument)
    return words, others


def _is_override(argument: str) -> bool:
    if argument.startswith(PATH_STARTS):
        return False
    return argument[:1] in "-~" or ("=" in argument and not _is_path(argument))


def quote_paths(arguments: Iterable[str]) -> list[str]:
    """Quote values that are paths, so that Hydra does not change or refuse them: `model=/my thesis (2)/a.ckpt`.

    These are values that name an existing file or folder, and values of `PATH_KEYS` that Hydra cannot read. A list, a
    mapping and a quoted value are left as they are.
    """
    return [_quoted(argument) for argument in arguments]


def _quoted(argument: str) -> str:
    key, equals, value = argument.partition("=")
    name = key.rpartition(".")[2]
    if not equals or argument.startswith("-") or value in ("", "null") or (value[0] == value[-1] and value[0] in "'\""):
        return argument
    if key in ONE_PATH_KEYS or (not PLAIN_VALUE.fullmatch(value) and _is_path(value)):
        chosen = True
    else:
        switch = value.lower() in ("true", "false")  # feature.cache=true is no path
        chosen = name in PATH_KEYS and not switch and value[0] not in "'\"[{" and not _is_readable(argument)
    if chosen:
        # In a quoted value a backslash is itself, except before a quotation mark and before an interpolation.
        text = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
        return f"{key}='{text.replace('${', chr(92) + '${')}'"
    return argument


def wrap_group_values(arguments: Iterable[str], command: str) -> list[str]:
    """Wrap values in a mapping where Hydra would take the key, such as `model`, for an option group.

    Hydra takes `model=x` for the choice of an option wherever there is a group of that name, unless it is a mapping.
    """
    text = (CONF_DIR / f"{command}.yaml").read_text(encoding="utf-8")
    plain = {key for key in re.findall(r"^(\w+):", text, re.MULTILINE) if (CONF_DIR / key).is_dir()}
    found = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        found.append(f"{key}={{{WRAPPED}: {value}}}" if key in plain and value[:1] not in ("", "{") else argument)
    return found


def unwrap_group_values(cfg: DictConfig) -> DictConfig:
    """Undo `wrap_group_values` in the composed configuration, in place."""
    for key, value in cfg.items_ex(resolve=False):
        if isinstance(value, DictConfig) and set(value) == {WRAPPED}:
            cfg[key] = value._get_node(WRAPPED)
    return cfg


def _is_path(value: str) -> bool:
    try:
        return Path(value).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # RuntimeError: the home folder of an unknown user
        return False


def _is_readable(argument: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException:
        return False
    return override.is_sweep_override() or isinstance(override.value(), str)
