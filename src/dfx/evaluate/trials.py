"""Trials of a corpus: the utterances that systems are measured on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dfx import console
from dfx.datasets.corpus import Dataset
from dfx.tables.labels import NAMES
from dfx.tables.manifest import ALL, SPLITS, Manifest


@dataclass(frozen=True)
class Trials:
    """Utterances of a corpus that a system is measured on.

    Attributes:
        name: name of the corpus, with the split if it is not eval.
        manifest: the whole corpus.
        rows: (trials,) rows of the manifest that are trials.
        note: a sentence for every report; empty for ordinary recordings.
    """

    name: str
    manifest: Manifest
    rows: np.ndarray
    note: str = ""


class TrialCorpus:
    """Corpus that gives the trials of its splits; the manifest is read once.

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
                "model=[runs:/RUN_ID], and their own scores are measured."
            )

    def trials(self, split: str = "eval") -> Trials:
        """Return the trials of one split, or of all splits.

        Raises:
            ValueError: if there is no such split, or it lacks a class.
        """
        name = self.name if split == "eval" else f"{self.name}:{split}"
        if split not in (*SPLITS, ALL):
            raise ValueError(f"{name}: there is no split {split!r}; use one of {', '.join((*SPLITS, ALL))}.")
        table = self.manifest.table
        chosen = np.ones(len(table), bool) if split == ALL else (table["split"] == split).to_numpy()
        for label, word in NAMES.items():
            if not (chosen & (table["label"] == label).to_numpy()).any():
                counts = self.manifest.counts()[word].items()
                present = ", ".join(f"{part} {count:,}" for part, count in counts if count)
                raise ValueError(
                    f"{self.name}:{split} has no {word} trial, and error rates need both classes; {word} utterances "
                    f"of {self.name}: {present or 'none'}. Name another split, {self.name}:all, or combine corpora "
                    "with dataset=combined."
                )
        return Trials(name, self.manifest, np.flatnonzero(chosen), self.note)

    def dev_trials(self) -> Trials | None:
        """Return the trials of the dev split; None if it is missing or lacks a class."""
        table = self.manifest.table
        return self.trials("dev") if table[table["split"] == "dev"]["label"].nunique() == len(NAMES) else None


def trials_of_corpora(names: Sequence[str], datasets: Mapping[str, Dataset]) -> Iterator[Trials]:
    """Yield the trials of each named corpus: `NAME` means its eval split, `NAME:SPLIT` another one."""
    corpora: dict[str, TrialCorpus] = {}
    for entry in names:
        name, _, split = entry.partition(":")
        if name not in corpora:
            corpora[name] = TrialCorpus(datasets[name], name)
        yield corpora[name].trials(split or "eval")
