"""MLAAD: text-to-speech of many systems in many languages, against the M-AILABS recordings that it re-speaks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dfx.datasets import delimited
from dfx.datasets.corpus import Corpus, audio_files
from dfx.datasets.genuine import Genuine

MAILABS = Genuine(
    "M-AILABS",
    "mailabs_root",
    ("M-AILABS", "m-ailabs", "MAILABS", "MAILabs", "mailabs", "m_ailabs"),
    "[a-z][a-z]_[A-Z][A-Z]/by_book",
    "https://github.com/i-celeste-aurora/m-ailabs-dataset",
)
SUFFIX = r"\.[^./]+$"
# en_US/by_book/female/mary_ann/midnight_passenger/wavs/x.wav; books of several readers lie at by_book/mix/BOOK.
REGION = r"[a-z]{2}_[A-Z]{2}/by_book/"
RECORDING = (
    r"^(?P<language>[a-z]{2})_[A-Z]{2}/by_book/(?P<gender>\w+)/"
    r"(?:(?P<speaker>[^/]+)/)?(?P<book>[^/]+)/wavs/[^/]+$"
)


class MLAAD(Corpus):
    """The fakes of MLAAD and the recordings of M-AILABS, of which they repeat the sentences (`original_file`).

    A recording and everything that re-speaks it, in any language, are one utterance and stand in one split. MLAAD has
    no genuine recordings of its own: M-AILABS is looked for beside it, below it and below `$DFX_DATA`.

    Source: Müller et al., "MLAAD: the multi-language audio anti-spoofing dataset", 2024.

    Args:
        root: its folder; see `Corpus`.
        facts: what its authors publish.
        groups: columns whose values must not be divided.
        split_file: CSV (id, split) that fixes the splits.
        mailabs_root: folder of M-AILABS, with en_US, de_DE ...
    """

    tree = """\
  DIR/fake/LANGUAGE/SYSTEM/meta.csv        path|original_file|language|...|model_name|architecture|transcript
  DIR/fake/LANGUAGE/SYSTEM/*.wav
  and, beside it or at dataset.mailabs_root,
  M-AILABS/en_US/by_book/female/READER/BOOK/wavs/*.wav"""
    marks = ("fake/*/*/meta.csv",)

    def __init__(
        self,
        root: str | None = None,
        facts: dict[str, Any] | None = None,
        groups: Sequence[str] = ("utterance",),
        split_file: str | None = None,
        mailabs_root: str | None = None,
    ) -> None:
        super().__init__("mlaad", root, facts, groups, split_file)
        self.mailabs_root = mailabs_root

    def table(self) -> pd.DataFrame:
        """One row a line of the files `meta.csv`, and one a recording of M-AILABS."""
        root = self.folder()
        parts = []
        for path in sorted((root / "fake").glob("*/*/meta.csv")):
            # Unquoted: transcripts hold quotation marks of their own.
            rows = delimited.read(path, "|", need=("path", "original_file", "model_name"), quoted=False)
            # The files lie beside their table; the folders that it names are not always spelt as they are.
            beside = f"{path.parent.parent.name}/{path.parent.name}/"
            parts.append(rows.assign(file=beside + rows["path"].str.rpartition("/")[2]))
        fakes = pd.concat(parts, ignore_index=True)
        utterance = fakes["original_file"].copy()
        strange = ~utterance.str.match(REGION)  # with something before en_US
        utterance[strange] = utterance[strange].str.extract(f"({REGION}.+)$")[0].fillna(utterance)
        fakes = fakes.assign(
            id="fake/" + fakes["file"].str.replace(SUFFIX, "", regex=True),
            label="spoof",
            attack=fakes["model_name"],
            utterance=utterance.str.replace(SUFFIX, "", regex=True),
        )
        fakes = self.attach(fakes.drop(columns=["path", "file"]), fakes["file"], root / "fake")
        return pd.concat([fakes, self._recordings(root)], ignore_index=True).fillna("-")

    def _recordings(self, root: Path) -> pd.DataFrame:
        """The files of M-AILABS; empty, with a finding, where it is not found."""
        folder = MAILABS.folder(self.mailabs_root, beside=root)
        if folder is None:
            self.note_finding("no-bonafide", "warning", MAILABS.missing("mlaad"))
            return pd.DataFrame()
        files = audio_files(folder)
        facts = files.str.extract(RECORDING)
        known = facts["language"].notna()
        files, facts = files[known], facts[known]
        utterance = files.str.replace(SUFFIX, "", regex=True)
        return pd.DataFrame(
            {
                "id": "mailabs/" + utterance,
                "path": f"{folder}{os.sep}" + files,
                "label": "bonafide",
                "speaker": facts["speaker"].fillna("-"),
                "utterance": utterance,
                "language": facts["language"],
                "gender": facts["gender"],
                "book": facts["book"],
            }
        )
