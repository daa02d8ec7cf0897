from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfx.metrics import summary
from dfx.tables.score_table import ScoreTable
from dfx.tracking.runs import RunRecord

Make = Callable[..., RunRecord]


def scores(split: str, distance: float, seed: int, trials: int = 240, name: str = "") -> ScoreTable:
    """Normal deviates, the same trials for every detector; those of one trial are alike whatever the seed."""
    number = np.arange(trials)
    label = (number % 2).astype(int)
    attack = np.where(label == 1, "-", np.where(number % 4 == 0, "A07", "A_8"))
    common = np.random.default_rng(len(split)).normal(0, 1, trials)
    own = np.random.default_rng([seed, len(split)]).normal(0, 0.3, trials)
    table = {"id": [f"{name}{split}{i:04d}" for i in number], "attack": attack, "label": label}
    return ScoreTable(pd.DataFrame({**table, "score": distance * (label - 0.5) + common + own}))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a finished run with its score files; `dev` and `eval` are how far apart the classes are."""
    made = 0

    def run(
        feature: str,
        model: str,
        seed: int,
        dev: float = 2.0,
        evaluation: float = 2.0,
        name: str = "",
        status: str = "FINISHED",
        tags: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
    ) -> RunRecord:
        nonlocal made
        made += 1
        folder = tmp_path / "runs" / str(made)
        (folder / "scores").mkdir(parents=True)
        tables = {
            "dev": scores("dev", dev, seed, name=name),
            "eval": scores("eval", evaluation, seed, name=name),
        }
        metrics = {
            f"{s}/{key}": value for s, table in tables.items() for key, value in summary(table).items()
        }
        metrics |= {"cost/parameters": 1000.0 * len(model), "cost/latency_ms": 1.0 + len(feature)}
        metrics |= {"eval/eer_seen": metrics["eval/eer"] / 2, "eval/eer_unseen": metrics["eval/eer"]}
        for split, table in tables.items():
            table.write(folder / "scores" / f"{split}.csv")
        curve = [{"epoch": e, "dev/eer": metrics["dev/eer"] + 0.2 / (e + 1)} for e in range(4 + seed)]
        (folder / "history.json").write_text(json.dumps(curve), encoding="utf-8")
        base = {"feature": feature, "model": model, "seed": str(seed), "config_hash": str(made)}
        return RunRecord(
            f"run{made}",
            f"{feature}-{model}-s{seed}",
            status,
            {"seed": str(seed), "optimizer.lr": "0.001", **(params or {})},
            metrics,
            {**base, "manifest_hash": "0123456789abcdef", **(tags or {})},
            str(folder),
            made,
            made,
        )

    return run
