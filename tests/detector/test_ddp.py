"""Several processes give the scores of one, bit for bit, for the same weights; also as cells of a sweep."""

import subprocess

import pandas as pd
import pytest
from omegaconf import OmegaConf

from dfx.detector import build
from dfx.metrics import eer
from dfx.tables.score_table import ScoreTable
from dfx.tracking import launchers
from setups import artifacts, composed, runs_in, start_dfx


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
def test_a_trainer_of_several_processes_is_known(trainer, several):
    assert launchers.several_devices(OmegaConf.create(trainer)) == several


def in_this_process(checkpoint, options):
    cfg = composed(*options)
    data = build.build_datamodule(cfg, build.build_dataset(cfg).manifest())
    detector = build.build_detector(cfg, data)
    trainer = build.build_trainer(cfg, [])
    trainer.validate(detector, data, ckpt_path=checkpoint, weights_only=True, verbose=False)
    trainer.test(detector, data, ckpt_path=checkpoint, weights_only=True, verbose=False)
    return detector.scores


@pytest.mark.slow
def test_a_sweep_of_cells_on_two_processes_scores_as_one_process_does(home, corpus_file, tmp_path):
    options = [
        "dataset=manifest",
        f"dataset.path={corpus_file}",
        "segment_seconds=0.5",
        "data.limit_utterances=15",  # in batches of 7: three batches for two processes
        "data.batch_size=7",
        "trainer.accelerator=cpu",
        "trainer.max_epochs=1",
        "trainer.enable_progress_bar=false",
    ]
    several = ["trainer=ddp", "trainer.devices=2", "data.eval_crop=first,sliding"]
    done = start_dfx(tmp_path, "train", "-m", *options, *several, output=subprocess.PIPE)
    error = done.communicate(timeout=900)[1]
    assert done.returncode == 0, error
    found = runs_in(tmp_path)
    (parent,) = [run for run in found if run.data.tags.get("kind") == "sweep"]
    cells = [run for run in found if f"sweep.{parent.info.run_id}" in run.data.tags]
    assert [run.info.status for run in found] == ["FINISHED"] * 3
    assert {run.data.params["data.eval_crop"] for run in cells} == {"first", "sliding"}
    for run in cells:
        folder = artifacts(run)
        crop = f"data.eval_crop={run.data.params['data.eval_crop']}"
        alone = in_this_process(folder / "checkpoint" / "best.ckpt", [*options, crop])
        for split, table in alone.items():
            both = ScoreTable.read(folder / "scores" / f"{split}.csv").table
            assert len(both) == 15
            pd.testing.assert_series_equal(both["id"], table.table["id"].reset_index(drop=True))
            assert both["score"].tolist() == table.table["score"].tolist()
            assert run.data.metrics[f"{split}/eer"] == eer(table.bonafide, table.spoof)[0]
