"""FoR (Fake-or-Real): text-to-speech of 2019 against read speech, in four versions with official splits."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd

from dfx.datasets.corpus import Corpus, audio_files
from dfx.tables.manifest import SPLIT_WORDS

# Version -> names of its folder: the inner one of two of them is named otherwise than the outer one.
VERSIONS = {
    "original": ("for-original",),
    "norm": ("for-norm",),
    "2sec": ("for-2sec", "for-2seconds"),
    "rerec": ("for-rerec", "for-rerecorded"),
}
MP3_GAP = 0.1  # a larger difference between the cells in the share of former MP3 files is worth a warning


class FoR(Corpus):
    """One version of FoR: `norm` (16 kHz, mono, equal loudness), `2sec` (cut to 2 s), `rerec` (replayed), `original`.

    Most fakes were MP3 before, most recordings were not, and not in every split alike: names of files tell
    (`file1.mp3.wav_16k…`), and the column `source_format` says so. Speakers are not told.

    Source: Reimao and Tzerpos, "FoR: a dataset for synthetic speech detection", 2019.

    Args:
        version: `original`, `norm`, `2sec` or `rerec`.
        root: folder of the version, or of all of them; see `Corpus`.
        facts: what its authors publish; `rows` of each version.

    Raises:
        ValueError: if the version is unknown.
    """

    tree = """\
  DIR/for-norm/for-norm/training/real/*.wav, training/fake/*.wav
  DIR/for-norm/for-norm/validation/..., testing/...
  likewise for-2sec/for-2seconds, for-rerec/for-rerecorded, for-original/for-original: dataset.version=norm, 2sec,
  rerec or original"""
    marks = ("training/[RrFf]*",)

    def __init__(
        self, version: str = "norm", root: str | None = None, facts: dict[str, Any] | None = None
    ) -> None:
        if version not in VERSIONS:
            raise ValueError(f"FoR has the versions {', '.join(VERSIONS)}, got {version!r}: use one of them.")
        given = facts or {}
        own = VERSIONS[version]
        inside = [f"{outer}/{inner}" for outer in own for inner in own] + list(own)
        places = [*inside, *(f"{name}/{place}" for name in given.get("folders", []) for place in inside)]
        rows = (given.get("rows") or {}).get(version)
        super().__init__("for", root, {**given, "folders": places, "rows": rows})
        self.version = version

    def table(self) -> pd.DataFrame:
        """One row a file; ids are its path with the suffix, since `file1.mp3` and `file1.wav` may both exist."""
        root = self.folder()
        others = {name: version for version, names in VERSIONS.items() for name in names}
        if others.get(root.name, self.version) != self.version:
            raise ValueError(
                f"{root} is the version {others[root.name]} of FoR, not {self.version}: use "
                f"dataset.version={others[root.name]}, or give the folder of {self.version}."
            )
        files = audio_files(root)
        parts = files.str.extract(r"^(\w+)/(\w+)/(?:.*/)?([^/]+)$")
        split = parts[0].str.lower().map(SPLIT_WORDS)
        known = split.notna() & parts[1].str.lower().isin(["real", "fake"])
        if not known.any():
            raise ValueError(self._not_here(root, ", with no audio in training/real, training/fake ..."))
        if not known.all():
            text = f"{int((~known).sum())} audio files of for lie outside training, validation and testing: left out."
            self.note_finding("files-without-row", "note", text, files[~known].tolist())
        rows = pd.DataFrame(
            {
                "id": files,
                "path": f"{root}{os.sep}" + files,
                "label": parts[1].str.lower(),
                "split": split,
                "version": self.version,
                "source_format": parts[2].str.lower().str.extract(r"\.(mp3|wav|flac|ogg|m4a)")[0].fillna("-"),
            }
        )[known].reset_index(drop=True)
        self._look_at_mp3(rows)
        return rows

    def _look_at_mp3(self, rows: pd.DataFrame) -> None:
        """A warning where classes or splits differ in their share of former MP3 files: a detector would learn it."""
        cell = rows["label"] + " in " + rows["split"]
        share = (rows["source_format"] == "mp3").groupby(cell).mean()
        if share.max() - share.min() > MP3_GAP:
            told = ", ".join(f"{name} {part:.1%}" for name, part in share.items())
            text = (
                f"Files that were MP3 before, by their names: {told}. A detector can learn MP3 instead of synthesis: "
                "look at the results by source_format, and train with codecs as augmentation."
            )
            self.note_finding("mp3-history", "warning", text)
