"""LJSpeech: 13,100 genuine sentences of one reader, the training data of most vocoders."""

from __future__ import annotations

import pandas as pd

from dfx.datasets.corpus import Corpus
from dfx.datasets.delimited import read_delimited

FIELDS = ("id", "transcript", "normalised")


class LJSpeech(Corpus):
    """Corpus LJSpeech 1.1: one reader, bona fide only; combine it with a corpus of fakes.

    Source: Ito and Johnson, "The LJ Speech Dataset", 2017.
    """

    name = "ljspeech"
    tree = """\
  DIR/metadata.csv               LJ001-0001|transcript|normalised transcript
  DIR/wavs/LJ001-0001.wav ..."""
    marks = ("wavs/LJ*",)

    def table(self) -> pd.DataFrame:
        """Read the rows of `metadata.csv`, with transcripts."""
        rows = read_delimited(self.require("metadata.csv"), "|", names=FIELDS, header=False, quoted=False)
        rows = rows.assign(label="bonafide", speaker="LJ", utterance=rows["id"], language="en")
        self.add_finding(
            "one-class",
            "note",
            "ljspeech holds genuine recordings only: a detector also needs fakes, as in dataset=wavefake, "
            "dataset=vocoded (twins made of these recordings) or dataset=combined.",
        )
        return self.paths_by_id(rows, [self.folder() / "wavs"])
