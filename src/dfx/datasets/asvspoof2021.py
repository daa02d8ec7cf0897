"""ASVspoof 2021: evaluation trials of telephony (LA), compressed media (DF) or real replay (PA)."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dfx.datasets.corpus import Corpus
from dfx.tables import protocols
from dfx.tables.findings import refuse_rows
from dfx.tables.manifest import ALL
from dfx.tables.protocols import ASVSPOOF2021

TREE = """\
  DIR/ASVspoof2021_{track}_eval/flac/*.flac        (parts of it as unpacked: ASVspoof2021_{track}_eval_part00/ ...)
  DIR/keys/{track}/CM/trial_metadata.txt           (a download of its own, {track}-keys-full.tar.gz)"""

KEYS = "https://www.asvspoof.org/asvspoof2021/{track}-keys-full.tar.gz"

SUBSETS = ("eval", "progress", "hidden")


@dataclass(kw_only=True, eq=False, repr=False)
class ASVspoof2021(Corpus):
    """Corpus of one track of ASVspoof 2021; every row is in the eval split.

    Its official training data are ASVspoof 2019. Train on another corpus and measure here: `dataset=combined
    dataset.train=[asvspoof2019_la] dataset.dev=[asvspoof2019_la] dataset.eval=[asvspoof2021_df]`.

    Args:
        track: LA, DF or PA.
        subset: eval (the one that is reported), progress, hidden or all.
        divide: divide the trials into train, dev and eval by speaker, for users who have no other corpus.
    """

    track: str
    subset: str = "eval"
    divide: bool = False

    def __post_init__(self) -> None:
        track = self.track
        if track not in ASVSPOOF2021:
            raise ValueError(f"ASVspoof 2021 has no track {track!r}: use {', '.join(ASVSPOOF2021)}.")
        if self.subset not in (*SUBSETS, ALL):
            raise ValueError(f"ASVspoof 2021 has no subset {self.subset!r}: use {', '.join(SUBSETS)} or {ALL}.")
        self.name = f"asvspoof2021_{track.lower()}"
        self.tree = TREE.format(track=track)
        self.marks = *_key_places(track), f"ASVspoof2021_{track}_eval*", f"ASVspoof2021.{track}.cm.eval.trl.txt"
        self.groups = ["speaker"] if self.groups is None else self.groups
        if self.subset != "eval" or self.divide:  # published are the numbers of `eval` as a whole
            self.facts = {**self.facts, "rows": None}
        super().__post_init__()

    def table(self) -> pd.DataFrame:
        """Read the rows of the key that belong to the chosen subset."""
        advice = f"The audio comes without labels: unpack the keys beside it, {KEYS.format(track=self.track)}"
        path = self.require(*_key_places(self.track), advice=advice)
        trials = protocols.read_protocol(path, ASVSPOOF2021[self.track])
        refuse_rows(
            trials,
            ~trials["id"].str.startswith(f"{self.track}_"),
            f"of {path} are not of the track {self.track}",
            f"This is the key of another track; put keys/{self.track}/CM/trial_metadata.txt there",
        )
        # early keys have hidden_track, those of PA hidden_track_1 and hidden_track_2
        subset = trials["subset"].str.partition("_")[0]
        what = f"of {path} are in none of the subsets {', '.join(SUBSETS)}"
        advice = "The key is damaged or of another release; obtain it again"
        refuse_rows(trials, ~subset.isin(SUBSETS), what, advice)
        wanted = subset.isin(SUBSETS if self.subset == ALL else [self.subset])
        left_out = trials["id"][~wanted].tolist()
        if left_out:
            text = (
                f"{len(left_out)} of {len(trials)} trials of {self.name} are not in the subset {self.subset} and left "
                "out; published results are those of eval, dataset.subset=all takes every trial."
            )
            self.add_finding("subset", "note", text, left_out)
        chosen = trials[wanted].reset_index(drop=True)
        name = f"ASVspoof2021_{self.track}_eval"  # the archives of a large track unpack to several
        folders = self.subfolders("flac", f"{name}*") or [self.folder() / name / "flac"]
        table = self.paths_by_id(self._without_blanks(chosen), folders, others=trials["id"])
        return table if self.divide else table.assign(split="eval")

    def _without_blanks(self, table: pd.DataFrame) -> pd.DataFrame:
        """Drop the columns that are empty in an early version of the key."""
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
        self.add_finding("early-key", "warning", text)
        return table.drop(columns=blank)


def _key_places(track: str) -> tuple[str, ...]:
    """Possible paths of the key file: beside the audio, or in the folder of the audio."""
    folders = (
        "",
        f"{track}-keys*/",
        f"ASVspoof2021_{track}_eval*/",
        f"ASVspoof2021_{track}_eval*/{track}-keys*/",
    )
    inside = (f"keys/{track}/CM/", "keys/CM/", f"{track}/CM/", "CM/", "")
    return tuple(f"{folder}{below}trial_metadata.txt" for folder in folders for below in inside)
