"""Read score files and keys in any official format and join them into one `ScoreTable`.

A higher score must mean more bona fide; polarity is never guessed.
"""

from dfx.scorefiles.joining import join
from dfx.scorefiles.reading import existing_file, read_key, read_scores
from dfx.scorefiles.speaker_verification import AsvScores, read_asv

__all__ = ["AsvScores", "existing_file", "join", "read_asv", "read_key", "read_scores"]
