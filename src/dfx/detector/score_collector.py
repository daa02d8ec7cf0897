"""Average the scores of windows to one score for each utterance, in validation, test and scoring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from dfx.tables.score_table import ScoreTable


class ScoreCollector:
    """Collector of window scores, which averages them to one score for each utterance.

    Args:
        utterances: id, attack, label and metadata; row i has the index i in batches.
        name: of these utterances, for errors: "eval".
    """

    def __init__(self, utterances: pd.DataFrame, name: str) -> None:
        self.utterances = utterances
        self.name = name
        self._batches: list[tuple[Tensor, Tensor]] = []

    def add(self, index: Tensor, scores: Tensor) -> None:
        """Add scores (batch,) of windows and their utterance indices (batch,); a negative index is padding."""
        self._batches.append((index, scores))

    def finish(self, gather: Callable[[list[Any]], list[Any]] = list) -> ScoreTable:
        """Return the mean score of each utterance over its windows, in float64, and empty the collector.

        Args:
            gather: puts the batches of all processes together.

        Raises:
            ValueError: if an utterance has no score, or one that is not a finite number.
        """
        batches = gather([(index.tolist(), scores.tolist()) for index, scores in self._batches])
        self._batches.clear()
        indices = np.array([index for batch, _ in batches for index in batch], np.int64)
        scores = np.array([score for _, batch in batches for score in batch], np.float64)
        indices, scores = indices[indices >= 0], scores[indices >= 0]
        counts = np.bincount(indices, minlength=len(self.utterances))
        if not counts.all():
            raise ValueError(
                f"{np.count_nonzero(counts)} of {len(counts)} utterances of {self.name} were scored: a metric of a "
                "part is not the metric. Leave Lightning's limits alone and use data.limit_utterances."
            )
        return ScoreTable(self.utterances.assign(score=np.bincount(indices, weights=scores) / counts))
