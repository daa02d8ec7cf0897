"""ASVspoof 2019: synthesis and conversion (LA) or replay (PA), three official splits."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dfx.datasets.corpus import Corpus
from dfx.tables import protocols
from dfx.tables.manifest import SPLITS
from dfx.tables.protocols import ASVSPOOF2019

TREE = """
  DIR/ASVspoof2019_{access}_cm_protocols/ASVspoof2019.{access}.cm.train.trn.txt   (dev.trl.txt, eval.trl.txt)
  DIR/ASVspoof2019_{access}_train/flac/*.flac                              (also _dev, _eval)
DIR is the folder {access} that {access}.zip unpacks to, or one that holds it."""

# Place of the letter in the environment (S, R, D_s) and in the attack (D_a, Q); each is a, b or c. README.PA.txt
FACTORS = {
    "environment": ("room_size", "reverberation", "talker_distance"),
    "attack": ("attacker_distance", "replay_device"),
}


class ASVspoof2019(Corpus):
    """Train and dev hold attacks A01-A06, eval A07-A19 (LA); nine replay configurations AA-CC everywhere (PA).

    The folders of dev and eval also hold recordings that enrol speakers for the verification task (LA 142 and 696, PA
    3,834 and 18,792): they are in no countermeasure protocol and left out.

    Args:
        access: LA or PA.
        root, facts: see `Corpus`.
    """

    def __init__(self, access: str, root: str | None = None, facts: dict[str, Any] | None = None) -> None:
        if access not in ASVSPOOF2019:
            raise ValueError(f"ASVspoof 2019 has no access {access!r}: use {' or '.join(ASVSPOOF2019)}.")
        super().__init__(f"asvspoof2019_{access.lower()}", root, facts)
        self.access = access
        self.tree = TREE.format(access=access).strip("\n")
        self.marks = tuple(p for split in SPLITS for p in self._protocols(split))

    def table(self) -> pd.DataFrame:
        """Rows of the protocols that are there, each split with its folder."""
        root = self.folder()
        parts = []
        for split in SPLITS:
            path = self.first(*self._protocols(split))
            if path is None:  # then the counts say so
                continue
            part = protocols.read(path, ASVSPOOF2019[self.access]).assign(split=split)
            name = f"ASVspoof2019_{self.access}_{split}"
            folders = [folder for folder in sorted(root.glob(f"{name}*")) if folder.is_dir()]
            parts.append(self.locate(part, folders or [root / name / "flac"], split))
        table = pd.concat(parts, ignore_index=True)
        if self.access == "PA":
            for column, factors in FACTORS.items():
                for place, factor in enumerate(factors):
                    letter = table[column].str[place].str.lower()
                    table[factor] = letter.where(letter.isin(["a", "b", "c"]), "-")
        return table

    def _protocols(self, split: str) -> tuple[str, ...]:
        # train is .trn and dev and eval .trl; copies that call train .trl are about
        file = f"ASVspoof2019.{self.access}.cm.{split}.tr?.txt"
        return f"ASVspoof2019_{self.access}_cm_protocols/{file}", f"*protocols/{file}", file
