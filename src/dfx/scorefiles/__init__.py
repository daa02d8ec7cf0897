"""Score files and keys that others made: read, brought together as one `ScoreTable`, and doubted.

`read_scores` and `read_key` know every official format, told apart by header and columns and never by the name of
the file. `join` brings both together and refuses what would give a wrong number; `doubts` says what looks odd in
scores that are valid. Polarity is never guessed: a higher score means more bona fide, or the user turns it round.
"""

from dfx.metrics.doubts import backwards, doubts
from dfx.scorefiles.joining import join
from dfx.scorefiles.keys import read_key
from dfx.scorefiles.scores import read_scores
from dfx.scorefiles.verification import AsvScores, read_asv

__all__ = ["AsvScores", "backwards", "doubts", "join", "read_asv", "read_key", "read_scores"]
