"""The voices of the DACON competition of 2024: one dry voice a training clip, up to two in noise in the test."""

from __future__ import annotations

import os

import pandas as pd

from dfx.datasets import delimited
from dfx.datasets.corpus import DividedCorpus, audio_files


class DaconVoice(DividedCorpus):
    """The labelled clips, `train.csv`, divided by clip: who speaks is not told.

    The test clips and the unlabelled ones have no labels, so they are in no split; `unlabelled` lists them.

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
        """One row a line of `train.csv`."""
        rows = delimited.read(self.need("train.csv"), need=("id", "path", "label"))
        names = rows["path"].str.removeprefix("./").str.removeprefix("train/")
        counts = self.unlabelled()["part"].value_counts()
        text = (
            "The labelled clips of dacon_voice do not say who speaks, so a voice may stand in several splits; "
            f"{counts.get('test', 0)} test clips and {counts.get('unlabelled', 0)} unlabelled ones have no labels and "
            "are in no split. The test has two voices in noise: dev and eval here are easier than it."
        )
        self.note_finding("unknown-speakers", "note", text)
        return self.attach(rows.drop(columns="path"), names, self.folder() / "train")

    def unlabelled(self) -> pd.DataFrame:
        """Clips without labels: id, path (absolute) and part, "test" (as `test.csv` lists them) or "unlabelled"."""
        root = self.folder()
        parts = []
        for part, folder in (("test", "test"), ("unlabelled", "unlabeled_data")):
            files = audio_files(root / folder)
            listed = root / f"{folder}.csv"
            if listed.is_file():
                rows = delimited.read(listed, need=("id", "path"))
                files = rows["path"].str.removeprefix("./").str.removeprefix(f"{folder}/")
            parts.append(
                pd.DataFrame(
                    {
                        "id": files.str.rpartition("/")[2].str.replace(r"\.[^.]+$", "", regex=True),
                        "path": f"{root / folder}{os.sep}" + files,
                        "part": part,
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)
