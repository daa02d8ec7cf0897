"""Build dataset, data module, detector and trainer from a configuration.

Besides this module only `network` calls `instantiate`.
"""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import RichProgressBar

from dfx import console
from dfx.audio.conditioning import Conditions
from dfx.audio.parts import DecodingLimits
from dfx.audio.store import WaveformStore, open_store
from dfx.datasets.corpus import Dataset
from dfx.detector.datamodule import AudioDataModule, require_both_classes
from dfx.detector.dataset import ArrayStore
from dfx.detector.detector import Detector, OptimizerFactory
from dfx.detector.feature_maps import open_feature_maps
from dfx.detector.network import CHECKPOINT_KEYS, DetectorNetwork, build_network, num_segment_samples
from dfx.features.base import Feature
from dfx.models.blocks import IncompatiblePairError
from dfx.models.pretrained import PretrainedModel
from dfx.tables.manifest import Manifest
from dfx.tracking import launchers

QUIET = (  # warnings of Lightning that are not for users of dfx
    ".*GPU available but not used.*",  # a choice of the configuration, not an oversight
    ".*does not have many workers.*",  # the store needs none; `data.num_workers`
    ".*sync_dist=True.*",  # every process computes the metrics from all scores, so there is nothing to average
    ".*isinstance.treespec, LeafSpec.*",  # between Lightning and torch
    r".*module\(s\) in eval mode at the start of training.*",  # a frozen encoder, which stays in it
)


def build_dataset(cfg: DictConfig) -> Dataset:
    """Build the dataset that the key `dataset` of a configuration describes."""
    made: Dataset = instantiate(cfg.dataset, _convert_="all")
    return made


def build_other_datasets(cfg: DictConfig) -> dict[str, Dataset]:
    """Build the datasets in the node `corpora` of a configuration; returns them by name."""
    made: dict[str, Dataset] = instantiate(cfg.get("corpora") or {}, _convert_="all")
    return made


def build_datamodule(
    cfg: DictConfig, manifest: Manifest, vectors: NDArray[np.float32] | None = None
) -> AudioDataModule:
    """Build the data module of a corpus.

    Decodes audio and computes cached feature maps if they are missing. A corpus that has ready features instead of
    audio gives them as `vectors`, a row for each utterance.

    Raises:
        ValueError: if a split lacks a class, too many files are bad, vectors do not fit the segments or the feature, or
            the maps of the feature cannot be cached.
    """
    require_both_classes(manifest)
    if cfg.data.balance == "corpus" and "corpus" not in manifest.table:
        raise ValueError("data.balance=corpus is for dataset=combined; this corpus is one: use class or attack.")
    cached_features = cfg.feature.get("cache", False)
    if cached_features and cfg.augment:
        raise IncompatiblePairError(
            "feature.cache=true caches the maps of unchanged waveforms, but augment changes waveforms at each draw: "
            "use augment=none (feature.mask, which hides parts of the map, is allowed), or feature.cache=false."
        )
    options = dict(cfg.data)
    conditions = Conditions.of(cfg.conditioning)
    max_bad_fraction = options.pop("max_bad_fraction")
    if vectors is not None:
        _check_vectors(cfg, vectors, manifest.name, conditions)
        return AudioDataModule(manifest, ArrayStore(vectors), num_segment_samples(cfg), cfg.seed, **options)
    if cfg.feature.get("_target_") == "dfx.features.Table":
        raise IncompatiblePairError(
            f"feature=table takes ready features, and {manifest.name} holds audio: use another feature, or "
            "dataset=deep_voice_table."
        )
    limits = DecodingLimits(**cfg.limits)
    store = open_store(manifest, cfg.sample_rate, conditions, cfg.cache, max_bad_fraction, limits=limits)
    if len(store.bad):
        console.say(
            f"{len(store.bad)} of {len(store)} files cannot be read and are left out; {store.bad_files} says why."
        )
    augment = instantiate(cfg.augment, _convert_="all") if cfg.augment else None
    data = AudioDataModule(manifest, store, num_segment_samples(cfg), seed=cfg.seed, augment=augment, **options)
    if cached_features:
        _cache_features(cfg, data, store, manifest, conditions)
    return data


