"""Read score files and keys in any official format and join them into one `ScoreTable`.

A higher score must mean more bona fide; polarity is never guessed.
"""

from dfx.scorefiles.joining import contrary_columns, dev_part, join_scores, without_folder_and_extension
from dfx.scorefiles.reading import existing_score_file, read_key, read_scores
from dfx.scorefiles.speaker_verification import AsvScores, AsvTrials, read_asv_scores, read_asv_trials
