"""Lightning data module: the splits of a corpus, and their data loaders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from dfx.audio.segments import Crop
from dfx.audio.store import WaveformStore
from dfx.detector.dataset import (
    ArrayStore,
    AudioDataset,
    Augmentation,
    Batch,
    batch_loader,
    scoring_loader,
)
from dfx.detector.feature_maps import FeatureMaps
from dfx.detector.sampling import SeededSampler, evenly_spaced
from dfx.tables.labels import BONAFIDE, NAMES, SPOOF
from dfx.tables.manifest import SPLITS, Manifest


class AudioDataModule(LightningDataModule):
    """Lightning data module: data loaders of the train, dev and eval splits of a corpus.

    Args:
        manifest: the corpus.
        store: its decoded audio, conditioned or not; row i of the manifest is row i of the store.
        num_samples: length of a segment.
        seed: of the run.
        augment: waveform augmentation of the training examples.
        batch_size, num_workers, train_crop, eval_crop, pad, balance, limit_utterances: `data.*` of `conf/train.yaml`.

    Raises:
        ValueError: when a split lacks a class.
    """

    def __init__(
        self,
        manifest: Manifest,
        store: WaveformStore | ArrayStore,
        num_samples: int,
        seed: int = 0,
        augment: Augmentation | None = None,
        *,
        batch_size: int = 32,
        num_workers: int = 0,
        train_crop: str = "random",
        eval_crop: str = "first",
        pad: str = "repeat",
        balance: str = "none",
        limit_utterances: int | None = None,
    ) -> None:
        super().__init__()
        self.store = store
        self.maps: FeatureMaps | None = None
        self._map_frames = 0
        self.seed, self.augment = seed, augment
        self.batch_size, self.num_workers, self.balance = batch_size, num_workers, balance
        policies = {"train": train_crop, "dev": eval_crop, "eval": eval_crop}
        self.crops = {split: Crop(num_samples, policy, pad) for split, policy in policies.items()}
        usable = manifest.table.assign(row=np.arange(len(manifest)))[np.asarray(store.lengths) > 0]
        self.tables = {split: _limited(usable[usable["split"] == split], limit_utterances) for split in self.crops}
        _require_both_classes(self.tables, manifest.name, " that can be read")

    @property
    def train_counts(self) -> tuple[int, int]:
        """Number of bona fide and of spoof utterances in training; (1, 1) if the sampler balances the classes."""
        labels = self.tables["train"]["label"]
        if self.balance != "none":
            return 1, 1
        return int((labels == BONAFIDE).sum()), int((labels == SPOOF).sum())

    @property
    def num_train_batches(self) -> int:
        """Number of training batches per epoch in each process."""
        return len(self._train_sampler())

    @property
    def rows(self) -> np.ndarray:
        """Manifest rows that are used in any split."""
        return np.unique(np.concatenate([table["row"].to_numpy() for table in self.tables.values()]))

    def use_cached_features(self, maps: FeatureMaps, num_frames: int) -> None:
        """Use crops of cached feature maps, `num_frames` long and not augmented, instead of waveforms."""
        self.maps, self._map_frames = maps, num_frames

    def dataset(self, split: str) -> AudioDataset:
        """Create the dataset of a split; only the train split is augmented."""
        table, crop = self.tables[split], self.crops[split]
        rows, labels = table["row"].to_numpy(), table["label"].to_numpy(dtype=np.int64)
        if self.maps is not None:
            return AudioDataset(self.maps, rows, labels, crop._replace(num_samples=self._map_frames))
        return AudioDataset(self.store, rows, labels, crop, self.augment if split == "train" else None)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Create the data loader of the train split, shuffled."""
        return batch_loader(self.dataset("train"), self._train_sampler(), self.num_workers)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Create the data loader of the dev split, in order."""
        return scoring_loader(self.dataset("dev"), self.batch_size, self.num_workers, *self._place())

    def test_dataloader(self) -> DataLoader[Batch]:
        """Create the data loader of the eval split, in order."""
        return scoring_loader(self.dataset("eval"), self.batch_size, self.num_workers, *self._place())

    def _train_sampler(self) -> SeededSampler:
        # After a resume Lightning starts the loader before the sampler gets its epoch, and workers fetch immediately.
        progress: Any = self.trainer.fit_loop.epoch_progress.current if self.trainer else None
        epoch = progress.processed if progress else 0
        return SeededSampler(*self._groups(), self.batch_size, self.seed, *self._place(), epoch)

    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _groups(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the group of each training utterance, and the share of each group in an epoch."""
        table = self.tables["train"]
        labels = table["label"].to_numpy(dtype=np.int64)
        if self.balance == "none":
            return labels, None
        if self.balance == "class":
            return labels, np.array([0.5, 0.5])
        # Half of the draws are bona fide. The attacks (or, within each class, the corpora) have equal shares of a half.
        parts = table[self.balance].to_numpy(dtype=str)
        marks = np.where(labels == SPOOF, "spoof ", "bonafide ")
        names, groups = np.unique(np.char.add(marks, parts), return_inverse=True)
        spoof = np.char.startswith(names, "spoof ")
        return groups, 0.5 / np.where(spoof, spoof.sum(), (~spoof).sum())


def require_both_classes(manifest: Manifest) -> None:
    """Raise a ValueError if a split of a corpus lacks a class."""
    table = manifest.table
    _require_both_classes({split: table[table["split"] == split] for split in SPLITS}, manifest.name, "")


def _limited(table: pd.DataFrame, limit: int | None) -> pd.DataFrame:
    """Select at most `limit` rows, evenly spaced in the table and half from each class if possible."""
    if limit is None or len(table) <= limit:
        return table
    bonafide, spoof = (np.flatnonzero(table["label"] == label) for label in (BONAFIDE, SPOOF))
    share = min(len(bonafide), max(limit // 2, limit - len(spoof)))
    kept = [
        members[evenly_spaced(len(members), count)]
        for members, count in ((bonafide, share), (spoof, min(len(spoof), limit - share)))
        if len(members) and count
    ]
    return table.iloc[np.sort(np.concatenate(kept))]


def _require_both_classes(tables: Mapping[str, pd.DataFrame], name: str, which: str) -> None:
    for split, table in tables.items():
        for label, word in NAMES.items():
            if not (table["label"] == label).any():
                raise ValueError(
                    f"The {split} split of {name or 'this corpus'} has no {word} utterance{which} ({len(table)} "
                    "utterances in all); a detector needs both classes in train, dev and eval. Check the labels and "
                    "the split column, or put corpora together, each for the splits and the class that it has: "
                    "dataset=combined dataset.train=[...] dataset.dev=[...] dataset.eval=[...]. Genuine recordings "
                    "alone become both classes by dataset=vocoded dataset.bonafide=DIR."
                )
