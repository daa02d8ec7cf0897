"""In-the-Wild: genuine and faked clips of celebrities and politicians, collected from the web."""

from __future__ import annotations

import pandas as pd

from dfx.datasets import delimited
from dfx.datasets.corpus import DividedCorpus


class InTheWild(DividedCorpus):
    """`meta.csv` and the files beside it. The authors ship no splits: speakers are divided.

    Nothing is known of how a fake was made, so there is one attack, "spoof".

    Source: Müller et al., "Does audio deepfake detection generalize?", 2022.
    """

    name = "in_the_wild"
    apart = ("speaker",)
    tree = """\
  DIR/meta.csv                   file,speaker,label with the labels bona-fide and spoof
  DIR/0.wav ... DIR/31778.wav"""
    marks = ("meta.csv",)

    def table(self) -> pd.DataFrame:
        """One row a line of `meta.csv`; ids are the names of the files without suffix."""
        rows = delimited.read(self.need("meta.csv"), need=("file", "speaker", "label"))
        rows = rows.rename(columns={"file": "id"})
        rows["id"] = rows["id"].str.replace(r"\.[^.]+$", "", regex=True)
        return self.locate(
            rows, [self.folder()]
        )  # in sub-folders too: copies sort the files into real/ and fake/
