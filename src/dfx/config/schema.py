"""The configuration: where it lies, what its root may hold, and what of it makes the identity of a run.

`CONF_DIR` is an absolute path, so `python -m dfx.train`, the console script and an installed wheel find the same files
from any working directory. Nothing here imports torch: `--help`, `--cfg job` and tab completion must answer at once.
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


@dataclass
class EvaluateConfig:
    """Keys and types of `dfx.evaluate`; their meaning stands in `conf/evaluate.yaml`."""

    systems: Any = None
    scores: Any = None
    key: Any = None
    dev_scores: Any = None
    dev_key: Any = None
    asv: str | None = None
    asv_key: str | None = None
    dataset: Node | None = None
    split: str | None = None
    others: list[str] = field(default_factory=list)
    corpora: Node = field(default_factory=dict)
    eval_crop: str | None = None
    by: list[str] = field(default_factory=lambda: ["attack"])
    bootstrap: int | None = None
    compare: bool | None = None
    calibrate: bool = False
    fuse: str | None = None
    llr: bool | None = None
    seed: int = 0
    batch_size: int = 64
    num_workers: int = 0
    num_threads: int | None = None
    max_bad_fraction: float = 0.01
    experiment_name: str = "dfx-evaluate"
    out: str | None = None
    cache: str | None = None


@dataclass
class ReportConfig:
    """Keys and types of `dfx.report`; their meaning stands in `conf/report.yaml`."""

    sweep: str | None = None
    experiment_name: str | None = None
    query: str | None = None
    rows: str = "feature"
    columns: str = "model"
    metric: str = "eval/eer"
    resamples: int | None = None
    out: str | None = None
    cache: str | None = None


SCHEMAS = {
    "train": RootConfig,
    "audit": AuditConfig,
    "download": DownloadConfig,
    "prepare": PrepareConfig,
    "evaluate": EvaluateConfig,
    "report": ReportConfig,
}


def register_schema() -> None:
    """Make the schema of each command known to Hydra; the first entry of the defaults in `conf/COMMAND.yaml`."""
    for command, schema in SCHEMAS.items():
        ConfigStore.instance().store(
            name="base_config" if command == "train" else f"{command}_config", node=schema
        )


def flatten(node: Any, path: str = "") -> dict[str, Any]:
    """Leaves of a nested container by dotted path: `{"model": {"dropout": .5}}` -> `{"model.dropout": .5}`."""
    if isinstance(node, Mapping) and node:
        return {k: v for key, value in node.items() for k, v in flatten(value, join(path, key)).items()}
    return {path: node}


def closest(word: str, words: typing.Iterable[str]) -> str:
    """A suggestion in words, `did you mean 'lcnn'?`, or the empty string when nothing is near."""
    match = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f"did you mean {match[0]!r}?" if match else ""


def join(path: str, key: object) -> str:
    """The dotted path of a key below another."""
    return f"{path}.{key}" if path else str(key)
