"""In-the-Wild: genuine and fake clips of celebrities and politicians, collected from the web."""

from __future__ import annotations

import pandas as pd

from dfx.audio.audio_files import audio_file_stems
from dfx.datasets.corpus import Corpus
from dfx.datasets.delimited import read_delimited


class InTheWild(Corpus):
    """Corpus In-the-Wild, divided by speaker because it has no official splits.

    It is `meta.csv` and the files beside it. How a fake was made is unknown, so there is one attack, "spoof".

    Source: Müller et al., "Does audio deepfake detection generalize?", 2022.
    """

    name = "in_the_wild"
    tree = """\
  DIR/meta.csv                   file,speaker,label with the labels bona-fide and spoof
  DIR/0.wav ... DIR/31778.wav"""
    marks = ("meta.csv",)

    def table(self) -> pd.DataFrame:
        """Read the rows of `meta.csv`; the id is the file name without suffix.

        Some copies of the corpus sort the files into real/ and fake/.
        """
        rows = read_delimited(self.require("meta.csv"), need=("file", "speaker", "label"))
        rows = rows.rename(columns={"file": "id"})
        return self.paths_by_id(rows.assign(id=audio_file_stems(rows["id"])), [self.folder()])
