"""Read score files and keys in any official format and join them into one `ScoreTable`.

A higher score must mean more bona fide; polarity is never guessed.
"""

from dfx.scorefiles.joining import join_scores
from dfx.scorefiles.reading import existing_score_file, read_key, read_scores
from dfx.scorefiles.speaker_verification import AsvScores, read_asv_scores
