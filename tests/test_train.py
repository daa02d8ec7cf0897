"""A run from files to a measured detector: it learns, is kept, is skipped, continues after a kill, and reloads."""

import os
import signal
import time

import numpy as np
import pytest
import torch
import yaml
from mlflow.tracking import MlflowClient

import dfx
from dfx.metrics import eer
from dfx.tables.score_table import ScoreTable
from dfx.train import train
from setups import artifacts, composed, runs_in, runs_of, start_dfx

SMALL = ["segment_seconds=0.5", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "data.batch_size=8"]


def run(*overrides):
    return train(composed(*SMALL, *overrides))


def finished_options(corpus_file):
    given = ["dataset=manifest", "feature=lfcc", "trainer.max_epochs=12", "experiment_name=finished"]
    return [f"dataset.path={corpus_file}", *given]


@pytest.fixture(scope="module")
def finished(home, corpus_file):
    run(*finished_options(corpus_file))
    return runs_of("finished")[0]


def test_it_learns(finished):
    assert finished.info.status == "FINISHED"
    assert finished.data.metrics["eval/eer"] < 0.2
    assert finished.data.metrics["eval/auc"] > 0.85


def test_metrics_parameters_and_tags_are_logged(finished):
    metrics, params, tags = finished.data.metrics, finished.data.params, finished.data.tags
    names = ("eer", "auc", "accuracy", "min_dcf", "cllr")
    assert {f"{split}/{name}" for split in ("dev", "eval") for name in names} <= set(metrics)
    assert {"eval/eer/A1", "eval/eer/A2", "eval/eer_seen", "eval/eer_unseen"} <= set(metrics)
    assert params["seed"] == "0"
    assert (params["model"], params["feature"], params["loss"]) == ("lcnnlight", "lfcc", "bce")  # no Hydra here
    assert {"feature.num_filters", "data.batch_size", "optimizer.lr"} <= set(params)
    assert not [name for name in metrics if name.startswith("system/")]
    assert {"feature", "model", "dataset", "seed", "config_hash", "manifest_hash"} <= set(tags)
    assert {"git_commit", "git_dirty"} <= set(tags)
    assert finished.inputs.dataset_inputs[0].dataset.name == "tones"
    history = MlflowClient().get_metric_history(finished.info.run_id, "epoch/dev/eer")
    assert [point.step for point in history] == list(range(int(metrics["epochs"])))


def test_the_artifacts_are_there(finished):
    folder = artifacts(finished)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    figures = ("det", "roc", "histogram_eval", "confusion_eval", "curves", "performance", "attacks_eval")
    assert {f"figures/{name}.png" for name in figures} <= names
    files = ("config.yaml", "environment.json", "metrics.json", "history.json", "checkpoint/best.ckpt")
    assert set(files) <= names
    assert yaml.safe_load((folder / "config.yaml").read_text())["model"]["_target_"] == "dfx.models.LCNNLight"
    plain = ScoreTable.read(folder / "scores" / "eval.txt")
    table = ScoreTable.read(folder / "scores" / "eval.csv")
    assert np.array_equal(plain.table["score"], table.table["score"])


def test_scores_cover_every_trial_once_and_give_the_logged_metric(finished, corpus):
    table = ScoreTable.read(artifacts(finished) / "scores" / "eval.csv")
    assert sorted(table.table["id"]) == sorted(corpus.split("eval").table["id"])
    assert eer(table.bonafide, table.spoof)[0] == finished.data.metrics["eval/eer"]


def test_dev_chose_the_epoch(finished):
    client = MlflowClient()
    errors = [point.value for point in client.get_metric_history(finished.info.run_id, "epoch/dev/eer")]
    assert finished.data.metrics["dev/eer"] == min(errors)
    assert errors[int(finished.data.metrics["best_epoch"])] == min(errors)


