"""A tracking server that goes away costs no result; a full disk is one sentence at every stage."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import mlflow
import pandas as pd
import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from dfx.tables.manifest import Manifest
from dfx.tracking import runs
from dfx.tracking.place import tracking_error_sentence
from dfx.tracking.run import hand_over_kept_runs, track_run
from dfx.tracking.server import PAUSE_SECONDS, is_out_of_reach
from setups import composed, runs_of

TAGS = {"feature": "lfcc", "model": "mlp", "dataset": "two", "seed": "0"}
ROWS = {"id": ["a", "b"], "path": ["/a.wav", "/b.wav"], "label": [0, 1], "attack": ["A1", "-"], "split": ["eval"] * 2}
TWO = Manifest(pd.DataFrame(ROWS), name="two")
EPOCHS = [{"dev/eer": 0.5, "dev/auc": 0.5}, {"dev/eer": 0.25, "dev/auc": 0.75}]
GONE = MlflowException("API request to http://x failed with exception HTTPConnectionPool: Max retries exceeded")


@pytest.fixture
def remote(home, monkeypatch):
    """The database of the test counts as a server; names of calls in `down` fail as if it was gone."""
    down = set()
    monkeypatch.setattr("dfx.tracking.server.is_out_of_reach", lambda error: not isinstance(error, ZeroDivisionError))
    for name in ("log_batch", "log_artifacts", "set_terminated", "get_metric_history"):
        call = getattr(MlflowClient, name)

        def answer(*arguments, name=name, call=call, **options):
            if name in down or "all" in down:
                raise GONE if name != "log_artifacts" else requests.ConnectionError("gone")
            return call(*arguments, **options)

        monkeypatch.setattr(MlflowClient, name, answer)
    return down


def finish(run):
    run.log_history(EPOCHS)
    run.log_metrics({"dev/eer": 0.25, "eval/eer": 0.5})
    (run.artifacts / "metrics.json").write_text("{}")
    run.log_artifacts()


@pytest.mark.parametrize("call", ["log_batch", "log_artifacts", "set_terminated", "all"])
def test_what_the_server_missed_is_handed_over_at_the_next_start(call, remote, capsys):
    cfg = composed("model=mlp", "feature=lfcc", f"experiment_name=gone-{call}")
    with track_run(cfg, call * 8, TWO, TAGS) as run:
        remote.add(call)
        finish(run)
    assert "is out of reach" in (shown := capsys.readouterr().err)
    assert "The run is complete, and stands in" in shown
    assert shown.count("is out of reach") == 1
    assert runs_of(f"gone-{call}")[0].info.status != "FINISHED"
    hand_over_kept_runs()  # still gone
    assert run.folder.is_dir()
    remote.clear()
    with track_run(cfg, call * 8, TWO, TAGS) as again:
        assert again.finished
        assert again.metrics["eval/eer"] == 0.5
    assert "Handed over to" in capsys.readouterr().err
    (kept,) = runs_of(f"gone-{call}")
    history = MlflowClient().get_metric_history(kept.info.run_id, "epoch/dev/eer")
    assert [point.value for point in history] == [0.5, 0.25]
    assert {entry.path for entry in MlflowClient().list_artifacts(kept.info.run_id)} >= {"config.yaml", "metrics.json"}
    assert not run.folder.exists()


def test_a_run_trains_on_and_logs_what_was_missed_when_the_server_is_back(remote, monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("dfx.tracking.server.time.monotonic", lambda: now[0])
    cfg = composed("model=mlp", "feature=lfcc", "experiment_name=back")
    with track_run(cfg, "b" * 64, TWO, TAGS) as run:
        remote.add("all")
        run.log_history(EPOCHS[:1])
        remote.clear()
        run.log_history(EPOCHS[:1])  # too early for another attempt
        assert not MlflowClient().get_metric_history(run.run_id, "epoch/dev/eer")
        now[0] += PAUSE_SECONDS
        run.log_history(EPOCHS)
        finish(run)
    shown = capsys.readouterr().err
    assert "is back, and has all epochs" in shown
    assert runs_of("back")[0].info.status == "FINISHED"
    assert not run.folder.exists()


def test_an_error_in_training_is_not_hidden_by_a_server_that_is_gone(remote):
    cfg = composed("model=mlp", "feature=lfcc", "experiment_name=error")

    def work():
        with track_run(cfg, "e" * 64, TWO, TAGS):
            remote.add("all")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()


def test_only_a_remote_server_can_be_out_of_reach(home, monkeypatch):
    assert not is_out_of_reach(GONE)
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "http://127.0.0.1:5000")
    assert is_out_of_reach(GONE)
    assert is_out_of_reach(requests.ConnectionError("gone"))
    assert not is_out_of_reach(MlflowException("bad name", error_code=1000))  # INVALID_PARAMETER_VALUE
    assert "http://127.0.0.1:5000 does not answer" in tracking_error_sentence(GONE)


def test_a_server_that_is_gone_is_no_missing_run_model_or_wrong_filter(home, monkeypatch):
    def gone(*_, **__):
        raise GONE

    for name in ("get_run", "get_model_version_by_alias"):
        monkeypatch.setattr(MlflowClient, name, gone)
    monkeypatch.setattr(mlflow, "search_runs", gone)
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "http://127.0.0.1:5000")
    for ask in (runs.find_runs, lambda: runs.get_run("a"), lambda: runs.get_model("models:/dfx@champion")):
        with pytest.raises(ValueError, match=r"The tracking server http://127.0.0.1:5000 does not answer"):
            ask()


def test_errors_of_the_database_name_it(home):
    full = MlflowException("(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT INTO x]")
    text = tracking_error_sentence(full)
    assert text.startswith(f"MLflow's database {home}/mlflow.db cannot be read or written (database or disk is full).")
    assert tracking_error_sentence(MlflowException("something else")) == ""
    hand_over_kept_runs()  # nothing is kept


def test_an_error_of_the_database_is_not_printed_as_a_trace_too(home, caplog, capfd):
    client = MlflowClient(f"sqlite:///file:{home}/mlflow.db?mode=ro&uri=true")
    with pytest.raises(MlflowException, match="readonly") as caught:
        client.create_experiment("x")
    assert "Traceback" not in caplog.text + capfd.readouterr().err
    assert "cannot be read or written (attempt to write a readonly database)" in tracking_error_sentence(caught.value)


def started(folder, port):
    """An MLflow server on a database and artifacts below the folder, once it answers."""
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    ]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "kept")]
    server = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    for _ in range(240):
        time.sleep(0.5)
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health")
        except OSError:
            continue
        return server
    raise AssertionError("the server does not start")


def kill(server):
    with contextlib.suppress(ProcessLookupError):  # killed before
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["mlruns/progress/*/last.ckpt", "kept/**/artifacts/*"])
def test_a_server_that_is_killed_gets_the_run_at_the_next_start(moment, corpus_file, tmp_path):
    # In training, after its first epoch; and in the midst of the artifacts.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*(sys.executable, "-m", "dfx", "train", "dataset=manifest", f"dataset.path={corpus_file}", "model=mlp")]
    command += ["feature=lfcc", "trainer.max_epochs=6", "patience=6", "segment_seconds=0.5"]
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}", "DFX_CACHE": str(tmp_path / "cache")}
    environment["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
    server = started(tmp_path, port)
    try:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        while not list(tmp_path.glob(moment)) and process.poll() is None:
            time.sleep(0.01)
        kill(server)
        shown = process.communicate(timeout=600)[0]
        assert process.returncode == 0, shown
        assert "The run is complete, and stands in" in shown
        assert "Traceback" not in shown
        gone = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert re.search(r"Error: The tracking server \S+ does not answer .* what is finished is kept", gone.stderr)
        assert "Traceback" not in gone.stderr
        server = started(tmp_path, port)
        again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        assert "Handed over to" in again.stderr
        assert "finished before" in again.stdout
    finally:
        kill(server)
    client = MlflowClient(f"sqlite:///{tmp_path}/server.db")
    (run,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
    assert run.info.status == "FINISHED"
    assert len(client.get_metric_history(run.info.run_id, "epoch/dev/eer")) == 6
    assert list((tmp_path / "kept").rglob("best.ckpt"))


@pytest.mark.slow
@pytest.mark.parametrize("kib", [40, 300, 600, 900, 1400])
def test_a_file_that_cannot_grow_is_one_sentence_at_every_stage(kib, corpus_file, tmp_path):
    # The store, MLflow's database and the checkpoints reach the limit one after another.
    options = f"dataset=manifest dataset.path={corpus_file} model=lcnn_light feature=lfcc trainer.max_epochs=1"
    environment = os.environ | {"DFX_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f {kib}; exec {sys.executable} -m dfx train {options}"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode:
        assert re.search(r"^Error: .*(larger than the system allows|database .* cannot be)", done.stderr, re.MULTILINE)
