import numpy as np
import pytest

from dfx.detector.sampling import PADDING, SeededSampler, SequentialBatches


@pytest.mark.parametrize(("size", "batch_size"), [(48, 10), (7, 8), (33, 32), (1, 4)])
def test_an_epoch_holds_every_utterance_once_in_batches_of_like_size(size, batch_size):
    sampler = SeededSampler(np.zeros(size, dtype=int), None, batch_size, seed=0)
    drawn = list(sampler)
    assert len(drawn) == len(sampler)
    assert sorted(index for batch in drawn for index, _ in batch) == list(range(size))
    assert max(map(len, drawn)) - min(map(len, drawn)) <= 1
    assert max(map(len, drawn)) <= batch_size


def test_order_and_seeds_follow_from_seed_and_epoch():
    def draw(seed, epoch):
        sampler = SeededSampler(np.zeros(20, dtype=int), None, 6, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert draw(0, 1) == draw(0, 1)
    assert draw(0, 1) != draw(0, 2)
    assert draw(0, 1) != draw(1, 1)


def test_processes_share_an_epoch_without_overlap_and_with_equally_many_steps():
    parts = [list(SeededSampler(np.zeros(37, dtype=int), None, 4, 0, rank, 3)) for rank in range(3)]
    assert len({len(part) for part in parts}) == 1
    assert sorted(i for part in parts for batch in part for i, _ in batch) == list(range(37))


@pytest.mark.parametrize("world", [1, 2, 3, 9])
@pytest.mark.parametrize("windows", [np.ones(7, int), np.array([1, 5, 2, 1, 9, 1, 3])])
def test_processes_are_dealt_the_batches_of_one_and_equally_many(world, windows):
    alone = list(SequentialBatches(windows, 4))
    expected = [(i, w) for i in range(7) for w in range(windows[i])]
    assert [draw for batch in alone for draw in batch] == expected
    assert all(len(batch) == 4 for batch in alone[:-1])
    samplers = [SequentialBatches(windows, 4, rank, world) for rank in range(world)]
    parts = [list(sampler) for sampler in samplers]
    assert {len(part) for part in parts} == {len(samplers[0])} == {-(-len(alone) // world)}
    dealt = [batch for row in zip(*parts, strict=True) for batch in row]
    assert dealt[: len(alone)] == alone
    assert all(batch == [PADDING] for batch in dealt[len(alone) :])


def test_shares_are_met_and_draws_repeat_evenly():
    groups = np.array([0] * 10 + [1] * 90)
    sampler = SeededSampler(groups, np.array([0.5, 0.5]), 10, seed=0)
    drawn = np.array([index for batch in sampler for index, _ in batch])
    counts = np.bincount(drawn, minlength=100)
    assert counts[:10].tolist() == [5] * 10
    assert counts[10:].sum() == 50
    assert counts[10:].max() == 1
