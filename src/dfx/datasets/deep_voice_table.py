"""Feature table of DEEP-VOICE: 26 precomputed features for each second of speech, without audio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx.datasets.corpus import Corpus
from dfx.datasets.delimited import read_delimited

LABEL = "LABEL"


@dataclass(kw_only=True, eq=False, repr=False)
class DeepVoiceTable(Corpus):
    """Dataset of the feature table `DATASET-balanced.csv`: one row for each second of speech.

    It has columns of features, and `LABEL` (REAL or FAKE). The rows do not say which recording they are from.
    Neighbouring ones are probably from one recording, so blocks of them stay in one split; results are still too
    optimistic.

    Source: Bird and Lotfi, "Real-time detection of AI-generated speech for DeepFake voice conversion", 2023.

    Args:
        block_rows: consecutive rows of a class that stay together.
    """

    note = "the table does not name recordings: seconds of one recording may be in train and eval"
    name = "deep_voice_table"
    tree = """\
  DIR/DATASET-balanced.csv       26 columns of features and LABEL (REAL, FAKE), a row a second"""
    marks = ("DATASET-balanced.csv",)

    block_rows: int = 50

    def __post_init__(self) -> None:
        if self.block_rows < 1:
            raise ValueError(f"A block has one row or more, got block_rows={self.block_rows}: use 50.")
        super().__post_init__()

    def table(self) -> pd.DataFrame:
        """Read the rows of the table; the id contains the row number, and the path is that of the table."""
        path = self.require(*self.marks)
        label = read_delimited(path, need=[LABEL])[LABEL]
        number = (label.groupby(label).cumcount() // self.block_rows).astype("str")
        ids = [f"row{row:05d}" for row in range(len(label))]
        rows = pd.DataFrame({"id": ids, "path": str(path), "label": label, "attack": "rvc"})
        return rows.assign(block=label.str.lower() + "-" + number)

    def vectors(self) -> NDArray[np.float32]:
        """Return the features of the manifest rows, (rows, columns) float32.

        Raises:
            ValueError: if a value is not a finite number.
        """
        path = self.require(*self.marks)
        columns = read_delimited(path, need=[LABEL]).drop(columns=LABEL)
        numbers: NDArray[np.float32] = columns.apply(pd.to_numeric, errors="coerce").to_numpy(np.float32)
        bad = ~np.isfinite(numbers)
        if bad.any():
            row, column = (int(place[0]) for place in np.nonzero(bad))
            raise ValueError(
                f"{path}: {int(bad.sum())} values are not finite numbers, first {columns.iloc[row, column]!r} in row "
                f"{row}, column {columns.columns[column]}: repair or remove the rows."
            )
        return numbers
