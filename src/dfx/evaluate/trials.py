"""Corpora to score: which utterances of which corpus are trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dfx import console
from dfx.datasets.corpus import Dataset
from dfx.tables.labels import NAMES
from dfx.tables.manifest import SPLITS, Manifest

ALL = "all"


@dataclass(frozen=True)
class Trials:
    """Utterances of a corpus that a system is measured on.

    Attributes:
        name: of the corpus, and the split where it is not eval.
        manifest: the whole corpus, as the waveform store holds it.
        rows: (trials,) the rows that are trials.
        note: a sentence that stands on every report; empty for ordinary recordings.
    """

    name: str
    manifest: Manifest
    rows: np.ndarray
    note: str = ""


class Corpus:
    """A corpus whose manifest is read once, and of which trials are taken.

    Attributes:
        name: as tables show it.
        manifest: all of it.

    Raises:
        ValueError: if it holds ready features instead of audio.
    """

    def __init__(self, dataset: Dataset, name: str = "") -> None:
        self.manifest = dataset.manifest()
        self.name = name or self.manifest.name or "corpus"
        self.note = dataset.note
        console.say_findings(dataset.findings)
        if dataset.vectors() is not None:
            raise ValueError(
                f"{self.name} holds ready features, no audio to score: name the runs on it without a corpus, "
                "systems=[runs:/RUN_ID], and their own scores are measured."
            )

    def trials(self, split: str = "eval") -> Trials:
        """The utterances of a split, or of all of them.

        Raises:
            ValueError: if there is no such split, or it lacks a class.
        """
        table = self.manifest.table
        chosen = np.ones(len(table), bool) if split == ALL else (table["split"] == split).to_numpy()
        for label, word in NAMES.items():
            if not (chosen & (table["label"] == label).to_numpy()).any():
                present = ", ".join(
                    f"{part} {count:,}" for part, count in self.manifest.counts()[word].items() if count
                )
                raise ValueError(
                    f"{self.name}:{split} has no {word} trial, and error rates need both classes; {word} utterances "
                    f"of {self.name}: {present or 'none'}. Name another split, {self.name}:all, or put corpora "
                    "together with dataset=combined."
                )
        name = self.name if split == "eval" else f"{self.name}:{split}"
        return Trials(name, self.manifest, np.flatnonzero(chosen), self.note)

    def dev(self) -> Trials | None:
        """The dev split, where there is one with both classes."""
        table = self.manifest.table
        return self.trials("dev") if table[table["split"] == "dev"]["label"].nunique() == len(NAMES) else None


def further(names: Sequence[str], datasets: Mapping[str, Dataset]) -> Iterator[Trials]:
    """Trials of further corpora, named `NAME` (its eval split) or `NAME:SPLIT`."""
    corpora: dict[str, Corpus] = {}
    for entry in names:
        name, _, split = entry.partition(":")
        if name not in corpora:
            corpora[name] = Corpus(datasets[name], name)
        yield corpora[name].trials(checked_split(split or "eval", f"others: {entry}"))


def checked_split(split: str, where: str) -> str:
    """The split, if there can be such a one.

    Raises:
        ValueError: if not.
    """
    if split not in (*SPLITS, ALL):
        raise ValueError(f"{where}: there is no split {split!r}; use one of {', '.join((*SPLITS, ALL))}.")
    return split
