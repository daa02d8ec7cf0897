"""DACON fake voice competition 2024: train clips have one clean voice, test clips up to two noisy voices."""

from __future__ import annotations

import pandas as pd

from dfx.audio.audio_files import list_audio_files
from dfx.datasets.corpus import Corpus
from dfx.datasets.delimited import read_delimited


class DaconVoice(Corpus):
    """Corpus of the labelled clips in `train.csv` of DACON.

    It is divided by clip, because the speakers are not named. The test clips and the unlabelled clips have no labels,
    so they are in no split.

    Source: DACON competition 236253, "AI: detection of fake voices", 2024 (system S3 was made for it).
    """

    name = "dacon_voice"
    tree = """\
  DIR/train.csv                  id,path,label with the labels real and fake
  DIR/train/*.ogg
  DIR/test.csv, DIR/test/*.ogg   id,path
  DIR/unlabeled_data/*.ogg"""
    marks = ("train.csv",)

    def table(self) -> pd.DataFrame:
        """Read the rows of `train.csv`."""
        rows = read_delimited(self.require("train.csv"), need=("id", "path", "label"))
        names = rows["path"].str.removeprefix("./").str.removeprefix("train/")
        test, unlabelled = (len(list_audio_files(self.folder() / part)) for part in ("test", "unlabeled_data"))
        text = (
            "The labelled clips of dacon_voice do not say who speaks, so a voice may be in several splits; "
            f"{test} test clips and {unlabelled} unlabelled ones have no labels and are in no split. The test has two "
            "voices in noise: dev and eval here are easier than it."
        )
        self.add_finding("unknown-speakers", "note", text)
        return self.paths_by_name(rows.drop(columns="path"), names, self.folder() / "train")
