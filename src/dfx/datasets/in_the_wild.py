"""In-the-Wild: genuine and faked clips of celebrities and politicians, collected from the web."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from dfx.datasets import delimited
from dfx.datasets.corpus import Corpus


class InTheWild(Corpus):
    """`meta.csv` and the files beside it. The authors ship no splits: speakers are divided.

    Nothing is known of how a fake was made, so there is one attack, "spoof".

    Source: Müller et al., "Does audio deepfake detection generalize?", 2022.

    Args:
        root: its folder; see `Corpus`.
        facts: what its authors publish.
        groups: columns whose values must not be divided.
        split_file: CSV (id, split) that fixes the splits.
    """

    tree = """\
  DIR/meta.csv                   file,speaker,label with the labels bona-fide and spoof
  DIR/0.wav ... DIR/31778.wav"""
    marks = ("meta.csv",)

    def __init__(
        self,
        root: str | None = None,
        facts: dict[str, Any] | None = None,
        groups: Sequence[str] = ("speaker",),
        split_file: str | None = None,
    ) -> None:
        super().__init__("in_the_wild", root, facts, groups, split_file)

    def table(self) -> pd.DataFrame:
        """One row a line of `meta.csv`; ids are the names of the files without suffix."""
        rows = delimited.read(self.need("meta.csv"), need=("file", "speaker", "label"))
        rows = rows.rename(columns={"file": "id"})
        rows["id"] = rows["id"].str.replace(r"\.[^.]+$", "", regex=True)
        return self.locate(
            rows, [self.folder()]
        )  # in sub-folders too: copies sort the files into real/ and fake/
