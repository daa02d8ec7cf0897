"""Audit of a corpus: measure all files, run all checks, collect the results."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from omegaconf import DictConfig

import dfx
from dfx.audio.parts import DecodingLimits
from dfx.audio.store import recordings_fingerprint
from dfx.audit import duplicates, files_and_classes, leaks, shortcut_models, shortcuts
from dfx.audit.corpus_measures import CorpusMeasures, measure_corpus
from dfx.audit.shortcut_models import ShortcutClips
from dfx.datasets.corpus import Dataset
from dfx.tables.findings import SEVERITIES, make_finding
from dfx.tables.manifest import Manifest


@dataclass
class CorpusAudit:
    """Result of an audit.

    Attributes:
        manifest: the corpus.
        results: everything that was found, as dictionaries, lists and numbers.
        table: usable rows with their measures, for the figures.
    """

    manifest: Manifest
    results: dict[str, Any]
    table: pd.DataFrame


def audit_corpus(
    cfg: DictConfig, dataset: Dataset, others: Mapping[str, Dataset], progress: bool = True
) -> CorpusAudit:
    """Run all checks on a corpus.

    Args:
        cfg: configuration of the command: `sample_rate`, `seed`, `cache`, `num_workers` and `limits`.
        dataset: the corpus.
        others: further corpora to test the shortcuts of this one on, by name.
        progress: show bars on stderr.

    Raises:
        ValueError: if the corpus holds ready features instead of audio.
    """
    began = time.perf_counter()
    manifest = dataset.manifest()
    for name, corpus in ((manifest.name or "this corpus", dataset), *others.items()):
        if corpus.vectors() is not None:
            raise ValueError(
                f"{name} holds ready features, no audio: there is nothing to listen to, or to audit. Audit the "
                "recordings that the features were computed from."
            )
    how = cfg.sample_rate, cfg.cache, cfg.num_workers, progress, DecodingLimits(**cfg.limits)
    measures = measure_corpus(manifest, *how)
    table, clips = measures.table, _usable(measures)
    audible = (table["good"] & ~(table["loudness"] < files_and_classes.SILENT_DB)).to_numpy()
    matches = duplicates.find_duplicates(measures, audible)
    leaked = leaks.find_leaks(table, matches, getattr(dataset, "groups", ()))
    elsewhere = {name: _usable(measure_corpus(other.manifest(), *how)) for name, other in others.items()}
    scalars = shortcuts.evaluate_shortcut_scalars(clips.table, {name: other.table for name, other in elsewhere.items()})
    models = shortcut_models.evaluate_shortcut_models(clips, elsewhere, cfg.seed)
    findings = [
        *dataset.findings,
        *files_and_classes.find_file_and_class_problems(table),
        *leaked.findings,
        *shortcuts.find_shortcuts(scalars, clips.table, cfg.sample_rate),
    ]
    if limits := matches.limits:
        text = f"Not all clips could be compared for duplicates: {limits}. Exact copies are all found."
        findings.append(make_finding("duplicates-not-all-compared", "note", text))
    results = {
        "dfx": dfx.__version__,
        "made": datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
        "corpus": {
            "name": manifest.name or "corpus",
            "note": dataset.note,
            "rows": len(manifest),
            "hash": manifest.hash,
            "files": recordings_fingerprint(manifest),
            "others": {name: len(other.table) for name, other in elsewhere.items()},
        },
        "headline": shortcut_models.shortcut_auc_to_beat(scalars, models, _why_nothing_to_beat(clips.table)),
        "findings": sorted(findings, key=lambda found: SEVERITIES.index(found.severity)),
        "counts": files_and_classes.class_counts(table),
        "formats": files_and_classes.file_format_counts(table),
        "leaks": leaked.rows,
        "duplicates": {
            "exact": int((matches.exact >= 0).sum()),
            "near": int((matches.near >= 0).sum()),
            "limits": matches.limits,
        },
        "scalars": sorted(scalars, key=lambda row: -(row["strength"] or 0)),
        "models": models,
        "seconds": time.perf_counter() - began,
    }
    return CorpusAudit(manifest, results, clips.table)


def _usable(measures: CorpusMeasures) -> ShortcutClips:
    return ShortcutClips(measures.table, measures.lfcc).rows(measures.table["good"].to_numpy())


def _why_nothing_to_beat(good: pd.DataFrame) -> str:
    """Explain why no shortcut could be tested: which split lacks which class."""
    if good.empty:
        return "No clip of this corpus can be used, so there is nothing to detect."
    for split in ("train", "eval"):
        for label, word in files_and_classes.WORDS.items():
            number = int(((good["split"] == split) & (good["label"] == label)).sum())
            if number < shortcuts.MIN_CLIPS:
                return (
                    f"What a detector has to beat cannot be said: {split} has {number or 'no'} usable {word} "
                    f"clip{'s' if number != 1 else ''}, and {shortcuts.MIN_CLIPS} are needed."
                )
    return "What a detector has to beat cannot be said."
