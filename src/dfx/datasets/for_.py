"""FoR (Fake-or-Real): corpus of text-to-speech from 2019 and genuine read speech, with official splits."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dfx.audio.audio_files import audio_file_table
from dfx.datasets.corpus import Corpus
from dfx.tables.manifest_reading import SPLIT_WORDS

# Version -> names of its folder: two of them have another name for the inner folder than for the outer one.
VERSIONS = {
    "original": ("for-original",),
    "norm": ("for-norm",),
    "2sec": ("for-2sec", "for-2seconds"),
    "rerec": ("for-rerec", "for-rerecorded"),
}
MP3_GAP = 0.1  # warn if the share of former MP3 files differs by more between classes or splits


@dataclass(kw_only=True, eq=False, repr=False)
class FoR(Corpus):
    """One version of the corpus FoR: `norm`, `2sec`, `rerec` or `original`.

    `norm` is 16 kHz, mono and of equal loudness, `2sec` is cut to 2 s, `rerec` is replayed. Most fakes were MP3 files
    before, most recordings were not, and the shares differ by split: file names show it (`file1.mp3.wav_16k…`), and the
    column `source_format` holds it. Speakers are not named.

    Source: Reimao and Tzerpos, "FoR: a dataset for synthetic speech detection", 2019.

    Args:
        version: `original`, `norm`, `2sec` or `rerec`; `root` is its folder, or that of all versions.

    Raises:
        ValueError: if the version is unknown.
    """

    name = "for"
    tree = """\
  DIR/for-norm/for-norm/training/real/*.wav, training/fake/*.wav
  DIR/for-norm/for-norm/validation/..., testing/...
  likewise for-2sec/for-2seconds, for-rerec/for-rerecorded, for-original/for-original: dataset.version=norm, 2sec,
  rerec or original"""
    marks = ("training/[RrFf]*",)

    version: str = "norm"

    def __post_init__(self) -> None:
        if self.version not in VERSIONS:
            raise ValueError(f"FoR has the versions {', '.join(VERSIONS)}, got {self.version!r}: use one of them.")
        super().__post_init__()
        names = VERSIONS[self.version]
        inside = [f"{outer}/{inner}" for outer in names for inner in names] + list(names)
        folders = [
            *inside,
            *(f"{name}/{place}" for name in self.facts.get("folders", []) for place in inside),
        ]
        rows = (self.facts.get("rows") or {}).get(self.version)
        self.facts = {**self.facts, "folders": folders, "rows": rows}

    def table(self) -> pd.DataFrame:
        """List all files; the id is the path with suffix, since `file1.mp3` and `file1.wav` are two files."""
        root = self.folder()
        versions = {name: version for version, names in VERSIONS.items() for name in names}
        found = versions.get(root.name, self.version)
        if found != self.version:
            raise ValueError(
                f"{root} is the version {found} of FoR, not {self.version}: use dataset.version={found}, or give the "
                f"folder of {self.version}."
            )
        files = audio_file_table(root)
        parts = files["file"].str.extract(r"^(\w+)/(\w+)/(?:.*/)?([^/]+)$")
        label = parts[1].str.lower()
        split = parts[0].str.lower().map(SPLIT_WORDS)
        known = split.notna() & label.isin(["real", "fake"])
        if not known.any():
            raise self.not_found(root, ", with no audio in training/real, training/fake ...")
        if not known.all():
            text = f"{int((~known).sum())} audio files of for are outside training, validation and testing: left out."
            self.add_finding("files-without-row", "note", text, files["file"][~known])
        former = parts[2].str.lower().str.extract(r"\.(mp3|wav|flac|ogg|m4a)")[0].fillna("-")
        rows = pd.DataFrame({"id": files["file"], "path": files["path"], "label": label, "split": split})
        rows = rows.assign(version=self.version, source_format=former)[known].reset_index(drop=True)
        self._compare_mp3_shares(rows)
        return rows

    def _compare_mp3_shares(self, rows: pd.DataFrame) -> None:
        """Warn if the share of files that were MP3 before differs between classes or splits."""
        cell = rows["label"] + " in " + rows["split"]
        share = (rows["source_format"] == "mp3").groupby(cell).mean()
        if share.max() - share.min() > MP3_GAP:
            shares = ", ".join(f"{name} {part:.1%}" for name, part in share.items())
            text = (
                f"Files that were MP3 before, by their names: {shares}. A detector can learn MP3 instead of synthesis: "
                "look at the results by source_format, and train with codecs as augmentation."
            )
            self.add_finding("mp3-history", "warning", text)
