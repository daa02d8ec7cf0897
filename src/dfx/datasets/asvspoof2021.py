"""ASVspoof 2021: telephony (LA), compressed media (DF) or real replay (PA); evaluation trials only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from dfx.datasets.corpus import Corpus
from dfx.tables import protocols
from dfx.tables.findings import some
from dfx.tables.protocols import ASVSPOOF2021

TREE = """
  DIR/ASVspoof2021_{track}_eval/flac/*.flac        (parts of it as unpacked: ASVspoof2021_{track}_eval_part00/ ...)
  DIR/keys/{track}/CM/trial_metadata.txt           (a download of its own, {track}-keys-full.tar.gz)"""

KEYS = "https://www.asvspoof.org/asvspoof2021/{track}-keys-full.tar.gz"

SUBSETS = ("eval", "progress", "hidden")
ALL = "all"


class ASVspoof2021(Corpus):
    """Trials of one track. The official training data are those of ASVspoof 2019, so every row is in eval.

    A detector is trained elsewhere and measured here with `dataset=combined dataset.train=[asvspoof2019_la]
    dataset.dev=[asvspoof2019_la] dataset.eval=[asvspoof2021_df]`.

    Args:
        track: LA, DF or PA.
        root, facts, split_file: see `Corpus`.
        subset: eval, which is what is reported, progress, hidden or all.
        divide: divide the trials into train, dev and eval by speaker, for those who have no other corpus.
    """

    def __init__(
        self,
        track: str,
        root: str | None = None,
        facts: dict[str, Any] | None = None,
        subset: str = "eval",
        divide: bool = False,
        split_file: str | None = None,
    ) -> None:
        if track not in ASVSPOOF2021:
            raise ValueError(f"ASVspoof 2021 has no track {track!r}: use {', '.join(ASVSPOOF2021)}.")
        if subset not in (*SUBSETS, ALL):
            raise ValueError(f"ASVspoof 2021 has no subset {subset!r}: use {', '.join(SUBSETS)} or {ALL}.")
        super().__init__(f"asvspoof2021_{track.lower()}", root, facts, ["speaker"], split_file)
        self.track, self.subset, self.divide = track, subset, divide
        self.tree = TREE.format(track=track).strip("\n")
        self.marks = (
            *_key_places(track),
            f"ASVspoof2021_{track}_eval*",
            f"ASVspoof2021.{track}.cm.eval.trl.txt",
        )

    def official_rows(self) -> dict[str, dict[str, int]]:
        """Published counts are those of the subset eval, whole."""
        return super().official_rows() if self.subset == "eval" and not self.divide else {}

    def table(self) -> pd.DataFrame:
        """Rows of the key that are in the subset."""
        advice = f"The audio comes without labels: unpack the keys beside it, {KEYS.format(track=self.track)}"
        path = self.need(*_key_places(self.track), advice=advice)
        trials = protocols.read(path, ASVSPOOF2021[self.track])
        self._check_track(trials, path)
        # early keys say hidden_track, and of PA hidden_track_1 and hidden_track_2
        subset = trials["subset"].str.partition("_")[0]
        unknown = trials["id"][~subset.isin(SUBSETS)]
        if len(unknown):
            raise ValueError(
                f"{path}: {len(unknown)} of {len(trials)} trials are in none of the subsets {', '.join(SUBSETS)} "
                f"({some(unknown)}): the key is damaged or of another release. Obtain it anew."
            )
        chosen = trials if self.subset == ALL else trials[subset == self.subset]
        left = int(len(trials) - len(chosen))
        if left:
            text = (
                f"{left} of {len(trials)} trials of {self.name} are not in the subset {self.subset} and left out; "
                "published results are those of eval, dataset.subset=all takes every trial."
            )
            self.note_finding("subset", "note", text, trials["id"][subset != self.subset].tolist())
        table = self._without_blanks(chosen.reset_index(drop=True))
        table = self.locate(table, self._folders(), others=trials["id"])
        return table if self.divide else table.assign(split="eval")

    def _check_track(self, trials: pd.DataFrame, path: Path) -> None:
        other = trials["id"][~trials["id"].str.startswith(f"{self.track}_")]
        if len(other):
            raise ValueError(
                f"{path}: {len(other)} of {len(trials)} trials are not of the track {self.track} ({some(other)}): this "
                f"is the key of another track. Put keys/{self.track}/CM/trial_metadata.txt there."
            )

    def _without_blanks(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table without the columns that an early key leaves empty; full keys name the speakers."""
        if not (table["speaker"] == "-").all():
            return table
        full = KEYS.format(track=self.track)
        if self.divide:
            raise ValueError(
                f"dataset.divide needs the speakers of {self.name}, and this key, an early one, has none: take the "
                f"full one, {full}"
            )
        blank = [name for name in table.columns if (table[name] == "-").all()]
        text = (
            f"The key of {self.name} is an early one, without {', '.join(blank)}: results cannot be broken down by "
            f"these. The full one has them, {full}"
        )
        self.note_finding("early-key", "warning", text)
        return table.drop(columns=blank)

    def _folders(self) -> list[Path]:
        """Folders of the audio, the parts of a large track among them."""
        root = self.folder()
        name = f"ASVspoof2021_{self.track}_eval"
        folders = [root / "flac", *sorted(root.glob(f"{name}*"))]
        return [folder for folder in folders if folder.is_dir()] or [root / name / "flac"]


def _key_places(track: str) -> tuple[str, ...]:
    """Where people unpack the keys: beside the audio or in its folder, full and early keys."""
    folders = (
        "",
        f"{track}-keys*/",
        f"ASVspoof2021_{track}_eval*/",
        f"ASVspoof2021_{track}_eval*/{track}-keys*/",
    )
    inside = (f"keys/{track}/CM/", "keys/CM/", f"{track}/CM/", "CM/", "")
    return tuple(f"{folder}{below}trial_metadata.txt" for folder in folders for below in inside)
