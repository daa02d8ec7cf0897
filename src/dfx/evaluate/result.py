"""Result: the scores of one system on the trials of one corpus, with metadata."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from dfx.metrics import AsvRates
from dfx.reporting.document import document_file_name
from dfx.scorefiles import AsvScores
from dfx.tables.findings import Finding
from dfx.tables.score_table import ScoreTable

RESAMPLES = 1000
MAX_TRIALS_RESAMPLED = 100_000  # limit if the user does not say whether to resample: seconds of work


@dataclass(frozen=True)
class Result:
    """Scores of one system on one corpus.

    Attributes:
        corpus: name of the corpus, and the split where it is not eval.
        crop: which part of an utterance the system scores, in words.
        llr: whether the scores are log-likelihood ratios; None: not known, they are treated as such.
        dev: scores of the same system on dev, for the threshold, calibration and fusion.
        dev_source: origin of the dev scores, in words.
        trained_on: the corpus that the system was trained on; empty where it is not known.
        bad: files without a score: id, reason.
        findings: problems and remarks about the scores.
        note: a sentence about the corpus.
        asv: error rates of speaker verification on these trials, for the t-DCF.
        sasv: scores that also verify the speaker, by kind of trial, for the a-DCF.
        calibrated: whether this is another result after calibration; it is left out of breakdowns, comparisons and
            curves, since calibration does not change the order of the trials.
    """

    system: str
    corpus: str
    table: ScoreTable
    crop: str
    llr: bool | None = None
    dev: ScoreTable | None = None
    dev_source: str = ""
    trained_on: str = ""
    bad: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["id", "reason"], dtype="str"))
    findings: tuple[Finding, ...] = ()
    note: str = ""
    asv: AsvRates | None = None
    sasv: AsvScores | None = None
    calibrated: bool = False

    @property
    def name(self) -> str:
        """System and corpus in words: `lcnn on demo`."""
        return f"{self.system} on {self.corpus}"

    @property
    def file_name(self) -> str:
        """System and corpus as a file name without suffix."""
        return f"{document_file_name(self.system)}--{document_file_name(self.corpus)}"

    def num_resamples(self, wanted: int | None) -> int:
        """Return how often the trials are resampled for confidence intervals.

        Args:
            wanted: the user's choice; None: 1,000 times, or never if there are more than 100,000 trials.
        """
        if wanted is None:
            return RESAMPLES if len(self.table) <= MAX_TRIALS_RESAMPLED else 0
        return int(wanted)
