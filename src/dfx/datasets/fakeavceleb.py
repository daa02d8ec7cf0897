"""FakeAVCeleb: celebrity videos with cloned voices and fake faces; only the sound of the mp4 files is used."""

from __future__ import annotations

import pandas as pd

from dfx.audio.audio_files import audio_file_stems
from dfx.datasets.corpus import Corpus
from dfx.datasets.delimited import read_delimited

# Some headers (v1.2) call the file `path` and leave out its folder; the order of the fields is always the same.
FIELDS = (
    "source", "target1", "target2", "method", "category", "type", "race", "gender", "filename", "folder",
)  # fmt: skip


class FakeAVCeleb(Corpus):
    """Corpus FakeAVCeleb 1.2; the second half of the column `type` gives the class.

    `FakeVideo-RealAudio` is thus bona fide. Fake videos with genuine sound repeat the sound of the video they were made
    from; all versions of a person are in one split. All cloned voices are from one system (SV2TTS); `attack` is the
    column `method` of the corpus, which also names the change of the face.

    Source: Khalid et al., "FakeAVCeleb: a novel audio-video multimodal deepfake dataset", 2021.
    """

    name = "fakeavceleb"
    tree = """\
  DIR/meta_data.csv              source,target1,target2,method,category,type,race,gender,file name,folder
  DIR/RealVideo-RealAudio/African/men/id00076/00109.mp4
  DIR/RealVideo-FakeAudio/..., FakeVideo-RealAudio/..., FakeVideo-FakeAudio/...
  (the four folders may lie in DIR/FakeAVCeleb)"""
    marks = ("meta_data.csv",)

    def table(self) -> pd.DataFrame:
        """Read the rows of `meta_data.csv`; the id is the path below the folder, without suffix."""
        root = self.folder()
        rows = read_delimited(self.require("meta_data.csv"), names=FIELDS)
        kinds = rows["type"].str.extract(r"^(\w+Video)-(\w+Audio)$")
        names = rows["folder"].str.strip("/").str.removeprefix("FakeAVCeleb/") + "/" + rows["filename"]
        rows = rows.assign(
            id=audio_file_stems(names),
            label=kinds[1].fillna(rows["type"]),
            video=kinds[0].fillna("-"),
            attack=rows["method"],
            speaker=rows["source"],
        ).drop(columns=["filename", "folder", "source"])
        copies = (kinds[1] == "RealAudio") & (kinds[0] == "FakeVideo")
        if copies.any():
            text = (
                f"{int(copies.sum())} bona fide rows of fakeavceleb are fake videos that keep the sound of a genuine "
                "one: the same recording occurs several times within a split."
            )
            self.add_finding("repeated-audio", "note", text, rows["id"][copies].tolist())
        inner = root / "FakeAVCeleb"
        return self.paths_by_name(rows, names, inner if inner.is_dir() else root)
