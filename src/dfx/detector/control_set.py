"""Control test: is a new detector no worse than an old one on a fixed set of recordings?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfx.detector.corpus_scoring import ScoringOptions, score_manifest
from dfx.detector.scoring import SavedDetector
from dfx.metrics import Difference, PairedEers, cluster_column
from dfx.tables.manifest import Manifest

RESAMPLES = 2000


class ControlTest(NamedTuple):
    """EERs of two detectors on the same recordings, and their difference, new minus old.

    Attributes:
        num_bonafide: bona fide recordings that both could score.
        num_spoof: spoof recordings that both could score.
    """

    new_eer: float
    old_eer: float
    difference: Difference
    num_bonafide: int
    num_spoof: int

    def not_worse(self, margin: float) -> bool:
        """Whether the EER of the new detector is higher by at most `margin`, at the upper end of the 95 % interval."""
        return self.difference.high <= margin

    def __str__(self) -> str:
        points, low, high = (100 * value for value in self.difference[:3])
        return (
            f"EER {100 * self.new_eer:.2f} % against {100 * self.old_eer:.2f} %, a difference of {points:+.2f} points "
            f"[{low:+.2f}, {high:+.2f}] on {self.num_bonafide:,} bona fide and {self.num_spoof:,} spoof recordings"
        )


def compare_on_control(
    new: SavedDetector, old: SavedDetector, control: Manifest, cache: str | None = None
) -> ControlTest:
    """Compare two detectors by a paired bootstrap of the EER over the same recordings, of all splits.

    Speakers are drawn whole where they are known. The interval has 95 %, so a detector that is worse by the margin
    passes `ControlTest.not_worse` in 2.5 of 100 cases.

    Raises:
        ValueError: if a class has fewer than two recordings, or too many files are bad.
    """
    rows, options = np.arange(len(control)), ScoringOptions(cache=cache)
    tables = [score_manifest(detector, control, rows, options, control.name)[0] for detector in (new, old)]
    bonafide, spoof = len(tables[0].bonafide), len(tables[0].spoof)
    if min(bonafide, spoof) < 2:
        raise ValueError(
            f"The control set {control.name} has {bonafide} bona fide and {spoof} spoof recordings that can be read: "
            "it needs several of each class."
        )
    eers = PairedEers([[table] for table in tables], cluster_column(tables[0]), RESAMPLES)
    new_eer, old_eer = map(float, eers.values)
    return ControlTest(new_eer, old_eer, eers.difference(0, 1), bonafide, spoof)
