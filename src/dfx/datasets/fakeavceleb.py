"""FakeAVCeleb: celebrity videos with cloned voices and faked faces; the sound is read out of the mp4 files."""

from __future__ import annotations

import pandas as pd

from dfx.datasets import delimited
from dfx.datasets.corpus import DividedCorpus

# The header names the file `path` and its folder not at all (v1.2), or both: the fields have the same order.
FIELDS = (
    "source", "target1", "target2", "method", "category", "type", "race", "gender", "filename", "folder",
)  # fmt: skip


class FakeAVCeleb(DividedCorpus):
    """FakeAVCeleb 1.2. Whether a voice is genuine is the second half of `type`: `FakeVideo-RealAudio` is bona fide.

    Faked videos with genuine sound repeat the sound of the video that they were made from; all versions of a person
    stand in one split. Every cloned voice is of one system (SV2TTS); `attack` is the corpus's `method`, which names
    what was done to the face as well.

    Source: Khalid et al., "FakeAVCeleb: a novel audio-video multimodal deepfake dataset", 2021.
    """

    name = "fakeavceleb"
    apart = ("speaker",)
    tree = """\
  DIR/meta_data.csv              source,target1,target2,method,category,type,race,gender,file name,folder
  DIR/RealVideo-RealAudio/African/men/id00076/00109.mp4
  DIR/RealVideo-FakeAudio/..., FakeVideo-RealAudio/..., FakeVideo-FakeAudio/...
  (the four folders may lie in DIR/FakeAVCeleb)"""
    marks = ("meta_data.csv",)

    def table(self) -> pd.DataFrame:
        """One row a line of `meta_data.csv`; ids are paths below the folder, without suffix."""
        root = self.folder()
        rows = delimited.read(self.need("meta_data.csv"), names=FIELDS)
        kinds = rows["type"].str.extract(r"^(\w+Video)-(\w+Audio)$")
        names = rows["folder"].str.strip("/").str.removeprefix("FakeAVCeleb/") + "/" + rows["filename"]
        rows = rows.assign(
            id=names.str.replace(r"\.[^./]+$", "", regex=True),
            label=kinds[1].fillna(rows["type"]),
            video=kinds[0].fillna("-"),
            attack=rows["method"],
            speaker=rows["source"],
        ).drop(columns=["filename", "folder", "source"])
        copies = (kinds[1] == "RealAudio") & (kinds[0] == "FakeVideo")
        if copies.any():
            text = (
                f"{int(copies.sum())} bona fide rows of fakeavceleb are faked videos that keep the sound of a genuine "
                "one: the same recording occurs several times within a split."
            )
            self.note_finding("repeated-audio", "note", text, rows["id"][copies].tolist())
        inner = root / "FakeAVCeleb"
        return self.attach(rows, names, inner if inner.is_dir() else root)
