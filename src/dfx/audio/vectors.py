"""Ready features instead of audio: a table of numbers that is read as a waveform store is, one column a sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class VectorStore:
    """Feature vectors of the rows of a manifest, in the place of a `WaveformStore`; `feature=table` takes them.

    Attributes:
        path: the file that the vectors are from.
        sample_rate: 1, so that seconds count columns.
        lengths: (rows,), the number of columns for each.
        bad: table id, path, reason; empty, since a table is read whole or not at all.
    """

    sample_rate = 1

    def __init__(self, vectors: NDArray[np.float32], path: Path) -> None:
        self.path = path
        self.lengths: NDArray[np.int64] = np.full(len(vectors), vectors.shape[1], np.int64)
        self.bad = pd.DataFrame({"id": [], "path": [], "reason": []}, dtype="str")
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self.lengths)

    def length(self, row: int) -> int:
        """Columns of one row."""
        return int(self.lengths[row])

    def read(self, row: int, start: int = 0, num_samples: int | None = None) -> NDArray[np.float32]:
        """Values of one row from column `start`: `num_samples`, or fewer where the row ends; (columns,) float32."""
        stop = None if num_samples is None else start + num_samples
        return self._vectors[row, start:stop]
