"""Class labels and score polarity: bona fide is 1, spoof is 0, a higher score means more bona fide.

This holds in tables, files, losses, metrics and plots. Labels from outside are words and pass through `parse_label`; an
unknown word is an error, because a wrong polarity turns an EER of 3 % into 97 %.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfx.tables.findings import some_items

if TYPE_CHECKING:
    import pandas as pd

BONAFIDE = 1
SPOOF = 0
NAMES = {BONAFIDE: "bonafide", SPOOF: "spoof"}

BONAFIDE_WORDS = frozenset(
    ["bonafide", "real", "genuine", "human", "authentic", "original", "natural", "reals", "realaudio", "live"]
)
SPOOF_WORDS = frozenset(
    ["spoof", "spoofed", "fake", "fakes", "deepfake", "deepfakes", "synthetic", "generated", "fakeaudio", "cloned"]
)


def is_label(word: object) -> bool:
    """Whether a word is a label of bona fide or of spoof."""
    return normalised_word(word) in BONAFIDE_WORDS | SPOOF_WORDS


def parse_label(word: object) -> int:
    """Convert a label word to 1 (bona fide) or 0 (spoof).

    Case, hyphens, underscores and spaces do not matter.

    Numbers are refused: some corpora write 1 for bona fide, others for spoof.

    Raises:
        ValueError: if the word is not a known label.

    >>> parse_label("Bona-Fide"), parse_label("FAKE")
    (1, 0)
    """
    key = normalised_word(word)
    if key in BONAFIDE_WORDS:
        return BONAFIDE
    if key in SPOOF_WORDS:
        return SPOOF
    raise ValueError(
        f"Unknown label {word!r}: dfx does not guess which class it is. "
        f"Use bonafide or spoof (also read: {', '.join(sorted(BONAFIDE_WORDS | SPOOF_WORDS))})."
    )


def parse_labels(words: pd.Series, path: Path) -> pd.Series:
    """Convert label words to 1 (bona fide) and 0 (spoof); an error counts the unknown words, and names the first."""
    known: dict[Any, int] = {}
    reason = ""
    for word in words.unique():
        try:
            known[word] = parse_label(word)
        except ValueError as error:
            reason = reason or str(error)
    if reason:
        bad = words[~words.isin(list(known))]
        raise ValueError(
            f"{path}: {len(bad)} of {len(words)} labels are unknown ({some_items(bad.unique())}). {reason}"
        )
    return words.map(known).astype("int64")


def fake_probability(score: float) -> float:
    """Convert a score (log-likelihood ratio) to the probability of spoof, at equal priors."""
    if score >= 0:
        return math.exp(-score) / (1.0 + math.exp(-score))
    return 1.0 / (1.0 + math.exp(score))


def normalised_word(word: object) -> str:
    """Convert a word to lower case and remove spaces, hyphens and underscores."""
    return str(word).strip().lower().replace("-", "").replace("_", "").replace(" ", "")
