"""Seconds that `dfx.report` needs for a sweep of 1,000 runs: 4 features × 5 models × 50 seeds, 350 trials each.

    python benchmarks/report.py [seeds] [folder]

The runs are invented: their scores are normal deviates whose distance depends on feature, model, seed and attack. Their
metrics are those that `dfx.train` would have logged. What is made once in a folder is used again.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from dfx.metrics import eer, summary
from dfx.tables.score_table import ScoreTable

AXES = {
    "feature": ["mfcc", "logmel", "lfcc", "logmel_specavg"],
    "model": ["lcnn", "resnet18", "mlp", "wav2vec2_head", "lcnn_light"],
}
WORTH = {"mfcc": 0.0, "logmel": 0.3, "lfcc": 0.7, "logmel_specavg": 0.4}
WORTH |= {"lcnn": 0.6, "resnet18": 0.5, "mlp": -0.2, "wav2vec2_head": 0.1, "lcnn_light": 0.55}
SIZE = {
    "lcnn": 871_000,
    "resnet18": 11_200_000,
    "mlp": 54_000,
    "wav2vec2_head": 51_700,
    "lcnn_light": 122_000,
}
TRIALS, EPOCHS = 350, 12


def scores(split: str, feature: str, model: str, seed: int) -> ScoreTable:
    """A score table of a detector that does not exist; the trials of a split are the same for all."""
    generator = np.random.default_rng([seed, *f"{split}{feature}{model}".encode()])
    number = np.arange(TRIALS)
    label = (number % 5 < 2).astype(int)
    attack = np.where(label == 1, "-", np.char.add("A", (7 + number % 8).astype(str)))
    difficulty = np.random.default_rng(len(split)).normal(0, 0.8, TRIALS)  # of the trials, common to all
    distance = 1.2 + WORTH[feature] + WORTH[model] + generator.normal(0, 0.12)
    score = distance * (label - 0.5) * (1 + 0.06 * (number % 8)) + difficulty + generator.normal(0, 0.7, TRIALS)
    columns = {"id": [f"{split}_{i:05d}" for i in number], "attack": attack, "label": label, "score": score}
    return ScoreTable(pd.DataFrame({**columns, "speaker": [f"s{i % 40}" for i in number]}))


def fill(folder: Path, seeds: int) -> None:
    """Make the database, the runs, their score files and their histories."""
    client = MlflowClient()
    experiment = client.create_experiment("grid", str(folder / "mlruns"))
    axes = {**AXES, "seed": [str(seed) for seed in range(seeds)]}
    cells = list(itertools.product(*axes.values()))
    typed = " ".join(f"{axis}={','.join(values)}" for axis, values in axes.items())
    tags = {"kind": "sweep", "axes": json.dumps(axes), "cells": str(len(cells)), "sweep_hash": "0"}
    parent = client.create_run(
        experiment, run_name="sweep", tags={**tags, "command": f"python -m dfx.train -m {typed}"}
    ).info
    for feature, model, seed in cells[: -max(1, len(cells) // 250)]:  # a few are missing
        one(client, experiment, parent.run_id, feature, model, int(seed))
    client.set_terminated(parent.run_id)


def one(client: MlflowClient, experiment: str, parent: str, feature: str, model: str, seed: int) -> None:
    """One run with all that a real one has."""
    overrides = f"feature={feature} model={model} seed={seed}"
    tags = {"feature": feature, "model": model, "loss": "bce", "dataset": "demo", "seed": str(seed)}
    tags |= {
        "augment": "none",
        "optimizer": "adamw",
        "trainer": "default",
        "manifest_hash": "0123456789abcdef",
    }
    tags |= {"config_hash": overrides, f"sweep.{parent}": overrides}
    tags |= {"command": f"python -m dfx.train {overrides}"}
    run = client.create_run(experiment, tags=tags, run_name=f"{feature}-{model}-demo-s{seed}").info
    tables = {split: scores(split, feature, model, seed) for split in ("dev", "eval")}
    threshold = eer(tables["dev"].bonafide, tables["dev"].spoof)[1]
    metrics = {f"{s}/{k}": v for s, table in tables.items() for k, v in summary(table, threshold).items()}
    metrics |= {"eval/eer_seen": 0.8 * metrics["eval/eer"], "eval/eer_unseen": 1.2 * metrics["eval/eer"]}
    metrics |= {"cost/parameters": SIZE[model], "cost/train_seconds": 20 + SIZE[model] / 1e5 + seed}
    metrics |= {"cost/latency_ms": 1 + SIZE[model] ** 0.5 / 200, "epochs": EPOCHS, "best_epoch": EPOCHS - 1}
    final = metrics["dev/eer"]
    curve = [
        {"epoch": epoch, "dev/eer": final + 0.3 * 0.6**epoch, "train/loss": 0.7 * 0.8**epoch} for epoch in range(EPOCHS)
    ]
    now = int(1000 * time.time())
    client.log_batch(
        run.run_id,
        metrics=[Metric(key, value, now, 0) for key, value in metrics.items()]
        + [Metric(f"epoch/{k}", v, now, e) for e, row in enumerate(curve) for k, v in row.items()],
        params=[Param(f"part{i // 10}.setting{i}", str(i)) for i in range(90)]
        + [Param("seed", str(seed)), Param("feature._target_", feature), Param("model._target_", model)],
        tags=[RunTag("git_commit", "0" * 40)],
    )
    artifacts = Path(run.artifact_uri)
    (artifacts / "scores").mkdir(parents=True, exist_ok=True)
    for split, table in tables.items():
        table.write(artifacts / "scores" / f"{split}.csv")
    (artifacts / "history.json").write_text(json.dumps(curve), encoding="utf-8")
    client.set_terminated(run.run_id, "FINISHED")


def main() -> None:
    """Fill a folder and time the command as a process of its own, three times."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[2] if len(sys.argv) > 2 else temporary).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{folder}/mlflow.db"
        mlflow.set_tracking_uri(uri)
        if not (folder / "mlflow.db").exists():
            began = time.perf_counter()
            fill(folder, seeds)
            sys.stdout.write(f"made the runs in {time.perf_counter() - began:.0f} s\n")
        environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "DFX_CACHE": str(folder / "cache")}
        for _ in range(3):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-m", "dfx.report"], cwd=folder, env=environment, check=True)
            sys.stdout.write(f"{time.perf_counter() - began:.1f} s\n")


if __name__ == "__main__":
    main()