def test_a_checkpoint_gives_the_same_scores(finished, corpus):
    detector = dfx.load(artifacts(finished) / "checkpoint" / "best.ckpt")
    table = ScoreTable.read(artifacts(finished) / "scores" / "eval.csv").table.set_index("id")
    for row in corpus.split("eval").table.itertuples():
        assert detector.score(str(row.path)) == pytest.approx(table.loc[row.id, "score"], abs=1e-6)


def test_a_finished_run_is_shown_and_not_repeated(finished, corpus_file, capsys, undrawn_figures):
    began = time.monotonic()
    again = finished_options(corpus_file)
    assert run(*again) == finished.data.metrics["dev/eer"]
    assert time.monotonic() - began < 20
    assert len(runs_of("finished")) == 1
    assert "finished before" in capsys.readouterr().out
    run(*again, "rerun=true")
    both = runs_of("finished")
    assert len(both) == 2
    assert both[0].data.metrics["eval/eer"] == both[1].data.metrics["eval/eer"]


def test_a_loss_that_is_not_finite_names_the_utterances(home, corpus_file):
    given = ["dataset=manifest", f"dataset.path={corpus_file}", "experiment_name=nan"]
    with pytest.raises(ValueError, match=r"The training loss is (nan|inf) at epoch 0.*batch: 'u\d+"):
        run(*given, "optimizer.lr=1e38")
    assert runs_of("nan")[0].info.status == "FAILED"


def start(folder, corpus_file, *more):
    """A short run in a process of its own, which works in a folder of its own."""
    return start_dfx(folder, "train", *SMALL, *SHORT, f"dataset.path={corpus_file}", *more)


SHORT = ("dataset=manifest", "model=mlp", "augment=none", "trainer.max_epochs=6", "patience=3")


def statuses(folder):
    return [one.info.status for one in runs_in(folder)]


def numbers(run):
    """Metrics of a run without times and loads of the machine."""
    timed = ("seconds", "latency", "system")
    return {k: v for k, v in run.data.metrics.items() if not any(word in k for word in timed)}


@pytest.mark.slow
def test_a_killed_run_continues_to_the_same_numbers(home, corpus_file, tmp_path):
    run(*SHORT, f"dataset.path={corpus_file}", "experiment_name=whole")
    for epochs in (1, 3):  # once early, once late
        process = start(tmp_path, corpus_file)
        while process.poll() is None and _epochs(tmp_path) < epochs:
            time.sleep(0.05)
        assert process.poll() is None, "the run ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert start(tmp_path, corpus_file).wait(timeout=300) == 0
    (killed,) = runs_in(tmp_path)
    assert (killed.info.status, numbers(killed)) == ("FINISHED", numbers(runs_of("whole")[0]))


def _epochs(folder):
    states = list(folder.glob("mlruns/progress/*/last.ckpt"))
    if not states:
        return 0
    try:
        return int(torch.load(states[0], weights_only=True, map_location="cpu")["epoch"]) + 1
    except (OSError, RuntimeError, EOFError):
        return 0


@pytest.mark.slow
def test_ctrl_c_closes_the_run_as_killed_and_the_same_command_continues(corpus_file, tmp_path):
    # Jobs in the background of a shell ignore Ctrl-C, and so would what they start; a handler is not inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = ("trainer.max_epochs=2000", "patience=2000")
    process = start(tmp_path, corpus_file, *options)
    while process.poll() is None and _epochs(tmp_path) < 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) != 0
    assert statuses(tmp_path) == ["KILLED"]
    reached = _epochs(tmp_path)
    process = start(tmp_path, corpus_file, *options)
    while process.poll() is None and _epochs(tmp_path) <= reached:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert _epochs(tmp_path) > reached
    assert statuses(tmp_path) == ["RUNNING"]


@pytest.mark.slow
def test_two_processes_that_start_at_once_make_one_run(corpus_file, tmp_path):
    both = [start(tmp_path, corpus_file, "trainer.max_epochs=1") for _ in range(2)]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    assert statuses(tmp_path) == ["FINISHED"]
