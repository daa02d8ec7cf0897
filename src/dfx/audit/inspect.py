"""The audit itself: from a dataset to a report."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import dfx
from dfx.audio.store import fingerprint
from dfx.audit import duplicates, integrity, leaks, models, report, shortcuts
from dfx.audit.collect import Measures, collect
from dfx.audit.estimate import estimate
from dfx.datasets.corpus import Dataset
from dfx.tables.findings import Finding, finding
from dfx.tables.manifest import Manifest


@dataclass
class Found:
    """What an audit found.

    Attributes:
        manifest: the corpus.
        report: everything, as `publish.write` writes it to JSON.
        table: usable rows with their measures, for the figures.
    """

    manifest: Manifest
    report: dict[str, Any]
    table: pd.DataFrame


def inspect(
    dataset: Dataset,
    others: Mapping[str, Dataset],
    sample_rate: int,
    seed: int = 0,
    cache: str | Path | None = None,
    num_workers: int | None = None,
    progress: bool = True,
) -> Found:
    """Look at a corpus.

    Args:
        dataset: the corpus.
        others: further corpora that the models of its shortcuts are tested on, by name.
        sample_rate: of the waveform store, in Hz.
        seed: of the models.
        cache: folder of decoded audio; the usual one if None.
        num_workers: processes; one for each core if None.
        progress: show bars on stderr.

    Raises:
        ValueError: if the corpus holds ready features instead of audio.
    """
    manifest = dataset.manifest()
    for name, corpus in ((manifest.name or "this corpus", dataset), *others.items()):
        if corpus.vectors() is not None:
            raise ValueError(
                f"{name} holds ready features, no audio: there is nothing to listen to, or to audit. Audit the "
                "recordings that the features were computed from."
            )
    measures = collect(manifest, sample_rate, cache, num_workers, progress)
    table = measures.table
    good = table[table["good"]]
    heard = (table["good"] & ~(table["loudness"] < integrity.SILENT_DB)).to_numpy()
    matches = duplicates.match(measures, heard)
    leaked = leaks.look(table, matches, getattr(dataset, "groups", ()))
    elsewhere = {
        name: _usable(collect(other.manifest(), sample_rate, cache, num_workers, progress))
        for name, other in others.items()
    }
    scalars = shortcuts.look(good, {name: corpus.table for name, corpus in elsewhere.items()})
    tested = models.test(_usable(measures), elsewhere, seed)
    findings: list[Finding] = [
        *dataset.findings,
        *integrity.look(table),
        *leaked.findings,
        *shortcuts.findings(scalars, good, sample_rate),
        *_limits(matches),
    ]
    made = {
        "dfx": dfx.__version__,
        "made": datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
        "corpus": {
            "name": manifest.name or "corpus",
            "note": dataset.note,
            "rows": len(manifest),
            "hash": manifest.hash,
            "files": fingerprint(manifest),
            "others": {name: len(corpus.table) for name, corpus in elsewhere.items()},
        },
        "headline": report.headline(scalars, tested, _why_not(good)),
        "findings": report.by_severity(findings),
        "counts": integrity.counts(table),
        "files": integrity.files(table),
        "leaks": leaked.rows,
        "duplicates": {
            "exact": int((matches.exact >= 0).sum()),
            "near": int((matches.near >= 0).sum()),
            "limits": matches.limits,
        },
        "scalars": report.scalar_rows(scalars),
        "models": report.model_rows(tested),
        "time": {
            "measuring_s": measures.seconds,
            "estimate": estimate(measures, matches.compared, num_workers),
        },
    }
    return Found(manifest, made, good)


def _usable(measures: Measures) -> models.Corpus:
    good = measures.table["good"].to_numpy()
    return models.Corpus(measures.table[good], measures.array("lfcc")[good])


def _limits(matches: duplicates.Matches) -> list[Finding]:
    if not matches.limits:
        return []
    text = f"Not all clips could be compared for duplicates: {matches.limits}. Exact copies are all found."
    return [finding("duplicates-not-all-compared", "note", text)]


def _why_not(good: pd.DataFrame) -> str:
    """Why there is nothing to beat: which split lacks which class."""
    if good.empty:
        return "No clip of this corpus can be used, so there is nothing to detect."
    for split in ("train", "eval"):
        for label, word in integrity.WORDS.items():
            number = int(((good["split"] == split) & (good["label"] == label)).sum())
            if number < shortcuts.MIN_CLIPS:
                return (
                    f"What a detector has to beat cannot be said: {split} has {number or 'no'} usable {word} "
                    f"clip{'s' if number != 1 else ''}, and {shortcuts.MIN_CLIPS} are needed."
                )
    return "What a detector has to beat cannot be said."
