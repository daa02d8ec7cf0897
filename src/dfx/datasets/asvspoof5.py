"""ASVspoof 5, track 1: crowdsourced speech, 32 attacks, codecs in eval; three official splits."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dfx.datasets.corpus import Corpus
from dfx.tables import protocols
from dfx.tables.protocols import ASVSPOOF5

# split -> protocols, the release first, and folders of audio
PROTOCOLS = {
    "train": ("ASVspoof5.train.tsv", "ASVspoof5.train.metadata.txt"),
    "dev": ("ASVspoof5.dev.track_1.tsv", "ASVspoof5.dev.metadata.txt"),
    "eval": ("ASVspoof5.eval.track_1.tsv",),
}
FOLDERS = {"train": "flac_T", "dev": "flac_D", "eval": "flac_E"}  # with an ending: flac_E_eval
TRACK_2 = (
    "track_2 files list pairs of an utterance and a claimed speaker, the same utterance many times, for speaker "
    "verification: a detector is trained and measured on the track_1 files of ASVspoof5_protocols.tar.gz."
)


class ASVspoof5(Corpus):
    """Speakers of the three splits differ, and so do the attacks: A01-A08, A09-A16, A17-A32.

    The folders of dev and eval also hold recordings that enrol speakers (1,184 and 1,098): they are in no row of track
    1 and left out. `original_utterance` names what a coded utterance was made from.

    Args:
        root, facts: see `Corpus`.
    """

    tree = """\
  DIR/ASVspoof5.train.tsv, ASVspoof5.dev.track_1.tsv, ASVspoof5.eval.track_1.tsv   (or in ASVspoof5_protocols/)
  DIR/flac_T/*.flac, DIR/flac_D/*.flac, DIR/flac_E_eval/*.flac"""
    marks = (
        *("ASVspoof5.*.tsv", "*protocols*/ASVspoof5.*.tsv"),
        *("ASVspoof5.*.metadata.txt", "*protocols*/ASVspoof5.*.metadata.txt"),
    )

    def __init__(self, root: str | None = None, facts: dict[str, Any] | None = None) -> None:
        super().__init__("asvspoof5", root, facts)

    def table(self) -> pd.DataFrame:
        """Rows of the protocols that are there, each split with its folder."""
        root = self.folder()
        found = {
            split: self.first(*names, *(f"*protocols*/{name}" for name in names))
            for split, names in PROTOCOLS.items()
        }
        if not any(found.values()):
            raise ValueError(self._not_here(root, "; no protocol of track 1", TRACK_2))
        parts = []
        for split, path in found.items():
            if path is None:  # then the counts say so
                continue
            part = protocols.read(path, ASVSPOOF5).assign(split=split)
            name = FOLDERS[split]
            places = [
                place for place in sorted(root.glob(f"{name}*")) if place.is_dir()
            ]  # tars have that name too
            places = places or [place for place in sorted(root.glob(f"*/{name}*")) if place.is_dir()]
            parts.append(self.locate(part, places or [root / name], split))
        return pd.concat(parts, ignore_index=True).fillna("-")
