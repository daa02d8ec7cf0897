"""Corpora by name inside a configuration: `dataset.train=[asvspoof2019_la,mine]` becomes what those options hold.

A dataset with a key `corpora` is made of others. Where one of `NAMING` names an option of the group `dataset`, the
YAML of that option is put under `corpora.NAME`, with what the user wrote there on top. The configuration then holds
everything that the run depends on: it is checked, hashed and kept like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from dfx.config import CONF_DIR, closest

NAMING = (
    "train",
    "dev",
    "eval",
    "bonafide",
)  # keys of such a dataset that name corpora, "NAME" or "NAME:SPLIT"
OPTION = "dataset"  # key of `corpora.NAME` that says which option it is, where the name is the user's own


def expand(cfg: DictConfig) -> DictConfig:
    """The configuration with every corpus that is named filled in; changed in place.

    Raises:
        ValueError: if a name is neither an option nor, where one may stand, a folder.
    """
    node = cfg.get("dataset")
    if isinstance(node, DictConfig):
        _fill(node, "dataset", ())
    for name in cfg.get("others") or []:  # corpora that a command looks at besides
        with open_dict(cfg):
            cfg.corpora = cfg.get("corpora") or {}
            cfg.corpora[name] = _node(name, cfg.corpora.get(name), f"corpora.{name}", (name,))
    return cfg


def options() -> dict[str, Path]:
    """YAML of each option of the group `dataset`; the user's own folders (--config-dir) win."""
    folders = [CONF_DIR]
    if HydraConfig.initialized():
        sources = HydraConfig.get().runtime.config_sources
        folders += [Path(source.path) for source in sources if source.schema == "file"]
    return {path.stem: path for folder in folders for path in sorted((folder / "dataset").glob("*.yaml"))}


def _fill(node: DictConfig, path: str, inside: tuple[str, ...]) -> None:
    if "corpora" not in node:
        return
    with open_dict(node):
        node.corpora = node.corpora or {}
        for key, name in _named(node):
            place = f"{path}.corpora.{name}"
            written = node.corpora.get(name)
            known = options()
            if written is None and name not in known:
                if key == "bonafide":  # a folder may stand here
                    continue
                hint = closest(name, known) or f"options: {', '.join(known)}."
                raise ValueError(f"{path}.{key}: there is no dataset {name!r}; {hint}")
            node.corpora[name] = _node(name, written, place, (*inside, name))


def _named(node: DictConfig) -> Iterator[tuple[str, str]]:
    for key in NAMING:
        value = node.get(key) if not OmegaConf.is_missing(node, key) else None
        names = list(value) if isinstance(value, ListConfig) else [value] if value else []
        yield from ((key, str(name).partition(":")[0] if key != "bonafide" else str(name)) for name in names)


def _node(name: str, written: DictConfig | None, path: str, inside: tuple[str, ...]) -> DictConfig:
    """The option that a name stands for, with the user's keys on top, and what it names in turn."""
    own = OmegaConf.create(OmegaConf.to_container(written)) if written is not None else OmegaConf.create({})
    assert isinstance(own, DictConfig)
    if "_target_" in own:
        return own  # expanded before
    option = str(own.pop(OPTION, name))
    known = options()
    if option not in known:
        hint = closest(option, known) or f"options: {', '.join(known)}."
        raise ValueError(f"{path}: there is no dataset {option!r}; {hint}")
    if inside.count(name) > 1:
        raise ValueError(f"{path}: {name} is made of itself; name another corpus.")
    loaded = OmegaConf.load(known[option])
    if "_target_" not in loaded:
        raise ValueError(
            f"{path}: dataset={option} sets keys of the whole run and cannot be one of several; use it by itself."
        )
    merged = OmegaConf.merge(loaded, own)
    assert isinstance(merged, DictConfig)
    _fill(merged, path, inside)
    return merged
