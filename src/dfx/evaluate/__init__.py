"""Evaluation of detectors and score files on corpora: metrics with intervals, comparisons, tables and figures.

`inputs` collects a `Result` for each system and corpus: `detectors` scores the `trials` of a corpus, or score files
are read. `cross_checks` compares what they name, `calibration_fusion` makes further results of them, `measurements`
computes every number, and `report` shows them.
"""
