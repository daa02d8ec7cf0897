from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DFX_CACHE": str(folder / "cache"), "MLFLOW_TRACKING_URI": ""}
    environment.pop("MLFLOW_TRACKING_URI")
    command = [sys.executable, "-m", "dfx.audit", "num_workers=0", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def write(table: pd.DataFrame, path: Path) -> str:
    table.assign(label=table["label"].map({1: "bonafide", 0: "spoof"})).to_csv(path, index=False)
    return f"dataset.path={path}"


@pytest.mark.slow
def test_the_command_writes_shows_and_logs_and_is_quick_again(fair: pd.DataFrame, tmp_path: Path) -> None:
    import mlflow

    corpus = write(fair, tmp_path / "fair.csv")
    done = run(tmp_path, "dataset=manifest", corpus)
    assert done.returncode == 0, done.stderr
    assert "A detector has to beat AUC" in done.stdout
    folder = tmp_path / "mlruns" / "audit" / "fair"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["corpus"]["rows"] == 160
    assert len(list((tmp_path / "cache" / "audits").glob("*.json"))) == 1
    client = mlflow.tracking.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dfx-audit")
    runs = client.search_runs([experiment.experiment_id])
    assert runs[0].info.status == "FINISHED"
    assert runs[0].data.metrics["to_beat/auc"] == pytest.approx(report["headline"]["auc"], abs=1e-3)

    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "thesis.txt").write_text("not of the audit")
    again = run(tmp_path, "dataset=manifest", corpus, f"out={tmp_path / 'elsewhere'}")
    assert "Decoding" not in again.stderr
    assert "measuring" not in again.stderr
    assert (tmp_path / "elsewhere" / "report.html").exists()
    newest = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])[0]
    kept = {entry.path for entry in client.list_artifacts(newest.info.run_id)}
    assert "report.html" in kept
    assert "thesis.txt" not in kept


@pytest.mark.slow
def test_errors_are_one_sentence(fair: pd.DataFrame, tmp_path: Path) -> None:
    for arguments, words in (
        (["dataset=manifest", "dataset.path=nowhere.csv"], "No table at 'nowhere.csv'"),
        (
            ["dataset=manifest", write(fair.assign(label=1).assign(split="held-out"), tmp_path / "x.csv")],
            "unknown split",
        ),
        (["dataset=demo", "others=[nosuch]"], "there is no dataset 'nosuch'"),
    ):
        done = run(tmp_path, *arguments)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
