"""The order of utterances: for training drawn from seeds alone, for scoring as they stand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

# (index of the utterance, seed of everything random about it); for scoring the number of the window in it
Draw = tuple[int, int]
PADDING: Draw = (-1, 0)  # of an utterance that is scored elsewhere


class SeededSampler(Sampler[list[Draw]]):
    """Batches of `(index, seed)` for training, drawn from (run seed, epoch) and nothing else.

    Batches of an epoch differ by at most one in size, so no utterance is dropped and no batch of one is left over. With
    several processes each takes its share of the same epoch.

    Args:
        groups: group of each utterance, 0, 1, …
        shares: part of an epoch that each group gets, summing to 1; None: every utterance once.
        batch_size: utterances in a step, over all processes together `world` times as many.
        seed: the run's.
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
        """Choose the epoch; Lightning calls it before each one."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[Draw]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        order = self._order(generator)
        seeds = generator.integers(2**63, size=len(order))
        shares = np.array_split(np.arange(len(order)), self.num_batches * self.world)
        for share in shares[self.rank :: self.world]:
            yield [(int(order[i]), int(seeds[i])) for i in share]

    def _order(self, generator: np.random.Generator) -> np.ndarray:
        """One epoch's utterances, shuffled; each group fills its quota with permutations, so draws repeat evenly."""
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
    """Every utterance once, in order, for scoring.

    Several processes are dealt the batches of one in turn, since the last bits of a score depend on what else is in
    its batch. Each gets as many, so that all of them meet where processes talk to each other: where the batches do not
    divide, `PADDING` stands in for one, and what it scores is dropped.

    Args:
        size: number of utterances.
        batch_size: draws in a step.
        rank: number of this process.
        world: number of processes.
        windows: (utterances,) in how many windows each is scored; None: each in one.
    """

    def __init__(
        self, size: int, batch_size: int, rank: int = 0, world: int = 1, windows: np.ndarray | None = None
    ) -> None:
        self.windows = np.ones(size, np.int64) if windows is None else windows
        self.batch_size = batch_size
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return -(-int(self.windows.sum()) // (self.batch_size * self.world))

    def __iter__(self) -> Iterator[list[Draw]]:
        draws = ((index, window) for index, count in enumerate(self.windows) for window in range(count))
        for _ in range(len(self)):
            dealt = [list(itertools.islice(draws, self.batch_size)) for _ in range(self.world)]
            yield dealt[self.rank] or [PADDING]
