"""How well one number tells two classes apart: the AUC, and how far it may be off."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

Z95 = 1.959964


class Area(NamedTuple):
    """An AUC with its standard deviation."""

    auc: float
    deviation: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        half = Z95 * self.deviation
        return max(0.0, self.auc - half), min(1.0, self.auc + half)

    @property
    def strength(self) -> float:
        """The AUC whichever way it points: .5 tells nothing, 1 everything."""
        return max(self.auc, 1 - self.auc)

    @property
    def sigmas(self) -> float:
        """Standard deviations from chance."""
        return abs(self.auc - 0.5) / self.deviation if self.deviation else 0.0


def area(spoof: ArrayLike, bonafide: ArrayLike) -> Area | None:
    """How often a value of a spoof clip is above that of a bona fide one, ties counting half; None without both.

    Clips are taken as independent: where they share speakers or sentences the true interval is wider.

    Source: DeLong, DeLong and Clarke-Pearson 1988, in the form of Sun and Xu 2014, which takes ranks only.

    >>> area([2.0, 3.0], [0.0, 2.0]).auc
    0.875
    """
    positive, negative = (np.asarray(values, np.float64) for values in (spoof, bonafide))
    m, n = len(positive), len(negative)
    if not m or not n:
        return None
    ranks = rankdata(np.concatenate([positive, negative]))
    above = (ranks[:m] - rankdata(positive)) / n  # for each spoof clip: the share of bona fide ones below it
    below = 1 - (ranks[m:] - rankdata(negative)) / m
    value = float(above.mean())
    deviation = float(np.sqrt(sum(part.var(ddof=1) / len(part) for part in (above, below) if len(part) > 1)))
    if value in (0.0, 1.0):
        deviation = 1 / min(m, n)  # the formula gives 0, whatever the number of clips
    return Area(value, deviation)
