import json

import numpy as np
import pandas as pd
import pytest
import torch

from dfx.detector import build
from dfx.detector.network import CONFIG_KEY, build_network
from setups import composed


@pytest.fixture
def evaluate(home, tmp_path, monkeypatch):
    """The command on overrides, in this process; gives what it wrote to metrics.json, and where.

    Figures and the run in MLflow take most of its time, and are made where `whole` asks for them.
    """
    from dfx.evaluate import figures
    from dfx.evaluate.__main__ import evaluate as command
    from dfx.tracking import run as tracking

    def run(*overrides, bootstrap=0, whole=False):
        out = tmp_path / "report"
        cfg = composed(f"out={out}", f"bootstrap={bootstrap}", *overrides, command="evaluate")
        with monkeypatch.context() as patch:
            if not whole:
                patch.setattr(figures, "draw_evaluation_figures", lambda measured: [])
                patch.setattr(tracking, "log_report", lambda *arguments: None)
            command(cfg)
        found = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
        return found | {"folder": out, "rows": pd.read_csv(out / "results.csv", keep_default_na=False)}

    return run


def _write_detector(path, seed):
    """A checkpoint as dfx.train writes it, of a detector that was never trained."""
    cfg = composed("feature=lfcc", "model=mlp", "segment_seconds=0.5", f"seed={seed}")
    detector = build_network(cfg).eval()
    config = build.build_checkpoint_config(cfg, detector)
    torch.save({CONFIG_KEY: config, "state_dict": detector.state_dict()}, path)
    return path


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    return _write_detector(tmp_path_factory.mktemp("first") / "best.ckpt", 0)


@pytest.fixture(scope="session")
def other_checkpoint(tmp_path_factory):
    return _write_detector(tmp_path_factory.mktemp("second") / "best.ckpt", 1)


@pytest.fixture
def write_scores(tmp_path):
    """Writes a score file `NAME.csv`: two attacks and two codecs, bona fide `shift` deviations above spoof.

    The trials are the same for each file, and others where `part` is another word.
    """

    def write(name, seed, part="e", trials=300, shift=2.0):
        number = np.arange(trials)
        label = number % 3 == 0
        columns = {
            "id": [f"{part}{one:04d}" for one in number],
            "attack": np.where(label, "-", np.where(number % 2, "A1", "A2")),
            "label": np.where(label, "bonafide", "spoof"),
            "score": np.random.default_rng(seed).standard_normal(trials) + shift * label,
            "codec": np.where(number // 3 % 2, "gsm", "none"),
        }
        pd.DataFrame(columns).to_csv(tmp_path / f"{name}.csv", index=False)
        return tmp_path / f"{name}.csv"

    return write
