"""Samplers that form batches of utterances: shuffled for training, in order for scoring."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

Draw = tuple[int, int]  # (index of the utterance, seed of its random draws); for scoring (index, number of the window)
PADDING: Draw = (-1, 0)  # for a process that has fewer batches than others


class SeededSampler(Sampler[list[Draw]]):
    """Sampler for training: shuffled batches of `(index, seed)`, determined by run seed and epoch.

    Batches of an epoch differ by at most one in size, so no utterance is dropped and no batch of one is left over.
    Several processes divide the same epoch among them.

    Args:
        groups: group of each utterance, 0, 1, …
        shares: part of an epoch that each group gets, summing to 1; None: every utterance once.
        batch_size: utterances in a step, over all processes together `world` times as many.
        seed: of the run.
        rank: number of this process.
        world: number of processes.
        epoch: the epoch of the first iteration.
    """

    def __init__(
        self,
        groups: np.ndarray,
        shares: np.ndarray | None,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        epoch: int = 0,
    ) -> None:
        self.size = len(groups)
        self.members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        self.shares = shares
        self.seed = seed
        self.epoch = epoch
        self.rank, self.world = rank, world
        self.num_batches = -(-self.size // (batch_size * world))

    def __len__(self) -> int:
        return self.num_batches

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[Draw]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        order = self._order(generator)
        seeds = generator.integers(2**63, size=len(order))
        shares = np.array_split(np.arange(len(order)), self.num_batches * self.world)
        for share in shares[self.rank :: self.world]:
            yield [(int(order[i]), int(seeds[i])) for i in share]

    def _order(self, generator: np.random.Generator) -> np.ndarray:
        """Draw the order of the utterances in one epoch; each group fills its share with permutations."""
        if self.shares is None:
            return generator.permutation(self.size)
        drawn = []
        for members, quota in zip(
            self.members, np.diff(np.round(np.cumsum([0, *self.shares]) * self.size)), strict=True
        ):
            quota = int(quota)
            rounds = -(-quota // len(members))
            drawn.append(np.concatenate([generator.permutation(members) for _ in range(rounds)])[:quota])
        return generator.permutation(np.concatenate(drawn))


class SequentialBatches(Sampler[list[Draw]]):
    """Sampler for scoring: batches of all windows of all utterances, in order.

    Several processes get the batches of one process in turn, since the last bits of a score depend on what else is in
    its batch. Each process gets the same number, as the exchange of data between them requires: if the batches do not
    divide evenly, a batch of `PADDING` is added, whose scores are dropped.

    Args:
        windows: (utterances,) number of windows that are scored of each.
        batch_size: windows in a step.
        rank: number of this process.
        world: number of processes.
    """

    def __init__(self, windows: np.ndarray, batch_size: int, rank: int = 0, world: int = 1) -> None:
        self.windows = windows
        self.batch_size = batch_size
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return -(-int(self.windows.sum()) // (self.batch_size * self.world))

    def __iter__(self) -> Iterator[list[Draw]]:
        draws = ((index, window) for index, count in enumerate(self.windows) for window in range(count))
        for _ in range(len(self)):
            dealt = [list(itertools.islice(draws, self.batch_size)) for _ in range(self.world)]
            yield dealt[self.rank] or [PADDING]


def evenly_spaced(count: int, most: int) -> NDArray[np.intp]:
    """Choose at most `most` of `count` row numbers, evenly spaced, with the first and the last row."""
    return np.linspace(0, count - 1, min(most, count)).round().astype(np.intp)
