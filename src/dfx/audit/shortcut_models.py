"""Shortcut models: classifiers that are trained on scalars or cepstral statistics instead of audio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx.audit.shortcuts import (
    FAMILIES,
    NAMES,
    shortcut_auc_of_values,
    shortcut_format_codes,
    shortcut_values,
)
from dfx.metrics import interpolated_eer
from dfx.tables.labels import BONAFIDE, SPOOF
from dfx.tables.manifest import SPLITS

MAX_TRAIN = 20_000  # clips to learn from, drawn at random in each class: a few dozen numbers need no more
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
    "all scalars but length": tuple(name for name in NAMES if name not in FAMILIES["length"]),
    "all scalars": NAMES,
}
CEPSTRA = "LFCC statistics"

Matrix = NDArray[np.floating]


class ShortcutClips(NamedTuple):
    """Usable clips of a corpus: measurements, and `lfcc` (rows, 40), the mean and deviation of their cepstra."""

    table: pd.DataFrame
    lfcc: NDArray[np.float32]

    def rows(self, chosen: NDArray[Any]) -> ShortcutClips:
        """Select clips by a mask or by indices."""
        return ShortcutClips(self.table.iloc[chosen], self.lfcc[chosen])


def evaluate_shortcut_models(
    corpus: ShortcutClips, others: Mapping[str, ShortcutClips], seed: int
) -> list[dict[str, Any]]:
    """Train the shortcut models on train, and test them on the other splits and corpora.

    Scalars go to gradient boosting (200 trees of depth 3, learning rate .05, half of the clips for each tree), cepstra
    to logistic regression.

    Args:
        corpus: the corpus; models are trained on its split train.
        others: further corpora to test on, by name.
        seed: random seed of the choice of clips and of the boosting.

    Returns:
        A row for each model: `name`, and `places`: `auc`, `low`, `high`, `eer` for each other split and corpus. Empty
        if train lacks a class.
    """
    train = (corpus.table["split"] == "train").to_numpy()
    is_spoof = (corpus.table["label"] == SPOOF).to_numpy()
    if min(np.sum(train & is_spoof), np.sum(train & ~is_spoof)) < 10:
        return []
    chosen = draw_balanced_clips(np.flatnonzero(train), is_spoof[train], MAX_TRAIN, seed)
    known, label = corpus.rows(chosen), is_spoof[chosen]
    codes = shortcut_format_codes(known.table)
    splits = {split: corpus.rows((corpus.table["split"] == split).to_numpy()) for split in SPLITS[1:]}
    places = {name: clips for name, clips in splits.items() if len(clips.table)} | dict(others)

    def inputs_of(clips: ShortcutClips, model: str) -> Matrix:
        if model == CEPSTRA:
            return clips.lfcc
        return np.column_stack([shortcut_values(clips.table, name, codes) for name in SETS[model]])

    rows = []
    for name in (*SETS, CEPSTRA):
        model = _logistic_regression() if name == CEPSTRA else _gradient_boosting(seed)
        model.fit(inputs_of(known, name), label)
        cells = {place: _measured(clips.table, model, inputs_of(clips, name)) for place, clips in places.items()}
        rows.append({"name": name, "places": {place: cell for place, cell in cells.items() if cell}})
    return rows


def shortcut_auc_to_beat(
    scalars: Sequence[dict[str, Any]], models: Sequence[dict[str, Any]], why_not: str
) -> dict[str, Any]:
    """Return the AUC on eval that a detector has to beat: the AUC of the best shortcut on dev.

    A shortcut is a scalar model or a single scalar.

    Without dev the best on eval is taken; its AUC is a little too high, because it is the best of many.

    Args:
        scalars: rows of `evaluate_shortcut_scalars`.
        models: rows of `evaluate_shortcut_models`.
        why_not: the sentence if nothing could be tested.

    Returns:
        `name`, `auc`, `low`, `high`, `eer` on eval (None for a single scalar), `lfcc_auc` and `lfcc_eer` of the cepstra
        for comparison, and `text`, all that in a sentence. Only `auc` (None) and `text` if nothing could be tested.
    """
    candidates = [(row["name"], row["places"]) for row in models if row["name"] != CEPSTRA]
    candidates += [(f"{row['title']} alone", row["places"]) for row in scalars]
    candidates = [(name, places) for name, places in candidates if "eval" in places]
    if not candidates:
        return {"auc": None, "text": why_not}
    chooser = "dev" if any("dev" in places for _, places in candidates) else "eval"
    name, places = max(candidates, key=lambda candidate: candidate[1][chooser]["auc"])
    best = {"eer": None, **places["eval"]}
    auc = f"AUC {best['auc']:.2f} ({best['low']:.2f} to {best['high']:.2f})"
    cepstra: dict[str, Any] = next((row["places"].get("eval", {}) for row in models if row["name"] == CEPSTRA), {})
    error = f", EER {best['eer']:.1%}" if best["eer"] is not None else ""
    reached = "that much" if best["low"] > 0.5 else "no more than chance"
    return {
        "name": name,
        **best,
        "lfcc_auc": cepstra.get("auc"),
        "lfcc_eer": cepstra.get("eer"),
        "text": f"A detector has to beat {auc}{error} on eval: {reached} is reached on the files as they are, without "
        f"listening ({name}, chosen on {chooser}).",
    }


def draw_balanced_clips(
    rows: NDArray[np.intp], is_spoof: NDArray[np.bool_], number: int, seed: int
) -> NDArray[np.intp]:
    """Draw at most `number` rows at random, half of them from the rarer class if possible."""
    if len(rows) <= number:
        return rows
    generator = np.random.default_rng(seed)
    rare, common = sorted((rows[is_spoof], rows[~is_spoof]), key=len)
    rare = generator.permutation(rare)[: number // 2]
    common = generator.permutation(common)[: number - len(rare)]
    return np.sort(np.concatenate([rare, common]))


def _gradient_boosting(seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier  # takes a second to import

    return GradientBoostingClassifier(
        n_estimators=200, learning_rate=0.05, max_depth=3, subsample=0.5, random_state=seed
    )


def _logistic_regression() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))


def _measured(table: pd.DataFrame, model: Any, inputs: Matrix) -> dict[str, float] | None:
    """Compute AUC and EER of a shortcut model that scores spoof higher; None if a class has too few clips."""
    if table.empty:
        return None
    chunks = [inputs[at : at + CHUNK] for at in range(0, len(inputs), CHUNK)]
    scores = np.concatenate([model.decision_function(chunk) for chunk in chunks])
    found = shortcut_auc_of_values(table, scores)
    if found is None:
        return None
    label = table["label"].to_numpy()
    eer = interpolated_eer(-scores[label == BONAFIDE], -scores[label == SPOOF])
    return {"auc": found.auc, "low": found.low, "high": found.high, "eer": eer}
