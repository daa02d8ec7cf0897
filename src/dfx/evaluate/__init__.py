"""Evaluation: systems × corpora -> score files, metrics with their intervals, tables and figures.

`systems` finds detectors (checkpoints, MLflow runs, ONNX files), `trials` the corpora, `scoring` brings them together
and keeps the scores; `score_files` takes those that others made. Both give a `Result`, which `derive` calibrates and
fuses, `measure` measures and `compare` compares. `tables`, `figures` and `publish` say it.
"""
