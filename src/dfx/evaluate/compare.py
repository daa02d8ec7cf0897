"""Compare systems on the same trials: pairs of systems, and the significance of their differences."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from omegaconf import DictConfig

from dfx import metrics
from dfx.evaluate.result import RESAMPLES, Result

MAX_ALL_PAIRS = 5  # systems; if there are more, each is compared with the best one only


class MeasuredPair(NamedTuple):
    """Comparison of two systems on the same trials; differences are first minus second.

    Attributes:
        eer: difference of the EER by paired bootstrap; None where trials were not resampled.
        auc: difference of the AUC by DeLong's test.
    """

    corpus: str
    first: str
    second: str
    eer: metrics.Difference | None
    auc: metrics.Difference


def compare_systems(results: Sequence[Result], cfg: DictConfig) -> tuple[list[MeasuredPair], list[str]]:
    """Compare pairs of systems on the same trials; explain which systems cannot be compared."""
    if cfg.compare is False:
        return [], []
    pairs: list[MeasuredPair] = []
    notes = []
    for corpus in dict.fromkeys(result.corpus for result in results):
        groups: dict[str, list[Result]] = {}
        for result in results:
            if result.corpus == corpus:
                groups.setdefault(result.table.trials_hash, []).append(result)
        if len(groups) > 1:
            sizes = "; ".join(
                f"{', '.join(r.system for r in group)}: {len(group[0].table):,}" for group in groups.values()
            )
            notes.append(f"On {corpus} systems were scored on different trials and are not compared ({sizes}).")
        for group in groups.values():
            chosen, table = _choose_pairs(group), group[0].table
            if chosen and not cfg.compare and min(len(table.bonafide), len(table.spoof)) < 2:
                notes.append(f"On {corpus} a class has a single trial, so no systems are compared.")
            else:
                pairs += [_compare(first, second, cfg) for first, second in chosen]
    if cfg.compare and not pairs:
        raise ValueError(
            f"compare=true needs two systems on the same trials, got {', '.join(r.name for r in results)}: name "
            "another system, or score both on one corpus."
        )
    return pairs, notes


def _choose_pairs(group: Sequence[Result]) -> list[tuple[Result, Result]]:
    if len(group) <= MAX_ALL_PAIRS:
        return list(itertools.combinations(group, 2))
    best = min(group, key=lambda result: metrics.eer(result.table.bonafide, result.table.spoof)[0])
    return [(best, other) for other in group if other is not best]


def _compare(first: Result, second: Result, cfg: DictConfig) -> MeasuredPair:
    resamples = RESAMPLES if cfg.compare and cfg.bootstrap is None else first.num_resamples(cfg.bootstrap)
    eer = None
    if resamples:
        cluster = metrics.cluster_column(first.table)
        eers = metrics.PairedEers([[first.table], [second.table]], cluster, resamples, cfg.seed)
        eer = eers.difference(0, 1)
    return MeasuredPair(
        first.corpus,
        first.system,
        second.system,
        eer,
        metrics.delong_auc_difference(first.table, second.table),
    )
