"""From the waveform store to batches: which stretch of which utterance, decided by seeds alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from dfx.audio import segments
from dfx.audio.conditioned_store import Waveforms
from dfx.audio.segments import Crop
from dfx.audio.vectors import VectorStore
from dfx.detector.feature_store import FeatureStore
from dfx.detector.sampling import Draw, SeededSampler, SequentialBatches
from dfx.tables.labels import BONAFIDE, NAMES, SPOOF
from dfx.tables.manifest import SPLITS, Manifest

Batch = dict[str, torch.Tensor]
Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class AudioDataset(Dataset[Batch]):
    """Utterances of one split. Indexed by a list of `(index, seed)`, it gives the batch.

    The seed decides the start of a random crop and every draw of the augmentation, so that an example is the same for
    any number of workers. Where windows slide, it is the number of the window. Where maps of a feature are kept, crops
    are of these, and count in frames.
    """

    def __init__(
        self,
        store: Waveforms | VectorStore | FeatureStore,
        rows: np.ndarray,
        labels: np.ndarray,
        crop: Crop,
        augment: Augmentation | None = None,
    ) -> None:
        self.store = store
        self.rows = rows
        self.labels = labels
        self.crop = crop
        self.augment = augment

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, draws: list[Draw]) -> Batch:
        """The batch: label (batch,), index (batch,), and waveform (batch, samples) in float32.

        Where maps are kept, there is feature (batch, channels, bins, frames) in float16 in place of the waveform.
        """
        index = [index for index, _ in draws]
        name, examples = "waveform", torch.from_numpy(np.stack([self.example(*draw) for draw in draws]))
        if isinstance(self.store, FeatureStore):
            name, examples = "feature", examples.permute(0, 2, 3, 1)
        return {name: examples, "label": torch.from_numpy(self.labels[index]), "index": torch.tensor(index)}

    def example(self, index: int, seed: int) -> np.ndarray:
        """One example: (num_samples,) float32, or (num_frames, channels, bins) float16 where maps are kept."""
        generator = np.random.default_rng(seed)
        row = int(self.rows[index])
        start = self.crop.start(self.store.length(row), seed, generator)
        cut = self.store.read(row, start, self.crop.num_samples)
        example = segments.fit(cut, self.crop.num_samples, self.crop.pad)
        return example if self.augment is None else self.augment(example, generator)


class AudioDataModule(LightningDataModule):
    """The three splits of a corpus as loaders over one waveform store.

    Args:
        manifest: the corpus.
        store: its decoded audio, conditioned or not; row i of the manifest is row i of the store.
        num_samples: length of a segment.
        seed: the run's.
        augment: waveform augmentation of the training examples.
        batch_size, num_workers, train_crop, eval_crop, pad, balance, limit_utterances: `data.*` of `conf/train.yaml`.

    Raises:
        ValueError: when a split lacks a class.
    """

    def __init__(
        self,
        manifest: Manifest,
        store: Waveforms | VectorStore,
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
        self.maps: FeatureStore | None = None
        self._map_frames = 0
        self.seed, self.augment = seed, augment
        self.batch_size, self.num_workers, self.balance = batch_size, num_workers, balance
        policies = {"train": train_crop, "dev": eval_crop, "eval": eval_crop}
        self.crops = {split: Crop(num_samples, policy, pad) for split, policy in policies.items()}
        usable = manifest.table.assign(row=np.arange(len(manifest)))[np.asarray(store.lengths) > 0]
        self.tables = {
            split: _limited(usable[usable["split"] == split], limit_utterances) for split in self.crops
        }
        _require_both_classes(self.tables, manifest.name, " that can be read")

    @property
    def train_counts(self) -> tuple[int, int]:
        """Bona fide and spoof utterances as training sees them: equal when the sampler balances the classes."""
        labels = self.tables["train"]["label"]
        if self.balance != "none":
            return 1, 1
        return int((labels == BONAFIDE).sum()), int((labels == SPOOF).sum())

    @property
    def num_train_batches(self) -> int:
        """Batches of an epoch in each process."""
        return len(self._train_sampler())

    @property
    def rows(self) -> np.ndarray:
        """Rows of the manifest that are used in any split."""
        return np.unique(np.concatenate([table["row"].to_numpy() for table in self.tables.values()]))

    def keep_to(self, maps: FeatureStore, num_frames: int) -> None:
        """Give batches of maps from now on, each of so many frames, instead of waveforms; for use without augment."""
        self.maps, self._map_frames = maps, num_frames

    def dataset(self, split: str) -> AudioDataset:
        """The utterances of a split; augmented only in training."""
        table = self.tables[split]
        store, crop = self._source(split)
        return AudioDataset(
            store,
            table["row"].to_numpy(),
            table["label"].to_numpy(dtype=np.int64),
            crop,
            self.augment if split == "train" else None,
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Training batches."""
        return self._loader("train", self._train_sampler())

    def val_dataloader(self) -> DataLoader[Batch]:
        """The dev split, in order."""
        return self._scoring_loader("dev")

    def test_dataloader(self) -> DataLoader[Batch]:
        """The eval split, in order."""
        return self._scoring_loader("eval")

    def _train_sampler(self) -> SeededSampler:
        # After a resume Lightning starts the loader before it tells the sampler the epoch, and workers fetch at once.
        progress: Any = self.trainer.fit_loop.epoch_progress.current if self.trainer else None
        epoch = progress.processed if progress else 0
        return SeededSampler(*self._groups(), self.batch_size, self.seed, *self._place(), epoch)

    def _scoring_loader(self, split: str) -> DataLoader[Batch]:
        table = self.tables[split]
        store, crop = self._source(split)
        windows = crop.num_windows(store.lengths[table["row"].to_numpy()])
        return self._loader(split, SequentialBatches(len(table), self.batch_size, *self._place(), windows))

    def _loader(self, split: str, sampler: Sampler[list[Draw]]) -> DataLoader[Batch]:
        # batch_size=None: the sampler makes the batches, the dataset returns them whole. A generator of its own,
        # because a loader draws from torch's at every start, and a resumed run starts its loaders at another moment.
        return DataLoader(
            self.dataset(split),
            sampler=sampler,
            batch_size=None,
            generator=torch.Generator(),
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def _source(self, split: str) -> tuple[Waveforms | VectorStore | FeatureStore, Crop]:
        """What the utterances of a split are read from, and how they are cropped: by samples, or by frames of maps."""
        if self.maps is None:
            return self.store, self.crops[split]
        return self.maps, self.crops[split]._replace(num_samples=self._map_frames)

    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _groups(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Group of each training utterance and share of each group in an epoch."""
        table = self.tables["train"]
        labels = table["label"].to_numpy(dtype=np.int64)
        if self.balance == "none":
            return labels, None
        if self.balance == "class":
            return labels, np.array([0.5, 0.5])
        # Half of the draws are bona fide; the attacks, or in each class the corpora, share a half equally.
        parts = table[self.balance].to_numpy(dtype=str)
        marks = np.where(labels == SPOOF, "spoof ", "bonafide ")
        names, groups = np.unique(np.char.add(marks, parts), return_inverse=True)
        spoof = np.char.startswith(names, "spoof ")
        return groups, 0.5 / np.where(spoof, spoof.sum(), (~spoof).sum())


def require_both_classes(manifest: Manifest) -> None:
    """Refuse a corpus that cannot train a detector; asked before its audio is decoded.

    Raises:
        ValueError: if a split lacks a class.
    """
    table = manifest.table
    _require_both_classes({split: table[table["split"] == split] for split in SPLITS}, manifest.name, "")


def _limited(table: pd.DataFrame, limit: int | None) -> pd.DataFrame:
    """At most `limit` rows, half of each class where there are enough, evenly spread over the table."""
    if limit is None or len(table) <= limit:
        return table
    bonafide, spoof = (np.flatnonzero(table["label"] == label) for label in (BONAFIDE, SPOOF))
    share = min(len(bonafide), max(limit // 2, limit - len(spoof)))
    kept = [
        members[np.linspace(0, len(members) - 1, count).round().astype(int)]
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
