"""Replace corpus names in a configuration, such as `dataset.train=mine`, by the options of these corpora.

A dataset with a key `corpora` consists of other datasets. Where a key such as `train` names an option of the group
`dataset`, the YAML of that option is copied to `corpora.NAME`, with the user's keys on top. Options of corpora that are
not named are removed, so one command can give options for every corpus of a sweep. The result holds all that the run
depends on and nothing else, so it is checked, hashed and stored like any other configuration.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from dfx.config.schema import CONF_DIR, did_you_mean

SPLITS = ("train", "dev", "eval")  # keys that list corpora, "NAME" or "NAME:SPLIT"; a single one needs no list
ONE = "bonafide"  # key that names one corpus or a folder
OPTION = "dataset"  # key of `corpora.NAME` with the option, if NAME is the user's own name


def expand_corpora(cfg: DictConfig) -> DictConfig:
    """Replace each corpus name in the configuration by the options of that corpus, in place.

    Raises:
        ValueError: if a name is neither an option nor, where allowed, a folder.
    """
    node = cfg.get("dataset")
    if isinstance(node, DictConfig):
        _fill(node, "dataset", ())
    if "others" in cfg:  # further corpora of a command
        named = [("others", str(name).partition(":")[0]) for name in cfg.others]
        with open_dict(cfg):
            cfg.corpora = _corpora(cfg.corpora, named, "", ())
    return cfg


def corpus_options() -> dict[str, Path]:
    """Find the YAML file of each corpus, by name; dfx's own files come before those of `--config-dir`."""
    folders = [CONF_DIR]
    if HydraConfig.initialized():
        sources = HydraConfig.get().runtime.config_sources
        folders += [Path(source.path) for source in sources if source.schema == "file"]
    return {path.stem: path for folder in reversed(folders) for path in sorted((folder / "dataset").glob("*.yaml"))}


def _fill(node: DictConfig, path: str, inside: tuple[str, ...]) -> None:
    if "corpora" not in node:
        return
    with open_dict(node):
        for key in SPLITS:
            value = None if OmegaConf.is_missing(node, key) else node.get(key)
            if isinstance(value, str):
                node[key] = [value]
        node.corpora = _corpora(node.corpora, list(_named(node)), path, inside)


def _named(node: DictConfig) -> Iterator[tuple[str, str]]:
    """Yield each corpus that a combined dataset names, with its key (`train`, `dev`, `eval`)."""
    for key in (*SPLITS, ONE):
        value = None if OmegaConf.is_missing(node, key) else node.get(key)
        if isinstance(value, ListConfig):
            yield from ((key, str(entry).partition(":")[0]) for entry in value)
        elif value:
            yield key, str(value)


def _corpora(
    written: DictConfig | None, named: list[tuple[str, str]], path: str, inside: tuple[str, ...]
) -> dict[str, Any]:
    """Build the value of the key `corpora`: the options of each named corpus."""
    own: Any = written or {}
    known = corpus_options()
    prefix = f"{path}." if path else ""
    nodes: dict[str, Any] = {}
    for key, name in named:
        if name in own or name in known:
            nodes[name] = _node(name, own.get(name), f"{prefix}corpora.{name}", (*inside, name), known)
        elif key != ONE:  # may be a folder
            hint = did_you_mean(name, known) or f"options: {', '.join(known)}."
            raise ValueError(f"{prefix}{key}: there is no dataset {name!r}; {hint}")
    for name, keys in own.items():
        whole = isinstance(keys, DictConfig) and (OPTION in keys or "_target_" in keys)
        if name not in nodes and name not in known and not whole:
            hint = did_you_mean(str(name), [*nodes, *known]) or f"named are {', '.join(nodes) or 'none'}."
            raise ValueError(f"{prefix}corpora.{name}: nothing is called {name!r}; {hint}")
    return nodes


def _node(
    name: str, written: DictConfig | None, path: str, inside: tuple[str, ...], known: dict[str, Path]
) -> DictConfig:
    """Build the options of one named corpus; keys that the user gave replace keys of its YAML file."""
    if not isinstance(written, DictConfig | None):
        raise ValueError(f"{path}={written}: give its options, {path}={{root: DIR}} or {path}.root=DIR.")
    own = OmegaConf.create({} if written is None else OmegaConf.to_container(written))
    assert isinstance(own, DictConfig)
    if "_target_" in own:
        return own  # a class of the user, or already expanded
    option = str(own.pop(OPTION, name))
    if option not in known:
        hint = did_you_mean(option, known) or f"options: {', '.join(known)}."
        which = f"say which dataset has that name, {path}.{OPTION}=folder; " if option == name else ""
        raise ValueError(f"{path}: there is no dataset {option!r}; {which}{hint}")
    if inside.count(name) > 1:
        raise ValueError(f"{path}: {name} is made of itself; name another corpus.")
    loaded = OmegaConf.load(known[option])
    if "_target_" not in loaded:
        raise ValueError(
            f"{path}: dataset={option} sets keys of the whole run, or takes its own from another option, and cannot be "
            "one of several; use it by itself."
        )
    merged = OmegaConf.merge(loaded, own)
    assert isinstance(merged, DictConfig)
    _fill(merged, path, inside)
    return merged
