"""Random draws of trials with replacement: by themselves, or all trials of a cluster together.

Trials of one speaker resemble each other, so a corpus of 20 speakers and 10,000 trials knows less than its trials
would say. Where a cluster (a speaker, a recording) is drawn, all of its trials are drawn, of both classes. The number
of drawn clusters is held in each of three groups: those with bona fide only, with spoof only, with both. So a class
is never empty; and where each trial is a cluster by itself, this is the two-sample bootstrap, which holds the number
of trials of each class.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 8.3 (two samples); Bisani and Ney, ICASSP
2004 (speakers are drawn, not utterances); Wu, Martin, Greenberg and Kacker, NIST, IEEE TIFS 2017 (two samples, by set).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dfx.metrics.counts import IntArray

CHUNK = 1 << 18  # numbers held at once, if a resample is not larger by itself: 2 MiB, near the processor


def draws(
    is_bonafide: NDArray[np.bool_], cluster: IntArray | None, resamples: int, seed: int
) -> Iterator[IntArray]:
    """How often each trial is drawn, in chunks `(some resamples, trials)`; together they are `resamples`.

    Args:
        is_bonafide: `(trials,)` bool.
        cluster: `(trials,)`, number of the cluster of each trial, from 0 on without gaps; None: each trial its own.
        resamples: how many.
        seed: the same one gives the same draws.
    """
    generator = np.random.default_rng(seed)
    kind = 2 - is_bonafide.astype(np.int64) if cluster is None else _classes(is_bonafide, cluster)
    members = [np.flatnonzero(kind == of) for of in np.unique(kind)]
    step = max(1, CHUNK // is_bonafide.size)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = np.empty((rows, kind.size), np.int64)
        for group in members:
            drawn[:, group] = _with_replacement(generator, rows, group.size)
        yield drawn if cluster is None else drawn[:, cluster]


def _classes(is_bonafide: NDArray[np.bool_], cluster: IntArray) -> IntArray:
    """What each cluster holds, `(clusters,)`: 1 bona fide, 2 spoof, 3 both."""
    holds = np.zeros((2, int(cluster.max()) + 1), np.int64)
    holds[0, cluster[is_bonafide]] = 1
    holds[1, cluster[~is_bonafide]] = 2
    kinds: IntArray = holds[0] + holds[1]
    return kinds


def _with_replacement(generator: np.random.Generator, rows: int, size: int) -> IntArray:
    """How often each of so many is drawn, `(rows, size)`; each row draws `size` times."""
    chosen = generator.integers(size, size=(rows, size))
    chosen += size * np.arange(rows)[:, None]
    return np.bincount(chosen.ravel(), minlength=rows * size).reshape(rows, size)
