"""DEEP-VOICE: speeches of eight public figures, each converted to the voices of the seven others (RVC)."""

from __future__ import annotations

import os
from typing import ClassVar

import pandas as pd

from dfx.datasets.corpus import DividedCorpus, audio_files
from dfx.tables.findings import finding
from dfx.tables.manifest import Manifest

# Fragments, which some copies of the corpus are cut into, keep the name: Obama-to-Biden_frag12.wav.
NAME = r"^(?P<source>.+?)-(?:to-(?P<target>.+?)|original)(?:_(?:frag|seg_?)\d+)?$"


class DeepVoice(DividedCorpus):
    """The audio of DEEP-VOICE: 8 genuine recordings and 56 conversions `SOURCE-to-TARGET`, minutes long, in stereo.

    A recording and everything that was converted from it stand in one split: they share words, prosody and background.
    The target voices recur in the other splits, since every voice was converted to every other; a finding counts it.
    `speaker` is the voice that is heard, `source` the one that spoke.

    Source: Bird and Lotfi, "Real-time detection of AI-generated speech for DeepFake voice conversion", 2023.
    """

    name = "deep_voice"
    apart = ("source",)
    fractions: ClassVar = {"train": 0.5, "dev": 0.25, "eval": 0.25}  # 4, 2 and 2 of the 8 recordings
    tree = """\
  DIR/AUDIO/REAL/obama-original.wav ...    8 files
  DIR/AUDIO/FAKE/Obama-to-Biden.wav ...    56 files: speech of the first in the voice of the second"""
    marks = ("AUDIO/[Rr][Ee][Aa][Ll]", "AUDIO/[Ff][Aa][Kk][Ee]")

    def manifest(self) -> Manifest:
        """One row a file; a finding says how many conversions have a target voice that speaks in another split."""
        manifest = super().manifest()
        table = manifest.table
        home = (
            table[table["speaker"] == table["source"]]
            .drop_duplicates("speaker")
            .set_index("speaker")["split"]
        )
        elsewhere = table["speaker"].map(home).fillna(table["split"]) != table["split"]
        if elsewhere.any():
            text = (
                f"{int(elsewhere.sum())} of {len(table)} files of deep_voice are conversions to a voice whose own "
                "recording is in another split: every voice was converted to every other, so recordings can be kept "
                "apart, voices cannot."
            )
            self.findings = (*self.findings, finding("shared-voices", "note", text, table["id"][elsewhere]))
        return manifest

    def table(self) -> pd.DataFrame:
        """One row a file below `AUDIO`; ids are paths without suffix."""
        folder = self.need("AUDIO")
        files = audio_files(folder)
        if files.empty:
            raise ValueError(self._not_here(folder, "; no audio file in REAL or FAKE"))
        stem = files.str.rpartition("/")[2].str.replace(r"\.[^.]+$", "", regex=True).str.lower()
        voices = stem.str.extract(NAME)
        strange = voices["source"].isna()
        if strange.any():
            text = (
                f"{int(strange.sum())} files of deep_voice are named neither NAME-original nor SOURCE-to-TARGET: each "
                "counts as a recording of its own."
            )
            self.note_finding("unknown-name", "warning", text, files[strange].tolist())
        source = voices["source"].fillna(stem)
        return pd.DataFrame(
            {
                "id": files.str.replace(r"\.[^./]+$", "", regex=True),
                "path": f"{folder}{os.sep}" + files,
                "label": files.str.partition("/")[0],
                "attack": "rvc",
                "speaker": voices["target"].fillna(source),
                "source": source,
            }
        )
