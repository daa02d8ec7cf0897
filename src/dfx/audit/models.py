"""Models that never listen: what all scalars together give away, and plain cepstral statistics for scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx.audit.ranking import Area
from dfx.audit.shortcuts import SCALARS, format_codes, measured, values
from dfx.metrics import interpolated_eer
from dfx.tables.labels import BONAFIDE, SPOOF
from dfx.tables.manifest import SPLITS

MAX_TRAIN = (
    20_000  # clips that are learned from, drawn at random in each class: a few dozen numbers need no more
)
CHUNK = 50_000  # rows scored at a time
BASIC = (
    *("duration", "sample_rate", "bandwidth", "leading_silence", "trailing_silence"),
    *("loudness", "peak", "noise_floor", "zeros"),
)
SETS = {
    "sample rate alone": ("sample_rate",),
    "duration, silences, loudness, peak": (
        *("duration", "leading_silence", "trailing_silence"),
        *("loudness", "peak"),
    ),
    "basic scalars": BASIC,
    "basic scalars, multiple of 256": (*BASIC, "multiple_256"),
    "all scalars but length": tuple(scalar.name for scalar in SCALARS if scalar.family != "length"),
    "all scalars": tuple(scalar.name for scalar in SCALARS),
}
CEPSTRA = "LFCC statistics"

Matrix = NDArray[np.floating]
Scorer = Callable[[Matrix], Matrix]


class Corpus(NamedTuple):
    """The usable clips of a corpus: their measures, and the mean and deviation of their cepstra (rows, 40)."""

    table: pd.DataFrame
    lfcc: NDArray[np.float32]


class Tested(NamedTuple):
    """A model that learned from train, and its AUC and EER on each other split and corpus."""

    name: str
    places: dict[str, tuple[Area, float]]


def test(corpus: Corpus, others: Mapping[str, Corpus], seed: int) -> list[Tested]:
    """Learn from train, with each set of scalars and with the cepstra; none where train lacks a class.

    The scalars go to gradient boosting (200 trees of depth 3, rate .05, half of the clips for each), the cepstra to
    logistic regression.

    Args:
        corpus: the corpus.
        others: further corpora, by name, whose clips are scored too.
        seed: of the choice of clips and of the boosting.
    """
    train = (corpus.table["split"] == "train").to_numpy()
    label = (corpus.table["label"] == SPOOF).to_numpy()
    if min(np.sum(train & label), np.sum(train & ~label)) < 10:
        return []
    chosen = np.flatnonzero(train)
    if len(chosen) > MAX_TRAIN:
        chosen = _drawn(chosen, label[chosen], seed)
    codes = format_codes(corpus.table.iloc[chosen])
    places = {
        **{split: Corpus(corpus.table[rows], corpus.lfcc[rows]) for split, rows in _splits(corpus)},
        **others,
    }
    results = []
    for name, scalars in SETS.items():
        inputs = _matrix(corpus.table.iloc[chosen], scalars, codes)
        score = _boosted(inputs, label[chosen], seed)
        found = {
            place: _measure(there.table, score(_matrix(there.table, scalars, codes)))
            for place, there in places.items()
        }
        results.append(Tested(name, {place: value for place, value in found.items() if value}))
    score = _regression(corpus.lfcc[chosen], label[chosen])
    found = {place: _measure(there.table, score(there.lfcc)) for place, there in places.items()}
    results.append(Tested(CEPSTRA, {place: value for place, value in found.items() if value}))
    return results


def _drawn(rows: NDArray[np.intp], is_spoof: NDArray[np.bool_], seed: int) -> NDArray[np.intp]:
    """`MAX_TRAIN` of some rows, of the rarer class all that half of them hold: it may be one in ten thousand."""
    generator = np.random.default_rng(seed)
    rare, common = sorted((rows[is_spoof], rows[~is_spoof]), key=len)
    rare = generator.permutation(rare)[: MAX_TRAIN // 2]
    common = generator.permutation(common)[: MAX_TRAIN - len(rare)]
    return np.sort(np.concatenate([rare, common]))


def _splits(corpus: Corpus) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for split in SPLITS[1:]:
        rows = (corpus.table["split"] == split).to_numpy()
        if rows.any():
            yield split, rows


def _matrix(table: pd.DataFrame, names: tuple[str, ...], codes: Mapping[str, float]) -> Matrix:
    return np.column_stack([values(table, name, codes) for name in names])


def _boosted(inputs: Matrix, is_spoof: NDArray[np.bool_], seed: int) -> Scorer:
    from sklearn.ensemble import GradientBoostingClassifier  # takes a second to import

    model = GradientBoostingClassifier(
        n_estimators=200, learning_rate=0.05, max_depth=3, subsample=0.5, random_state=seed
    ).fit(inputs, is_spoof)
    return _in_chunks(model.decision_function)


def _regression(inputs: NDArray[np.float32], is_spoof: NDArray[np.bool_]) -> Scorer:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(inputs, is_spoof)
    return _in_chunks(model.decision_function)


def _in_chunks(score: Scorer) -> Scorer:
    def all_of(inputs: Matrix) -> Matrix:
        return np.concatenate([score(inputs[at : at + CHUNK]) for at in range(0, len(inputs), CHUNK)])

    return all_of


def _measure(table: pd.DataFrame, scores: Matrix) -> tuple[Area, float] | None:
    """AUC and EER of scores that are higher for spoof."""
    found = measured(table, scores)
    if found is None:
        return None
    label = table["label"].to_numpy()
    return found, interpolated_eer(-scores[label == BONAFIDE], -scores[label == SPOOF])
