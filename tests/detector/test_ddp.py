"""Several processes give the scores of one, bit for bit, for the same weights; also as cells of a sweep."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from mlflow.tracking import MlflowClient
from omegaconf import OmegaConf

from dfx.config.schema import CONF_DIR, register_schema
from dfx.detector import build
from dfx.metrics import eer
from dfx.tables.score_table import ScoreTable
from dfx.tracking import launchers

register_schema()


@pytest.mark.parametrize(
    ("trainer", "several"),
    [
        ({"devices": 1}, False),
        ({"devices": "1", "max_epochs": 3}, False),
        ({"devices": 2}, True),
        ({"devices": "auto", "strategy": "ddp"}, True),
        ({"devices": 1, "num_nodes": 2}, True),
        ({}, True),  # Lightning takes all devices then
    ],
)
def test_a_trainer_of_several_processes_is_known(trainer: dict[str, object], several: bool) -> None:
    assert launchers.several_devices(OmegaConf.create(trainer)) == several


def in_this_process(checkpoint: Path, options: list[str]) -> dict[str, ScoreTable]:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("train", overrides=options)
    data = build.build_datamodule(cfg, build.build_dataset(cfg).manifest())
    detector = build.build_detector(cfg, data)
    trainer = build.build_trainer(cfg, [])
    trainer.validate(detector, data, ckpt_path=checkpoint, weights_only=True, verbose=False)
    trainer.test(detector, data, ckpt_path=checkpoint, weights_only=True, verbose=False)
    return detector.scores


@pytest.mark.slow
def test_a_sweep_of_cells_on_two_processes_scores_as_one_process_does(
    home: Path, corpus_file: Path, tmp_path: Path
) -> None:
    options = [
        "dataset=manifest",
        f"dataset.path={corpus_file}",
        "segment_seconds=0.5",
        "data.limit_utterances=15",  # in batches of 7: three batches for two processes
        "data.batch_size=7",
        "trainer.accelerator=cpu",
        "trainer.max_epochs=2",
        "trainer.enable_progress_bar=false",
    ]
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    several = ["trainer=ddp", "trainer.devices=2", "data.eval_crop=first,sliding"]
    done = subprocess.run(
        [sys.executable, "-m", "dfx.train", "-m", *options, *several],
        cwd=tmp_path,
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("dfx").experiment_id])
    (parent,) = [run for run in found if run.data.tags.get("kind") == "sweep"]
    cells = [run for run in found if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert [run.info.status for run in found] == ["FINISHED"] * 3
    assert {run.data.params["data.eval_crop"] for run in cells} == {"first", "sliding"}
    for run in cells:
        folder = Path(run.info.artifact_uri.removeprefix("file://"))
        crop = f"data.eval_crop={run.data.params['data.eval_crop']}"
        alone = in_this_process(folder / "checkpoint" / "best.ckpt", [*options, crop])
        for split, table in alone.items():
            both = ScoreTable.read(folder / "scores" / f"{split}.csv").table
            assert len(both) == 15
            pd.testing.assert_series_equal(both["id"], table.table["id"].reset_index(drop=True))
            assert both["score"].tolist() == table.table["score"].tolist()
            assert run.data.metrics[f"{split}/eer"] == eer(table.bonafide, table.spoof)[0]
