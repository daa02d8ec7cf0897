"""Configuration schema: keys and types of each command, and helpers for nested keys.

`CONF_DIR` is an absolute path, so `python -m dfx.train`, the console script and an installed wheel find the same files
from any working directory. Nothing here imports torch, which keeps `--help` and tab completion fast.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

_PACKAGED = Path(__file__).parents[1] / "conf"
CONF_DIR = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[3] / "conf"


Node = dict[str, Any]


# Keys and types of each command's YAML, which Hydra compares with what is typed; values and meaning are in the YAML.
# The nodes of the component groups are open, since each class checks its own keys.


@dataclass
class _Conditioning:
    bandwidth_hz: float | None = MISSING
    trim_db: float | None = MISSING
    loudness_db: float | None = MISSING


@dataclass
class _Limits:
    hours: float = MISSING
    seconds: float = MISSING
    memory_mib: int = MISSING


@dataclass
class _Data:
    batch_size: int = MISSING
    num_workers: int = MISSING
    train_crop: str = MISSING
    eval_crop: str = MISSING
    pad: str = MISSING
    balance: str = MISSING
    max_bad_fraction: float = MISSING
    limit_utterances: int | None = MISSING


@dataclass
class _Train:
    dataset: Node = MISSING
    conditioning: _Conditioning = field(default_factory=_Conditioning)
    feature: Node = MISSING
    model: Node = MISSING
    loss: Node = MISSING
    augment: Node = MISSING
    optimizer: Node = MISSING
    schedule: Node = MISSING
    trainer: Node = MISSING
    data: _Data = field(default_factory=_Data)
    init: str | None = MISSING
    init_only: Any = MISSING
    seed: int = MISSING
    sample_rate: int = MISSING
    segment_seconds: float = MISSING
    patience: int = MISSING
    experiment_name: str = MISSING
    rerun: bool = MISSING
    cache: str | None = MISSING
    limits: _Limits = field(default_factory=_Limits)
    num_threads: int | None = MISSING
    system_metrics: bool = MISSING
    log_model: bool = MISSING


@dataclass
class _Audit:
    dataset: Node = MISSING
    others: list[str] = MISSING
    corpora: Node = MISSING
    sample_rate: int = MISSING
    seed: int = MISSING
    experiment_name: str = MISSING
    out: str | None = MISSING
    cache: str | None = MISSING
    limits: _Limits = field(default_factory=_Limits)
    num_workers: int | None = MISSING


@dataclass
class _Download:
    dataset: Node = MISSING
    data: str | None = MISSING
    keep_archives: bool = MISSING
    list_only: bool = MISSING


@dataclass
class _Prepare:
    dataset: Node = MISSING
    sample_rate: int = MISSING
    max_bad_fraction: float = MISSING
    cache: str | None = MISSING
    limits: _Limits = field(default_factory=_Limits)
    num_workers: int | None = MISSING
    shard: str | None = MISSING
    compact: bool = MISSING
    verify: bool = MISSING
    clean: bool = MISSING
    confirm: bool = MISSING


@dataclass
class _Evaluate:
    model: Any = MISSING
    trust: Any = MISSING
    scores: Any = MISSING
    key: Any = MISSING
    dev_scores: Any = MISSING
    dev_key: Any = MISSING
    asv: str | None = MISSING
    asv_key: str | None = MISSING
    dataset: Node | None = None  # no option is chosen for it
    split: str | None = MISSING
    others: list[str] = MISSING
    corpora: Node = MISSING
    eval_crop: str | None = MISSING
    by: list[str] = MISSING
    bootstrap: int | None = MISSING
    compare: bool | None = MISSING
    calibrate: bool = MISSING
    fuse: str | None = MISSING
    llr: bool | None = MISSING
    seed: int = MISSING
    batch_size: int = MISSING
    num_workers: int = MISSING
    num_threads: int | None = MISSING
    max_bad_fraction: float = MISSING
    experiment_name: str = MISSING
    out: str | None = MISSING
    cache: str | None = MISSING
    limits: _Limits = field(default_factory=_Limits)


@dataclass
class _Detect:
    model: Any = MISSING
    trust: Any = MISSING
    preset: str | None = MISSING
    window_seconds: float | None = MISSING
    hop_seconds: float | None = MISSING
    strict_length: bool = MISSING
    aggregate: str = MISSING
    top_k: int = MISSING
    threshold: float | None = MISSING
    false_alarm: float | None = MISSING
    c_miss: float | None = MISSING
    c_fa: float | None = MISSING
    p_spoof: float = MISSING
    json: str | None = MISSING
    csv: str | None = MISSING
    plot: str | None = MISSING
    report: str | None = MISSING
    log: str | None = MISSING
    log_paths: bool = MISSING
    pcm_rate: int = MISSING
    engine: str = MISSING
    batch_size: int = MISSING
    num_workers: int | None = MISSING
    num_threads: int | None = MISSING
    rerun: bool = MISSING
    cache: str | None = MISSING
    limits: _Limits = field(default_factory=_Limits)


@dataclass
class _App:
    model: Any = MISSING
    compare: Any = MISSING
    trust: Any = MISSING
    host: str = MISSING
    port: int = MISSING
    max_mib: float = MISSING
    max_seconds: float = MISSING
    num_threads: int | None = MISSING
    cache: str | None = MISSING


@dataclass
class _Monitor:
    log: str | None = MISSING
    model: Any = MISSING
    trust: Any = MISSING
    reference: str | None = MISSING
    period: Any = MISSING
    since: str | None = MISSING
    until: str | None = MISSING
    false_alarm: float = MISSING
    seed: int = MISSING
    experiment_name: str = MISSING
    out: str | None = MISSING
    cache: str | None = MISSING


@dataclass
class _Export:
    model: Any = MISSING
    format: str = MISSING
    quantize: str | None = MISSING
    licence: str = MISSING
    clips: str | None = MISSING
    trust: Any = MISSING
    experiment_name: str = MISSING
    out: str | None = MISSING
    cache: str | None = MISSING


@dataclass
class _Register:
    model: Any = MISSING
    name: str = MISSING
    alias: str | None = MISSING
    control: str | None = MISSING
    margin: float = MISSING
    licence: str = MISSING
    trust: Any = MISSING
    cache: str | None = MISSING


@dataclass
class _Report:
    sweep: str | None = MISSING
    experiment_name: str | None = MISSING
    query: str | None = MISSING
    rows: str = MISSING
    columns: str = MISSING
    metric: str = MISSING
    resamples: int | None = MISSING
    out: str | None = MISSING
    cache: str | None = MISSING


SCHEMAS = {
    "train": _Train,
    "audit": _Audit,
    "download": _Download,
    "prepare": _Prepare,
    "evaluate": _Evaluate,
    "detect": _Detect,
    "app": _App,
    "monitor": _Monitor,
    "export": _Export,
    "register": _Register,
    "report": _Report,
}


def register_schema() -> None:
    """Register the keys and types of each command with Hydra."""
    for command, schema in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{command}_config", node=schema)


def flatten_config(node: Any, path: str = "") -> dict[str, Any]:
    """Flatten nested keys to dotted keys: `{"model": {"dropout": .5}}` becomes `{"model.dropout": .5}`."""
    if isinstance(node, Mapping) and node:
        return {
            k: v for key, value in node.items() for k, v in flatten_config(value, join_config_key(path, key)).items()
        }
    return {path: node}


def did_you_mean(word: str, words: typing.Iterable[str]) -> str:
    """Suggest the most similar word: `did you mean 'lcnn'?`; return "" if no word is similar."""
    match = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f"did you mean {match[0]!r}?" if match else ""


def join_config_key(path: str, key: object) -> str:
    """Append a key to a dotted path."""
    return f"{path}.{key}" if path else str(key)
