"""Data loading: cut utterances into segments, augment them in training, and form batches.

With cached feature maps, crops of maps take the place of segments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from dfx.audio import segments
from dfx.audio.segments import Crop
from dfx.audio.store import WaveformStore
from dfx.detector.feature_maps import FeatureMaps
from dfx.detector.sampling import Draw, SeededSampler, SequentialBatches
from dfx.tables.labels import BONAFIDE, NAMES, SPOOF
from dfx.tables.manifest import SPLITS, Manifest

Batch = dict[str, torch.Tensor]
Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class ArrayStore:
    """Arrays in memory with the interface of a waveform store.

    They are the rows of a table of ready features, or a single clip.

    Attributes:
        sample_rate: in Hz; 1 for ready features, so that seconds count columns.
        lengths: (rows,), of each array.
        bad: table id, path, reason of bad files; empty.
    """

    def __init__(self, arrays: Sequence[NDArray[Any]] | NDArray[Any], sample_rate: int = 1) -> None:
        self.sample_rate = sample_rate
        self.lengths: NDArray[np.int64] = np.array([len(array) for array in arrays], np.int64)
        self.bad = pd.DataFrame({"id": [], "path": [], "reason": []}, dtype="str")
        self._arrays = arrays

    def __len__(self) -> int:
        return len(self.lengths)

    def read(self, row: int, start: int = 0, num_samples: int | None = None) -> NDArray[Any]:
        """Read up to `num_samples` values of one array, from `start`."""
        stop = None if num_samples is None else start + num_samples
        values: NDArray[Any] = self._arrays[row][start:stop]
        return values


ReadableStore = WaveformStore | FeatureMaps | ArrayStore


class AudioDataset(Dataset[Batch]):
    """Dataset of the utterances of one split.

    Indexed by a list of `(index, seed)`, it returns a batch. The seed decides the start of a random crop and every draw
    of the augmentation, so an example is the same for any number of workers. For sliding windows the seed is the number
    of the window. In a store of feature maps, crops are cut from the maps and counted in frames.
    """

    def __init__(
        self,
        store: ReadableStore,
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
        """Return a batch: label (batch,), index (batch,), and waveform (batch, samples) in float32.

        A store of feature maps gives feature (batch, channels, bins, frames) in float16 instead of the waveform.
        """
        index = [index for index, _ in draws]
        examples = torch.from_numpy(np.stack([self.example(*draw) for draw in draws]))
        batch = {"label": torch.from_numpy(self.labels[index]), "index": torch.tensor(index)}
        if examples.ndim == 2:
            return {"waveform": examples, **batch}
        return {"feature": examples.permute(0, 2, 3, 1), **batch}

    def num_windows(self) -> NDArray[np.int64]:
        """Return the number of windows of each utterance, (utterances,)."""
        return self.crop.num_windows(self.store.lengths[self.rows])

    def example(self, index: int, seed: int) -> np.ndarray:
        """Return one example: a segment (num_samples,) float32, or a crop of a feature map.

        The crop is (num_frames, channels, bins) float16.
        """
        generator = np.random.default_rng(seed)
        row = int(self.rows[index])
        start = self.crop.start(int(self.store.lengths[row]), seed, generator)
        cut = self.store.read(row, start, self.crop.num_samples)
        example = segments.fit_segment(cut, self.crop.num_samples, self.crop.pad)
        return example if self.augment is None else self.augment(example, generator)


def _batch_loader(dataset: AudioDataset, sampler: Sampler[list[Draw]], num_workers: int) -> DataLoader[Batch]:
    # batch_size=None: the sampler makes the batches, the dataset returns them whole. A generator of its own,
    # because a loader draws from torch's at every start, and a resumed run starts its loaders at another moment.
    return DataLoader(
        dataset,
        sampler=sampler,
        batch_size=None,
        generator=torch.Generator(),
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def scoring_loader(
    dataset: AudioDataset, batch_size: int, num_workers: int, rank: int = 0, world: int = 1
) -> DataLoader[Batch]:
    """Create a data loader for scoring: all windows of all utterances, in order.

    Several processes (`world`) share the batches.
    """
    return _batch_loader(dataset, SequentialBatches(dataset.num_windows(), batch_size, rank, world), num_workers)


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
        """Number of bona fide and of spoof utterances in training.

        They are (1, 1) if the sampler balances the classes.
        """
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
        """Use crops of cached feature maps, `num_frames` long, instead of waveforms.

        Crops are not augmented.
        """
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
        return _batch_loader(self.dataset("train"), self._train_sampler(), self.num_workers)

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
    """Raise a ValueError if a split of a corpus lacks a class.

    Called before the audio is decoded.
    """
    table = manifest.table
    _require_both_classes({split: table[table["split"] == split] for split in SPLITS}, manifest.name, "")


def _limited(table: pd.DataFrame, limit: int | None) -> pd.DataFrame:
    """Select at most `limit` rows, evenly spaced in the table and half from each class.

    A class may have fewer than half.
    """
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
