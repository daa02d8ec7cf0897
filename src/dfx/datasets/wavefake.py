"""WaveFake: vocoded sentences of LJSpeech and JSUT, text-to-speech, and the genuine recordings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dfx.audio.audio_files import audio_file_table
from dfx.datasets.corpus import Corpus, GenuineSource

# Folder -> (corpus of the sentences, vocoder); jsut_ver1.1 is JSUT itself.
FOLDER = r"^(ljspeech|jsut|common_voices)_(?:prompts_from_)?((?!ver|real)[^/]+)$"
# Files of HiFi-GAN end in _generated; those of WaveGlow have no ending.
SUFFIX = r"_gen(?:erated)?(?:_e2e)?$"


LJSPEECH = GenuineSource(
    "LJSpeech-1.1",
    "ljspeech_root",
    ("LJSpeech-1.1", "ljspeech", "LJSpeech", "real_audio/LJSpeech-1.1"),
    "wavs/LJ*",
    "https://keithito.com/LJ-Speech-Dataset",
)
JSUT = GenuineSource(
    "JSUT (jsut_ver1.1)",
    "jsut_root",
    ("jsut_ver1.1", "jsut", "real_audio/jsut_ver1.1"),
    "basic5000/wav/BASIC5000*",
    "https://sites.google.com/site/shinnosuketakamichi/publication/jsut",
)
READERS = {"ljspeech": "LJ", "jsut": "JSUT", "common_voices": "LJ"}  # the voice that is heard
LANGUAGES = {"ljspeech": "en", "jsut": "ja", "common_voices": "en"}


@dataclass(kw_only=True, eq=False, repr=False)
class WaveFake(Corpus):
    """Corpus WaveFake: ten folders of vocoded sentences, and the genuine recordings of these sentences.

    Folders are named `<corpus>_<vocoder>`. A sentence and all its vocoded versions are one utterance and in one split.
    The corpus contains no genuine recordings: they are searched beside it, below it and below `$DFX_DATA`; a missing
    set is a finding.

    Source: Frank and Schönherr, "WaveFake: a data set to facilitate audio deepfake detection", 2021.

    Args:
        ljspeech_root: folder of LJSpeech-1.1.
        jsut_root: folder of JSUT (jsut_ver1.1), of which `basic5000` is used.
    """

    name = "wavefake"
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

    ljspeech_root: str | None = None
    jsut_root: str | None = None

    def table(self) -> pd.DataFrame:
        """List all files, vocoded and genuine."""
        parts = [self._fakes(self.folder())]
        for source, known, given in (("ljspeech", LJSPEECH, self.ljspeech_root), ("jsut", JSUT, self.jsut_root)):
            if (parts[0]["source"] == source).any() and (folder := self.genuine_folder(known, given, source)):
                files = audio_file_table(folder / known.mark.rpartition("/")[0])
                name = files["stem"].str.rpartition("/")[2]
                rows = files[["path"]].assign(id=f"{source}/" + name, label="bonafide", source=source, utterance=name)
                parts.append(rows.assign(speaker=READERS[source], language=LANGUAGES[source]))
        return pd.concat(parts, ignore_index=True)

    def _fakes(self, root: Path) -> pd.DataFrame:
        files = audio_file_table(root)
        rows = files.join(files["file"].str.extract(r"^(?P<folder>[^/]+)/(?:.*/)?(?P<name>[^/]+)$"))
        named = rows["folder"].str.extract(FOLDER)
        rows = rows.assign(source=named[0], attack=named[1].str.removesuffix("_ljspeech"))[named[0].notna()]
        # The text-to-speech folder of the release contains a second copy of itself, `generated/`.
        rows = rows.assign(depth=rows["file"].str.count("/")).sort_values(["depth", "file"], kind="stable")
        copies = rows.duplicated(["folder", "name"])
        if copies.any():
            text = f"{int(copies.sum())} files of wavefake lie in a sub-folder and again above it, and are left out."
            self.add_finding("copied-files", "note", text, rows["file"][copies])
        rows = rows[~copies].sort_values("file").reset_index(drop=True)
        if rows.empty:
            raise self.not_found(root, ", with no audio in a folder <corpus>_<vocoder>")
        name = rows["stem"].str.rpartition("/")[2]
        sentence = name.str.replace(SUFFIX, "", regex=True)
        # These prompts are from Common Voice: "gen_17" is no sentence of LJSpeech.
        utterance = sentence.where(rows["source"] != "common_voices", "common_voices/" + name)
        return rows[["path", "attack", "source"]].assign(
            id=rows["folder"] + "/" + name,
            label="spoof",
            speaker=rows["source"].map(READERS),
            utterance=utterance,
            language=rows["source"].map(LANGUAGES),
        )
