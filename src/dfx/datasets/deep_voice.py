"""DEEP-VOICE: speeches of eight public figures, each converted by RVC to the voices of the seven others."""

from __future__ import annotations

from typing import ClassVar

import pandas as pd

from dfx.audio.audio_files import audio_file_table
from dfx.datasets.corpus import Corpus
from dfx.tables.manifest import Manifest

# Some copies of the corpus are cut into fragments that keep the name: Obama-to-Biden_frag12.wav.
NAME = r"^(?P<source>.+?)-(?:to-(?P<target>.+?)|original)(?:_(?:frag|seg_?)\d+)?$"


class DeepVoice(Corpus):
    """Corpus DEEP-VOICE: 8 genuine recordings and 56 voice conversions.

    Conversions are named `SOURCE-to-TARGET`. Recordings are minutes long, in stereo. A recording and all conversions of
    it are in one split: they share words, prosody and background. The target voices occur in other splits too, since
    every voice was converted to every other; a finding counts them. `speaker` is the voice that is heard, `source` the
    person who spoke.

    Source: Bird and Lotfi, "Real-time detection of AI-generated speech for DeepFake voice conversion", 2023.
    """

    name = "deep_voice"
    fractions: ClassVar = {"train": 0.5, "dev": 0.25, "eval": 0.25}  # 4, 2 and 2 of the 8 recordings
    tree = """\
  DIR/AUDIO/REAL/obama-original.wav ...    8 files
  DIR/AUDIO/FAKE/Obama-to-Biden.wav ...    56 files: speech of the first in the voice of the second"""
    marks = ("AUDIO/[Rr][Ee][Aa][Ll]", "AUDIO/[Ff][Aa][Kk][Ee]")

    def manifest(self) -> Manifest:
        """Build the manifest; a finding counts conversions to a voice that is recorded in another split."""
        manifest = super().manifest()
        table = manifest.table
        genuine = table[table["speaker"] == table["source"]].drop_duplicates("speaker")
        home = genuine.set_index("speaker")["split"]
        elsewhere = table["speaker"].map(home).fillna(table["split"]) != table["split"]
        if elsewhere.any():
            text = (
                f"{int(elsewhere.sum())} of {len(table)} files of deep_voice are conversions to a voice whose own "
                "recording is in another split: every voice was converted to every other, so recordings can be kept "
                "apart, voices cannot."
            )
            self.add_finding("shared-voices", "note", text, table["id"][elsewhere])
        return manifest

    def table(self) -> pd.DataFrame:
        """List the files below `AUDIO`; the id is the path without suffix."""
        folder = self.require("AUDIO")
        files = audio_file_table(folder)
        if files.empty:
            raise self.not_found(folder, "; no audio file in REAL or FAKE")
        name = files["stem"].str.rpartition("/")[2].str.lower()
        voices = name.str.extract(NAME)
        strange = voices["source"].isna()
        if strange.any():
            text = (
                f"{int(strange.sum())} files of deep_voice are named neither NAME-original nor SOURCE-to-TARGET: each "
                "counts as a recording of its own."
            )
            self.add_finding("unknown-name", "warning", text, files["file"][strange])
        source = voices["source"].fillna(name)
        label = files["file"].str.partition("/")[0]
        rows = pd.DataFrame({"id": files["stem"], "path": files["path"], "label": label, "attack": "rvc"})
        return rows.assign(speaker=voices["target"].fillna(source), source=source)
