"""What an evaluation judges: the scores of one system on the trials of one corpus, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from dfx.reporting.document import file_name
from dfx.scorefiles import AsvScores
from dfx.tables.findings import Finding
from dfx.tables.score_table import ScoreTable


def _none() -> pd.DataFrame:
    return pd.DataFrame({"id": [], "reason": []}, dtype="str")


@dataclass(frozen=True)
class Result:
    """Scores of a system on a corpus.

    Attributes:
        system: its name.
        corpus: name of the corpus, and the split where it is not eval.
        table: the scores.
        crop: what of an utterance the system heard, in words.
        llr: whether the scores are log-likelihood ratios; None: not known, taken to be.
        dev: scores of the same system on trials that may decide: threshold, calibration, fusion.
        dev_source: where these are from, in words.
        trained_on: the corpus that the system was trained on; empty where it is not known.
        bad: files without a score: id, reason.
        findings: what was noticed about the scores.
        note: a sentence about the corpus.
        sasv: scores of the system as one that also verifies the speaker, by kind of trial, for the a-DCF.
        calibrated: whether it is another result on another scale: it ranks trials alike, and is not shown twice.
    """

    system: str
    corpus: str
    table: ScoreTable
    crop: str
    llr: bool | None = None
    dev: ScoreTable | None = None
    dev_source: str = ""
    trained_on: str = ""
    bad: pd.DataFrame = field(default_factory=_none)
    findings: tuple[Finding, ...] = ()
    note: str = ""
    sasv: AsvScores | None = None
    calibrated: bool = False

    @property
    def name(self) -> str:
        """System and corpus."""
        return f"{self.system} on {self.corpus}"

    @property
    def file_name(self) -> str:
        """The same as the name of a file, without its suffix."""
        return f"{file_name(self.system)}--{file_name(self.corpus)}"
