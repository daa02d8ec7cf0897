"""Labels, and the one place that fixes polarity.

Bona fide is 1, spoof is 0, and a higher score means *more bona fide*, everywhere: in tables, files, losses, metrics and
plots. A score is a log-likelihood ratio where the loss can give one. Labels that come from outside are words and pass
through `parse_label`; a word that is not known stops the run, because a guessed polarity turns an EER of 3 % into 97 %.
People are shown `fake_probability`, which is derived here and nowhere else.
"""

from __future__ import annotations

import math

BONAFIDE = 1
SPOOF = 0
NAMES = {BONAFIDE: "bonafide", SPOOF: "spoof"}

BONAFIDE_WORDS = frozenset(
    {"bonafide", "real", "genuine", "human", "authentic", "original", "natural", "reals", "realaudio", "live"}
)
SPOOF_WORDS = frozenset(
    {
        "spoof",
        "spoofed",
        "fake",
        "fakes",
        "deepfake",
        "deepfakes",
        "synthetic",
        "generated",
        "fakeaudio",
        "cloned",
    }
)


def is_label(word: object) -> bool:
    """Whether a word names one of the two classes."""
    return _key(word) in BONAFIDE_WORDS | SPOOF_WORDS


def parse_label(word: object) -> int:
    """Class of a label word, in any case, with or without hyphens, underscores and spaces.

    Numbers are refused: 1 is bona fide in half of the field and spoof in the other half.

    Raises:
        ValueError: if the word is not a known label.

    >>> parse_label("Bona-Fide"), parse_label("FAKE")
    (1, 0)
    """
    key = _key(word)
    if key in BONAFIDE_WORDS:
        return BONAFIDE
    if key in SPOOF_WORDS:
        return SPOOF
    raise ValueError(
        f"Unknown label {word!r}: dfx does not guess which class it is. "
        f"Use bonafide or spoof (also read: {', '.join(sorted(BONAFIDE_WORDS | SPOOF_WORDS))})."
    )


def fake_probability(score: float) -> float:
    """Probability that an utterance is spoof, in [0, 1], of a log-likelihood-ratio score under equal priors."""
    if score >= 0:
        return math.exp(-score) / (1.0 + math.exp(-score))
    return 1.0 / (1.0 + math.exp(score))


def _key(word: object) -> str:
    return str(word).strip().lower().replace("-", "").replace("_", "").replace(" ", "")
