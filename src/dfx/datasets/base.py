"""What a dataset is: where recordings lie, which class each belongs to and in which split it stands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dfx.tables.findings import Finding
from dfx.tables.manifest import Manifest


class Dataset(ABC):
    """A corpus that can say what it holds.

    Attributes:
        note: a sentence that stands on every report of a run on this corpus; empty for ordinary recordings.
        findings: what `manifest()` noticed about the files (rows without a file, counts that are not the official
            ones …); complete after it was called.
    """

    note: str = ""
    findings: Sequence[Finding] = ()

    @abstractmethod
    def manifest(self) -> Manifest:
        """One row an utterance, each with a split.

        Raises:
            ValueError: a sentence, where the files are not laid out as expected.
        """

    def vectors(self) -> NDArray[np.float32] | None:
        """Ready features, (rows of the manifest, columns), of a corpus that holds these instead of audio.

        The rows' `path` is the file that they are read from: a run is made anew when that file changes.
        """
        return None
