"""Dataset and loaders: cut utterances into segments, augment them in training, and form batches.

With cached feature maps, crops of maps take the place of segments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from dfx.audio import segments
from dfx.audio.segments import Crop
from dfx.audio.store import WaveformStore
from dfx.detector.feature_maps import FeatureMaps
from dfx.detector.sampling import Draw, SequentialBatches

Batch = dict[str, torch.Tensor]
Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class ArrayStore:
    """Arrays in memory with the interface of a waveform store: rows of a table of features, or a single clip.

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
        """Return a segment (num_samples,) float32, or a crop (num_frames, channels, bins) of a map in float16."""
        generator = np.random.default_rng(seed)
        row = int(self.rows[index])
        start = self.crop.start(int(self.store.lengths[row]), seed, generator)
        cut = self.store.read(row, start, self.crop.num_samples)
        example = segments.fit_segment(cut, self.crop.num_samples, self.crop.pad)
        return example if self.augment is None else self.augment(example, generator)


def batch_loader(dataset: AudioDataset, sampler: Sampler[list[Draw]], num_workers: int) -> DataLoader[Batch]:
    """Create a data loader whose batches are those of a sampler."""
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
    """Create a data loader for scoring: all windows of all utterances, in order, shared by `world` processes."""
    return batch_loader(dataset, SequentialBatches(dataset.num_windows(), batch_size, rank, world), num_workers)
