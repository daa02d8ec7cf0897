"""WaveFake: LJSpeech and JSUT sentences, and English prompts, through vocoders; against the genuine recordings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dfx.datasets.corpus import Corpus, audio_files
from dfx.datasets.genuine import Genuine

# Folder -> (corpus the sentences are from, generator); jsut_ver1.1 is JSUT itself.
FOLDER = r"^(ljspeech|jsut|common_voices)_(?:prompts_from_)?((?!ver|real)[^/]+)$"
# Files of HiFi-GAN end in _generated, those of WaveGlow in nothing.
SUFFIX = r"_gen(?:erated)?(?:_e2e)?$"


LJSPEECH = Genuine(
    "LJSpeech-1.1",
    "ljspeech_root",
    ("LJSpeech-1.1", "ljspeech", "LJSpeech", "real_audio/LJSpeech-1.1"),
    "wavs/LJ*",
    "https://keithito.com/LJ-Speech-Dataset",
)
JSUT = Genuine(
    "JSUT (jsut_ver1.1)",
    "jsut_root",
    ("jsut_ver1.1", "jsut", "real_audio/jsut_ver1.1"),
    "basic5000/wav/BASIC5000*",
    "https://sites.google.com/site/shinnosuketakamichi/publication/jsut",
)
READERS = {"ljspeech": "LJ", "jsut": "JSUT", "common_voices": "LJ"}  # the voice that is heard
LANGUAGES = {"ljspeech": "en", "jsut": "ja", "common_voices": "en"}


class WaveFake(Corpus):
    """Vocoded sentences of ten folders `<corpus>_<vocoder>`, and the recordings that they were made from.

    A sentence and all its vocoded versions are one utterance, so they stand in one split. The corpus ships no genuine
    recordings: they are looked for beside it, below it and below `$DFX_DATA`, and a missing set is a finding.

    Source: Frank and Schönherr, "WaveFake: a data set to facilitate audio deepfake detection", 2021.

    Args:
        root: its folder; see `Corpus`.
        facts: what its authors publish.
        groups: columns whose values must not be divided.
        split_file: CSV (id, split) that fixes the splits.
        ljspeech_root: folder of LJSpeech-1.1.
        jsut_root: folder of JSUT (jsut_ver1.1), of which `basic5000` is used.
    """

    tree = """\
  DIR/ljspeech_melgan/LJ001-0001_gen.wav ...
  DIR/jsut_multi_band_melgan/BASIC5000_0001_gen.wav ...
  DIR/common_voices_prompts_from_conformer_fastspeech2_pwg_ljspeech/gen_0.wav ...
  and, beside it or at dataset.ljspeech_root and dataset.jsut_root,
  LJSpeech-1.1/wavs/LJ001-0001.wav ...
  jsut_ver1.1/basic5000/wav/BASIC5000_0001.wav ..."""
    marks = (
        "ljspeech_*melgan*",
        "ljspeech_*wavegan*",
        "ljspeech_waveglow",
        "ljspeech_hifi[Gg][Aa][Nn]",
        "jsut_*gan",
        "common_voices_prompts*",
    )

    def __init__(
        self,
        root: str | None = None,
        facts: dict[str, Any] | None = None,
        groups: Sequence[str] = ("utterance",),
        split_file: str | None = None,
        ljspeech_root: str | None = None,
        jsut_root: str | None = None,
    ) -> None:
        super().__init__("wavefake", root, facts, groups, split_file)
        self.genuine = {"ljspeech": (LJSPEECH, ljspeech_root), "jsut": (JSUT, jsut_root)}

    def table(self) -> pd.DataFrame:
        """One row a file, genuine ones included."""
        root = self.folder()
        fakes = self._fakes(root)
        parts = [fakes] + [
            self._genuine(source, root) for source in self.genuine if (fakes["source"] == source).any()
        ]
        return pd.concat(parts, ignore_index=True)

    def _fakes(self, root: Path) -> pd.DataFrame:
        files = audio_files(root)
        place = files.str.extract(r"^([^/]+)/(?:.*/)?([^/]+)$")
        named = place[0].str.extract(FOLDER)
        rows = pd.DataFrame(
            {"file": files, "folder": place[0], "name": place[1], "depth": files.str.count("/")}
        )
        rows = rows.assign(source=named[0], attack=named[1].str.removesuffix("_ljspeech"))[named[0].notna()]
        # The text-to-speech folder of the release holds a second copy of itself, `generated/`.
        rows = rows.sort_values(["depth", "file"], kind="stable")
        copies = rows.duplicated(["folder", "name"])
        if copies.any():
            text = f"{int(copies.sum())} files of wavefake lie in a sub-folder and again above it, and are left out."
            self.note_finding("copied-files", "note", text, rows["file"][copies].tolist())
        rows = rows[~copies].sort_values("file").reset_index(drop=True)
        if rows.empty:
            raise ValueError(self._not_here(root, ", with no audio in a folder <corpus>_<vocoder>"))
        stem = rows["name"].str.replace(r"\.[^.]+$", "", regex=True)
        sentence = stem.str.replace(SUFFIX, "", regex=True)
        return pd.DataFrame(
            {
                "id": rows["folder"] + "/" + stem,
                "path": f"{root}{os.sep}" + rows["file"],
                "label": "spoof",
                "attack": rows["attack"],
                "speaker": rows["source"].map(READERS),
                "source": rows["source"],
                # Its prompts are of Common Voice: "gen_17" is no sentence of LJSpeech.
                "utterance": sentence.where(rows["source"] != "common_voices", "common_voices/" + stem),
                "language": rows["source"].map(LANGUAGES),
            }
        )

    def _genuine(self, source: str, root: Path) -> pd.DataFrame:
        """The recordings that the fakes of a source were made from; empty, with a finding, where they are missing."""
        known, given = self.genuine[source]
        found = known.folder(given, beside=root)
        if found is None:
            self.note_finding("no-bonafide", "warning", known.missing(f"wavefake ({source})"))
            return pd.DataFrame()
        folder = found / known.mark.rpartition("/")[0]
        files = audio_files(folder)
        stem = files.str.rpartition("/")[2].str.replace(r"\.[^.]+$", "", regex=True)
        return pd.DataFrame(
            {
                "id": f"{source}/" + stem,
                "path": f"{folder}{os.sep}" + files,
                "label": "bonafide",
                "speaker": READERS[source],
                "source": source,
                "utterance": stem,
                "language": LANGUAGES[source],
            }
        )
