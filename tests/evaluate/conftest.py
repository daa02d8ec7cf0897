from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir

from dfx.config.corpora import expand_corpora
from dfx.config.schema import CONF_DIR, register_schema
from dfx.detector import build
from dfx.detector.detector import CONFIG_KEY

register_schema()

Evaluate = Callable[..., dict[str, Any]]


@pytest.fixture
def evaluate(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """The command on overrides, in this process; gives what it wrote to metrics.json, and where.

    Figures and the run in MLflow take most of its time, and are made where `whole` asks for them.
    """
    from dfx.evaluate import figures
    from dfx.evaluate.__main__ import evaluate as command
    from dfx.tracking import run as tracking

    def run(*overrides: str, bootstrap: int = 0, whole: bool = False) -> dict[str, Any]:
        out = tmp_path / "report"
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            cfg = compose("evaluate", overrides=[f"out={out}", f"bootstrap={bootstrap}", *overrides])
        with monkeypatch.context() as patch:
            if not whole:
                patch.setattr(figures, "draw_evaluation_figures", lambda measured: [])
                patch.setattr(tracking, "log_report", lambda *arguments: None)
            command(expand_corpora(cfg))
        found: dict[str, Any] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
        return found | {"folder": out, "rows": pd.read_csv(out / "results.csv", keep_default_na=False)}

    return run


def _write_detector(path: Path, seed: int) -> None:
    """A checkpoint as dfx.train writes it, of a detector that was never trained."""
    overrides = ["feature=lfcc", "model=mlp", "segment_seconds=0.5", f"seed={seed}"]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("train", overrides=overrides)
    detector = build.build_detector(cfg).eval()
    config = build.build_checkpoint_config(cfg, detector.feature)
    torch.save({CONFIG_KEY: config, "state_dict": detector.state_dict()}, path)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("first") / "best.ckpt"
    _write_detector(path, 0)
    return path


@pytest.fixture(scope="session")
def other_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("second") / "best.ckpt"
    _write_detector(path, 1)
    return path


WriteScores = Callable[..., Path]


@pytest.fixture
def write_scores(tmp_path: Path) -> WriteScores:
    """A score file `NAME.csv` of made-up trials, and of others where `part` is another word."""

    def write(name: str, seed: int, part: str = "e", trials: int = 300, shift: float = 2.0) -> Path:
        path = tmp_path / f"{name}.csv"
        _scores(seed, part, trials, shift).to_csv(path, index=False)
        return path

    return write


def _scores(seed: int, part: str, trials: int, shift: float) -> pd.DataFrame:
    """Two attacks and two codecs, bona fide `shift` deviations above spoof."""
    generator = np.random.default_rng(seed)
    label = np.arange(trials) % 3 == 0
    return pd.DataFrame(
        {
            "id": [f"{part}{number:04d}" for number in range(trials)],
            "attack": np.where(label, "-", np.where(np.arange(trials) % 2, "A1", "A2")),
            "label": np.where(label, "bonafide", "spoof"),
            "score": generator.standard_normal(trials) + shift * label,
            "codec": np.where(np.arange(trials) // 3 % 2, "gsm", "none"),
        }
    )
