"""MLAAD: text-to-speech in many languages, with genuine M-AILABS recordings of the same sentences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dfx.audio.audio_files import audio_file_stems, audio_file_table
from dfx.datasets.corpus import Corpus, GenuineSource
from dfx.datasets.delimited import read_delimited
from dfx.datasets.splits import divide_into_splits, splits_are_filled
from dfx.tables.findings import some_items
from dfx.tables.manifest import NO_SPEAKER

MAILABS = GenuineSource(
    "M-AILABS",
    "mailabs_root",
    ("M-AILABS", "m-ailabs", "MAILABS", "MAILabs", "mailabs", "m_ailabs"),
    "[a-z][a-z]_[A-Z][A-Z]/by_book",
    "https://github.com/i-celeste-aurora/m-ailabs-dataset",
)
# en_US/by_book/female/mary_ann/midnight_passenger/wavs/x.wav; books of several readers lie at by_book/mix/BOOK.
REGION = r"[a-z]{2}_[A-Z]{2}/by_book/"
RECORDING = (
    r"^(?P<language>[a-z]{2})_[A-Z]{2}/by_book/(?P<gender>\w+)/"
    r"(?:(?P<speaker>[^/]+)/)?(?P<book>[^/]+)/wavs/[^/]+$"
)


@dataclass(kw_only=True, eq=False, repr=False)
class MLAAD(Corpus):
    """Corpus MLAAD: fakes, and M-AILABS recordings of the same sentences.

    The column `original_file` of a fake names the recording. A recording and all fakes of its sentence, in any
    language, are one utterance and in one split; so are all sentences of one reader of M-AILABS, unless that leaves a
    split without a tenth of a class. MLAAD has no genuine recordings: M-AILABS is searched beside it, below it and
    below `$DFX_DATA`.

    Source: Müller et al., "MLAAD: the multi-language audio anti-spoofing dataset", 2024.

    Args:
        mailabs_root: folder of M-AILABS, with en_US, de_DE ...
    """

    name = "mlaad"
    tree = """\
  DIR/fake/LANGUAGE/SYSTEM/meta.csv        path|original_file|language|...|model_name|architecture|transcript
  DIR/fake/LANGUAGE/SYSTEM/*.wav
  and, beside it or at dataset.mailabs_root,
  M-AILABS/en_US/by_book/female/READER/BOOK/wavs/*.wav"""
    marks = ("fake/*/*/meta.csv",)

    mailabs_root: str | None = None

    def table(self) -> pd.DataFrame:
        """Read the rows of all `meta.csv` files, and add the M-AILABS recordings."""
        root = self.folder()
        parts = []
        for path in sorted((root / "fake").glob("*/*/meta.csv")):
            # Unquoted: transcripts contain quotation marks.
            rows = read_delimited(path, "|", need=("path", "original_file", "model_name"), quoted=False)
            # The files lie beside their table; the folders in its column path are not always spelt the same.
            beside = f"{path.parent.parent.name}/{path.parent.name}/"
            parts.append(rows.assign(file=beside + rows["path"].str.rpartition("/")[2]))
        fakes = pd.concat(parts, ignore_index=True)
        # Some versions have something before en_US.
        utterance = fakes["original_file"].str.extract(f"({REGION}.+)$")[0].fillna(fakes["original_file"])
        fakes = fakes.assign(
            id="fake/" + audio_file_stems(fakes["file"]),
            label="spoof",
            attack=fakes["model_name"],
            utterance=audio_file_stems(utterance),
            speaker=NO_SPEAKER,
        )
        fakes = self.paths_by_name(fakes.drop(columns=["path", "file"]), fakes["file"], root / "fake")
        folder = self.genuine_folder(MAILABS, self.mailabs_root)
        genuine = pd.DataFrame() if folder is None else _recordings(folder)
        return pd.concat([fakes, genuine], ignore_index=True).fillna("-")

    def split_rows(self, table: pd.DataFrame, file: Path | None) -> pd.Series:
        """Assign a split to each row; the readers are divided if keeping them together leaves a split too small."""
        groups, readers = list(self.groups or []), sorted(set(table["speaker"]) - {NO_SPEAKER})
        if "speaker" in groups and readers and not (file and file.is_file()):
            split = divide_into_splits(table, groups, None, self.fractions)
            if not splits_are_filled(table.assign(split=split), self.fractions):
                self.groups = [name for name in groups if name != "speaker"]
                text = (
                    f"{self.name}: with each of the {len(readers)} readers of M-AILABS in one split, a split would "
                    f"have less than half of its share of a class, so readers are divided ({some_items(readers)}): a "
                    "detector may know a voice of eval. Add more of M-AILABS, or give a file of splits, "
                    "dataset.split_file=FILE."
                )
                self.add_finding("speakers-divided", "warning", text, readers)
        return super().split_rows(table, file)


def _recordings(folder: Path) -> pd.DataFrame:
    files = audio_file_table(folder)
    rows = files[["path"]].join(files["file"].str.extract(RECORDING))
    rows = rows.assign(id="mailabs/" + files["stem"], label="bonafide", utterance=files["stem"])
    return rows[rows["language"].notna()].fillna({"speaker": NO_SPEAKER})
