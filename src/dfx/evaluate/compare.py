"""Pairs of systems on the same trials: is one better by more than chance?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from dfx import metrics
from dfx.evaluate.measure import RESAMPLES, Settings
from dfx.evaluate.result import Result

MIN_TRIALS = 2  # of each class: a single one says nothing of how others would have done
MANY = 5  # systems; more of them are each compared with the best only


class Pair(NamedTuple):
    """Two systems on the same trials; differences are first minus second.

    Attributes:
        corpus: where they were compared.
        first: a system.
        second: another one.
        eer: paired bootstrap of the difference of the EER; None where trials were not resampled.
        auc: DeLong's test of the difference of the AUC.
    """

    corpus: str
    first: str
    second: str
    eer: metrics.Difference | None
    auc: metrics.Difference


def pairs(results: Sequence[Result], settings: Settings, wanted: bool | None) -> tuple[list[Pair], list[str]]:
    """Every pair of systems on the same trials, and a sentence for those that cannot be compared.

    Args:
        results: the results.
        settings: how to measure.
        wanted: whether the user asked for it: then large sets are resampled too, and it must be possible.

    Raises:
        ValueError: if it is wanted and no two systems have the same trials.
    """
    if wanted is False:
        return [], []
    found, notes = [], []
    for corpus in dict.fromkeys(result.corpus for result in results):
        groups: dict[str, list[Result]] = {}
        for result in results:
            if result.corpus == corpus:
                groups.setdefault(result.table.trials_hash, []).append(result)
        if len(groups) > 1:
            sizes = "; ".join(
                f"{', '.join(r.system for r in group)}: {len(group[0].table):,}" for group in groups.values()
            )
            notes.append(
                f"On {corpus} systems were scored on different trials and are not compared ({sizes})."
            )
        for group in groups.values():
            chosen, table = _chosen(group), group[0].table
            if chosen and not wanted and min(table.bonafide.size, table.spoof.size) < MIN_TRIALS:
                notes.append(f"On {corpus} a class has a single trial, so no systems are compared.")
                continue
            found += [_pair(*two, settings, wanted) for two in chosen]
    if wanted and not found:
        raise ValueError(
            f"compare=true needs two systems on the same trials, got {', '.join(r.name for r in results)}: name "
            "another system, or score both on one corpus."
        )
    return found, notes


def _chosen(group: Sequence[Result]) -> list[tuple[Result, Result]]:
    if len(group) <= MANY:
        return list(itertools.combinations(group, 2))
    best = min(group, key=lambda result: metrics.eer(result.table.bonafide, result.table.spoof)[0])
    return [(best, other) for other in group if other is not best]


def _pair(first: Result, second: Result, settings: Settings, wanted: bool | None) -> Pair:
    resamples = settings.resamples(first)
    if wanted and settings.bootstrap is None:
        resamples = RESAMPLES
    difference = None
    if resamples:
        cluster = metrics.cluster_column(first.table)
        difference = metrics.eer_difference([first.table], [second.table], cluster, resamples, settings.seed)
    return Pair(
        first.corpus, first.system, second.system, difference, metrics.delong(first.table, second.table)
    )
