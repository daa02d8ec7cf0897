"""LJSpeech: 13,100 sentences of one reader, genuine only; the recordings that most vocoders were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from dfx.datasets import delimited
from dfx.datasets.corpus import Corpus

FIELDS = ("id", "transcript", "normalised")


class LJSpeech(Corpus):
    """LJSpeech 1.1, one reader. All of it is bona fide: it trains a detector together with fakes.

    Source: Ito and Johnson, "The LJ Speech Dataset", 2017.

    Args:
        root: its folder; see `Corpus`.
        facts: what its authors publish.
        groups: columns whose values must not be divided.
        split_file: CSV (id, split) that fixes the splits.
    """

    tree = """\
  DIR/metadata.csv               LJ001-0001|transcript|normalised transcript
  DIR/wavs/LJ001-0001.wav ..."""
    marks = ("wavs/LJ*",)

    def __init__(
        self,
        root: str | None = None,
        facts: dict[str, Any] | None = None,
        groups: Sequence[str] = ("utterance",),
        split_file: str | None = None,
    ) -> None:
        super().__init__("ljspeech", root, facts, groups, split_file)

    def table(self) -> pd.DataFrame:
        """One row a line of `metadata.csv`, with its transcripts."""
        rows = delimited.read(self.need("metadata.csv"), "|", names=FIELDS, header=False, quoted=False)
        rows = rows.assign(label="bonafide", speaker="LJ", utterance=rows["id"], language="en")
        self.note_finding(
            "one-class",
            "note",
            "ljspeech holds genuine recordings only: a detector needs fakes beside them, as in dataset=wavefake, "
            "dataset=vocoded (twins made of these recordings) or dataset=combined.",
        )
        return self.locate(rows, [self.folder() / "wavs"])