def _cache_features(
    cfg: DictConfig, data: AudioDataModule, clips: WaveformStore, manifest: Manifest, conditions: Conditions
) -> None:
    """Compute the maps of a frozen feature once, and let the data module read crops of these maps."""
    config: Any = OmegaConf.to_container(cfg.feature, resolve=True)
    # A separate feature object; that of the detector is built later, from the same seed as without a cache.
    torch.manual_seed(cfg.seed)
    feature: Feature = instantiate(cfg.feature, _convert_="all")
    cuts_chunks = cfg.data.train_crop != "first" or cfg.data.eval_crop not in ("first", "chunks")
    if feature.chunk_frames > 1 and cuts_chunks:
        raise IncompatiblePairError(
            f"feature.cache=true keeps maps of {type(feature).__name__}, which may be cut between chunks only, got "
            f"data.train_crop={cfg.data.train_crop} and data.eval_crop={cfg.data.eval_crop}: use data.train_crop=first "
            "and data.eval_crop=first or chunks, or feature.cache=false."
        )
    rebuilt = feature.rebuild_arguments()
    if rebuilt and config | rebuilt == config:
        raise ValueError(
            "Maps of a feature with random weights cannot be cached, and this configuration, like those in checkpoints "
            "of dfx, names no weights: name a file (feature.checkpoint=FILE feature.architecture=null), or use "
            "feature.cache=false."
        )
    device = "cpu"
    if torch.cuda.is_available() and cfg.trainer.get("accelerator", "auto") in ("auto", "gpu", "cuda"):
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    if cfg.num_threads:
        torch.set_num_threads(cfg.num_threads)
    maps = open_feature_maps(feature, clips, manifest, data.rows, config, conditions, cfg.cache, device)
    data.use_cached_features(maps, feature.output_shape(num_segment_samples(cfg)).frames)


def _check_vectors(cfg: DictConfig, vectors: NDArray[np.float32], name: str, conditions: Conditions) -> None:
    columns = vectors.shape[1]
    if num_segment_samples(cfg) != columns:
        raise ValueError(
            f"{name} is a table of {columns} features, but a segment has {num_segment_samples(cfg)}: use sample_rate=1 "
            f"segment_seconds={columns}."
        )
    if "sample_rate" in cfg.feature or cfg.augment or conditions != Conditions():
        raise IncompatiblePairError(
            f"{name} is a table of ready features; the chosen feature, augmentation or conditioning takes audio. Use "
            "feature=table augment=none conditioning=none."
        )


def build_detector(cfg: DictConfig, data: AudioDataModule) -> Detector:
    """Build the detector that is trained on the data.

    Raises:
        ValueError: if the model cannot take the feature's map.
    """
    network = build_network(cfg)
    if cfg.trainer.max_epochs != 0:  # else the train split has no part in the weights, nor its prior in the scores
        network.loss.set_prior(*data.train_counts)
    elif not (isinstance(network.model, PretrainedModel) and network.model.pretrained_output):
        raise ValueError(
            f"trainer.max_epochs=0 measures published weights, but those of {type(network.model).__name__} have no "
            "last layer: train for one epoch or more."
        )
    made = Detector(network, _optimizer_factory(cfg), data.tables, cfg.seed)
    made.checkpoint_config = build_checkpoint_config(cfg, network)
    return made


def build_trainer(cfg: DictConfig, callbacks: list[Callback]) -> Trainer:
    """Build the Lightning trainer, without logger and checkpoints."""
    if cfg.num_threads:
        torch.set_num_threads(cfg.num_threads)
        # Otherwise Lightning divides the cores among its processes.
        os.environ["OMP_NUM_THREADS"] = str(cfg.num_threads)
    # Lightning's advice on accelerators, loggers and its own services is not for the users of dfx.
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    make = instantiate(cfg.trainer, _convert_="all")
    # Progress bars of several processes on one terminal overwrite each other.
    shows_bar = cfg.trainer.get("enable_progress_bar", True) and not launchers.run_in_parallel()
    bar = [RichProgressBar(leave=False)] if shows_bar else []
    for message in QUIET:
        warnings.filterwarnings("ignore", message=message)
    made: Trainer = make(
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_progress_bar=shows_bar,
        callbacks=[*callbacks, *bar],
    )
    return made


def build_checkpoint_config(cfg: DictConfig, network: DetectorNetwork) -> dict[str, Any]:
    """Return the part of the configuration that rebuilds the detector from its checkpoint alone."""
    resolved: Any = OmegaConf.to_container(cfg, resolve=True)
    parts = {key: resolved[key] for key in CHECKPOINT_KEYS}
    parts["feature"].update(network.feature.rebuild_arguments())
    if isinstance(network.model, PretrainedModel):
        parts["model"].update(network.model.rebuild_arguments())
    return parts


def _optimizer_factory(cfg: DictConfig) -> OptimizerFactory:
    make_optimizer = instantiate(cfg.optimizer, _convert_="all")
    make_schedule = instantiate(cfg.schedule, _convert_="all")

    def factory(parameters: list[torch.nn.Parameter], total_steps: int, steps_per_epoch: int) -> Any:
        optimizer = make_optimizer(parameters)
        schedule = make_schedule(optimizer, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    return factory
