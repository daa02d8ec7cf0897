"""DACON fake voice competition of 2024: one clean voice in each training clip, up to two noisy ones in test clips."""

from __future__ import annotations

import pandas as pd

from dfx.datasets.audio_files import audio_file_stems, audio_file_table
from dfx.datasets.corpus import Corpus
from dfx.datasets.delimited import read_delimited


class DaconVoice(Corpus):
    """Labelled clips of `train.csv`; divided by clip, because the speakers are not named.

    The test clips and the unlabelled clips have no labels, so they are in no split; `unlabelled` lists them.

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
        """Rows of `train.csv`."""
        rows = read_delimited(self.require("train.csv"), need=("id", "path", "label"))
        names = rows["path"].str.removeprefix("./").str.removeprefix("train/")
        counts = self.unlabelled()["part"].value_counts()
        text = (
            "The labelled clips of dacon_voice do not say who speaks, so a voice may be in several splits; "
            f"{counts.get('test', 0)} test clips and {counts.get('unlabelled', 0)} unlabelled ones have no labels and "
            "are in no split. The test has two voices in noise: dev and eval here are easier than it."
        )
        self.add_finding("unknown-speakers", "note", text)
        return self.paths_by_name(rows.drop(columns="path"), names, self.folder() / "train")

    def unlabelled(self) -> pd.DataFrame:
        """Clips without labels: id, path (absolute) and part, "test" (as `test.csv` lists them) or "unlabelled"."""
        root = self.folder()
        parts = []
        for part, folder in (("test", "test"), ("unlabelled", "unlabeled_data")):
            listed = root / f"{folder}.csv"
            if listed.is_file():
                rows = read_delimited(listed, need=("id", "path"))
                files = rows["path"].str.removeprefix("./").str.removeprefix(f"{folder}/")
            else:
                files = audio_file_table(root / folder)["file"]
            ids = audio_file_stems(files.str.rpartition("/")[2])
            parts.append(pd.DataFrame({"id": ids, "path": f"{root / folder}/" + files, "part": part}))
        return pd.concat(parts, ignore_index=True)
