"""ASVspoof 5, track 1: corpus of crowdsourced speech with 32 attacks, codecs in eval, and official splits."""

from __future__ import annotations

import pandas as pd

from dfx.datasets.corpus import Corpus
from dfx.tables import protocols
from dfx.tables.protocols import ASVSPOOF5

# split -> protocols, that of the release first
PROTOCOLS = {
    "train": ("ASVspoof5.train.tsv", "ASVspoof5.train.metadata.txt"),
    "dev": ("ASVspoof5.dev.track_1.tsv", "ASVspoof5.dev.metadata.txt"),
    "eval": ("ASVspoof5.eval.track_1.tsv",),
}
FOLDERS = {"train": "flac_T", "dev": "flac_D", "eval": "flac_E"}  # how they begin: flac_E_eval
TRACK_2 = (
    "track_2 files list pairs of an utterance and a claimed speaker, the same utterance many times, for speaker "
    "verification: a detector is trained and measured on the track_1 files of ASVspoof5_protocols.tar.gz."
)


class ASVspoof5(Corpus):
    """Corpus ASVspoof 5, track 1; the splits share no speakers and no attacks.

    Attacks are A01-A08 in train, A09-A16 in dev and A17-A32 in eval. The folders of dev and eval also hold enrolment
    recordings for speaker verification (1,184 and 1,098): they are not in track 1 and left out. `original_utterance`
    names the utterance that a coded one was made from.
    """

    name = "asvspoof5"
    tree = """\
  DIR/ASVspoof5.train.tsv, ASVspoof5.dev.track_1.tsv, ASVspoof5.eval.track_1.tsv   (or in ASVspoof5_protocols/)
  DIR/flac_T/*.flac, DIR/flac_D/*.flac, DIR/flac_E_eval/*.flac"""
    marks = (
        *("ASVspoof5.*.tsv", "*protocols*/ASVspoof5.*.tsv"),
        *("ASVspoof5.*.metadata.txt", "*protocols*/ASVspoof5.*.metadata.txt"),
    )

    def table(self) -> pd.DataFrame:
        """Read the rows of all protocols that are present."""
        root = self.folder()
        parts = []
        for split, names in PROTOCOLS.items():
            path = self.find(*names, *(f"*protocols*/{name}" for name in names))
            if path is None:  # the comparison of counts reports it
                continue
            part = protocols.read_protocol(path, ASVSPOOF5).assign(split=split)
            name = FOLDERS[split]
            folders = self.subfolders(f"{name}*") or self.subfolders(f"*/{name}*") or [root / name]
            parts.append(self.paths_by_id(part, folders, split))
        if not parts:
            raise self.not_found(root, "; no protocol of track 1", TRACK_2)
        return pd.concat(parts, ignore_index=True).fillna("-")
