"""The table of DEEP-VOICE: 26 ready features of one-second windows, without the audio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx.datasets import delimited
from dfx.datasets.corpus import Corpus

LABEL = "LABEL"


class DeepVoiceTable(Corpus):
    """`DATASET-balanced.csv`: a row a second of speech, its features in the columns, `LABEL` REAL or FAKE.

    The rows do not say which recording they are from. Neighbouring ones are likely from one, so blocks of them stand
    in one split; more cannot be done, and results are too good to be true.

    Source: Bird and Lotfi, "Real-time detection of AI-generated speech for DeepFake voice conversion", 2023.

    Args:
        root: folder of the table; see `Corpus`.
        facts: what its authors publish.
        block_rows: consecutive rows of a class that stay together.
        groups: columns whose values must not be divided.
        split_file: CSV (id, split) that fixes the splits.
    """

    note = "the table does not tell recordings apart: seconds of one may stand in train and eval"
    tree = """\
  DIR/DATASET-balanced.csv       26 columns of features and LABEL (REAL, FAKE), a row a second"""
    marks = ("DATASET-balanced.csv",)

    def __init__(
        self,
        root: str | None = None,
        facts: dict[str, Any] | None = None,
        block_rows: int = 50,
        groups: Sequence[str] = ("block",),
        split_file: str | None = None,
    ) -> None:
        if block_rows < 1:
            raise ValueError(f"A block has one row or more, got block_rows={block_rows}: use 50.")
        super().__init__("deep_voice_table", root, facts, groups, split_file)
        self.block_rows = block_rows

    def table(self) -> pd.DataFrame:
        """One row a row of the file; all of them have its path, and the number of the row for an id."""
        path = self.need(*self.marks)
        label = delimited.read(path, need=[LABEL])[LABEL]
        block = label.groupby(label).cumcount() // self.block_rows
        return pd.DataFrame(
            {
                "id": [f"row{number:05d}" for number in range(len(label))],
                "path": str(path),
                "label": label,
                "attack": "rvc",
                "block": label.str.lower() + "-" + block.astype("str"),
            }
        )

    def vectors(self) -> NDArray[np.float32]:
        """Features of the rows of the manifest, (rows, columns) float32.

        Raises:
            ValueError: if a value is no finite number.
        """
        path = self.need(*self.marks)
        columns = delimited.read(path, need=[LABEL]).drop(columns=LABEL)
        numbers: NDArray[np.float32] = columns.apply(pd.to_numeric, errors="coerce").to_numpy(np.float32)
        bad = ~np.isfinite(numbers)
        if bad.any():
            row, column = (int(place[0]) for place in np.nonzero(bad))
            raise ValueError(
                f"{path}: {int(bad.sum())} values are no finite numbers, first {columns.iloc[row, column]!r} in row "
                f"{row}, column {columns.columns[column]}: repair or remove the rows."
            )
        return numbers
