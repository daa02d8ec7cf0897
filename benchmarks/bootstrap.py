"""Time of the confidence intervals of all metrics, for as many trials as ASVspoof 2019 LA and ASVspoof 5 eval have.

    python benchmarks/bootstrap.py [resamples]

Simulated scores, since only the number of trials and their separation matter: an EER of 5 %, and one of 45 %, where
almost every trial has neighbours of the other class. "naive" measures the plain metrics on drawn scores, which sorts
them anew in each resample; it is timed on a few and scaled. One process, one thread, processor time, so that a busy
machine matters little; the memory is the peak of the process.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable

os.environ["OMP_NUM_THREADS"] = "1"  # read by NumPy when it is imported

import numpy as np
import pandas as pd
from scipy.stats import norm

from dfx.metrics import AsvRates, bootstrap_intervals, min_tdcf, summary
from dfx.metrics.resampled import NAMES
from dfx.tables.score_table import ScoreTable

SIZES = {"ASVspoof 2019 LA": (7_355, 63_882), "ASVspoof 5": (138_688, 542_086)}
RATES = AsvRates(p_miss=0.0246, p_fa=0.0246, p_fa_spoof=0.76)
NUM_NAIVE = 5


def simulated(num_bonafide: int, num_spoof: int, true_eer: float) -> ScoreTable:
    label = np.repeat([1, 0], [num_bonafide, num_spoof])
    score = np.random.default_rng(0).normal((2 * label - 1) * norm.isf(true_eer))
    speaker = (np.arange(label.size) % 67).astype(str)
    ids = np.arange(label.size).astype(str)
    return ScoreTable(pd.DataFrame({"id": ids, "attack": "-", "label": label, "score": score, "speaker": speaker}))


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def naive(table: ScoreTable) -> None:
    generator = np.random.default_rng(0)
    for _ in range(NUM_NAIVE):
        drawn = [generator.choice(scores, scores.size) for scores in (table.bonafide, table.spoof)]
        rows = {"label": np.repeat([1, 0], [drawn[0].size, drawn[1].size]), "score": np.concatenate(drawn)}
        summary(ScoreTable(table.table.assign(**rows)), threshold=0.0)
        for form in ("2019", "revised"):
            min_tdcf(*drawn, RATES, form)


def main() -> None:
    resamples = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"{len(NAMES)} metrics, {resamples} resamples; load average {os.getloadavg()[0]:.1f}")
    for name, size in SIZES.items():
        for true_eer in (0.05, 0.45):
            table = simulated(*size, true_eer)
            plain = seconds(lambda table=table: summary(table, threshold=0.0))
            by_trial, by_speaker = (
                seconds(lambda c=cluster: bootstrap_intervals(table, NAMES, 0.0, c, resamples, rates=RATES))  # noqa: B023
                for cluster in (None, "speaker")
            )
            by_hand = seconds(lambda table=table: naive(table)) * resamples / NUM_NAIVE
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
            print(
                f"{name:17} EER {true_eer:.0%}: summary {plain:.2f} s, intervals {by_trial:.1f} s, by speaker "
                f"{by_speaker:.1f} s; naive {by_hand:.0f} s, {by_hand / by_trial:.0f} times; {memory:.0f} MiB"
            )


if __name__ == "__main__":
    main()
