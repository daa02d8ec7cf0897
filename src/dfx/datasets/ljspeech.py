"""LJSpeech: 13,100 sentences of one reader, genuine only; the recordings that most vocoders were trained on."""

from __future__ import annotations

import pandas as pd

from dfx.datasets import delimited
from dfx.datasets.corpus import DividedCorpus

FIELDS = ("id", "transcript", "normalised")


class LJSpeech(DividedCorpus):
    """LJSpeech 1.1, one reader. All of it is bona fide: it trains a detector together with fakes.

    Source: Ito and Johnson, "The LJ Speech Dataset", 2017.
    """

    name = "ljspeech"
    apart = ("utterance",)
    tree = """\
  DIR/metadata.csv               LJ001-0001|transcript|normalised transcript
  DIR/wavs/LJ001-0001.wav ..."""
    marks = ("wavs/LJ*",)

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
