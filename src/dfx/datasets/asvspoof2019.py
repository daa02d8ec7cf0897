"""ASVspoof 2019: corpus of synthetic and converted speech (LA) or replayed speech (PA), with official splits."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dfx.datasets.corpus import Corpus
from dfx.tables import protocols
from dfx.tables.manifest import SPLITS
from dfx.tables.protocols import ASVSPOOF2019

TREE = """\
  DIR/ASVspoof2019_{access}_cm_protocols/ASVspoof2019.{access}.cm.train.trn.txt   (dev.trl.txt, eval.trl.txt)
  DIR/ASVspoof2019_{access}_train/flac/*.flac                              (also _dev, _eval)
DIR is the folder {access} that {access}.zip unpacks to, or one that holds it."""

# Position of the letter in the environment (S, R, D_s) and in the attack (D_a, Q); each is a, b or c. README.PA.txt
FACTORS = {
    "environment": ("room_size", "reverberation", "talker_distance"),
    "attack": ("attacker_distance", "replay_device"),
}


@dataclass(kw_only=True, eq=False, repr=False)
class ASVspoof2019(Corpus):
    """Corpus ASVspoof 2019, logical access (LA) or physical access (PA).

    LA: attacks A01-A06 in train and dev, A07-A19 in eval; PA: replay attacks AA-CC in every split. The folders of dev
    and eval also hold enrolment recordings for speaker verification (LA 142 and 696, PA 3,834 and 18,792): they are in
    no countermeasure protocol and left out.

    Args:
        access: LA or PA.
    """

    access: str

    def __post_init__(self) -> None:
        if self.access not in ASVSPOOF2019:
            raise ValueError(f"ASVspoof 2019 has no access {self.access!r}: use {' or '.join(ASVSPOOF2019)}.")
        self.name = f"asvspoof2019_{self.access.lower()}"
        self.tree = TREE.format(access=self.access)
        self.marks = tuple(pattern for split in SPLITS for pattern in self._protocols(split))
        super().__post_init__()

    def table(self) -> pd.DataFrame:
        """Read the rows of all protocols that are present."""
        parts = []
        for split in SPLITS:
            path = self.find(*self._protocols(split))
            if path is None:  # the comparison of counts reports it
                continue
            part = protocols.read_protocol(path, ASVSPOOF2019[self.access]).assign(split=split)
            name = f"ASVspoof2019_{self.access}_{split}"
            folders = self.subfolders(f"{name}*") or [self.folder() / name / "flac"]
            parts.append(self.paths_by_id(part, folders, split))
        table = pd.concat(parts, ignore_index=True)
        if self.access == "PA":
            for column, factors in FACTORS.items():
                for position, factor in enumerate(factors):
                    letter = table[column].str[position].str.lower()
                    table[factor] = letter.where(letter.isin(["a", "b", "c"]), "-")
        return table

    def _protocols(self, split: str) -> tuple[str, ...]:
        # train is .trn, dev and eval are .trl; in some copies train is .trl too
        file = f"ASVspoof2019.{self.access}.cm.{split}.tr?.txt"
        return f"ASVspoof2019_{self.access}_cm_protocols/{file}", f"*protocols/{file}", file
