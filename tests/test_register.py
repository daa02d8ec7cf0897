"""python -m dfx.register: versions, the champion, roll back, the choice of dev, the model card, the real server."""

import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import pytest
import torch
from mlflow.tracking import MlflowClient

import dfx
from dfx.register import main, register
from dfx.tracking import audits
from setups import artifacts, composed, train_run, type_command

LEARNS = ("model=mlp", "feature=lfcc", "trainer.max_epochs=20", "optimizer.lr=0.01")


def registered(*arguments):
    return register(composed(*arguments, command="register"))


@pytest.fixture(scope="module")
def run(corpus, home, undrawn_figures):
    return train_run("registered", corpus, home, *LEARNS)


@pytest.fixture(scope="module")
def other(corpus, home, undrawn_figures):
    """A run without a model: register logs it."""
    return train_run("other", corpus, home, "model=mlp", "feature=lfcc", "log_model=false")


@pytest.fixture(scope="module")
def champion(run, corpus, home):
    headline = {"auc": 0.8, "low": 0.7, "high": 0.9, "text": "A model that never listens has AUC 0.80."}
    finding = {"kind": "leaked", "severity": "error", "text": "Recordings of train are in eval."}
    audits.keep_audit({"headline": headline, "findings": [finding]}, corpus, "files")
    return registered(f"model=runs:/{run.info.run_id}", "alias=champion", "licence=CC-BY-4.0")


@pytest.mark.slow
def test_a_version_has_alias_hashes_and_card(champion, run):
    version = MlflowClient().get_model_version_by_alias("dfx", "champion")
    assert champion == f"models:/dfx/{version.version}"
    assert version.run_id == run.info.run_id
    assert version.tags["sha256.best.ckpt"] == run.data.tags["sha256.best.ckpt"]
    assert set(version.tags) >= {"sha256.model.pt2", "config_hash", "manifest_hash", "feature"}
    for words in (
        "Model card: lfcc-mlp-registered-s0",
        "CC-BY-4.0",
        "A2",
        "leaked",
        "AUC 0.80",
        "one corpus and one seed",
    ):
        assert words in version.description
    card = Path(mlflow.artifacts.download_artifacts(f"{champion}/model_card.md")).read_text()
    assert card.startswith(version.description[:1000])
    assert f"{run.data.metrics['eval/eer']:.2%}".replace("%", " %") in card
    assert "| train | 8 | 8 |" in card


@pytest.mark.slow
def test_the_same_run_is_registered_once(champion, run):
    assert registered(f"model=runs:/{run.info.run_id}") == champion
    assert registered(f"model={artifacts(run) / 'checkpoint' / 'best.ckpt'}") == champion
    assert registered("model=models:/dfx@champion") == champion


@pytest.mark.slow
def test_the_program_gives_the_scores(champion, corpus, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    import mlflow.pytorch

    program = mlflow.pytorch.load_model(champion)
    network = dfx.load(champion).network
    waveforms = 0.1 * torch.randn(3, 8000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(
            program(waveforms), network.score_batch({"waveform": waveforms}), atol=1e-5, rtol=1e-4
        )


@pytest.mark.slow
def test_an_alias_moves_to_a_new_version_and_back(champion, other, capsys):
    second = registered(f"model=runs:/{other.info.run_id}", "alias=champion")
    shown = capsys.readouterr().out
    assert "champion   models:/dfx@champion is version 2 now; before it was models:/dfx/1 (lfcc-mlp-registered" in shown
    assert "roll back  python -m dfx.register models:/dfx/1 alias=champion" in shown
    assert dfx.load("models:/dfx@champion").name == "lfcc-mlp-other-s0"
    assert registered(f"model={champion}", "alias=champion") == champion != second
    assert dfx.load("models:/dfx@champion").name == "lfcc-mlp-registered-s0"


@pytest.mark.slow
def test_a_sweep_registers_the_cell_that_dev_chose(home, corpus, undrawn_figures, capsys):
    """Never the one that is best on eval."""
    client = MlflowClient()
    experiment = client.create_experiment("sweep")
    axes = {"model": ["a", "b"], "seed": ["0"]}
    parent = client.create_run(experiment, tags={"kind": "sweep", "axes": json.dumps(axes)}, run_name="sweep of two")
    client.set_terminated(parent.info.run_id, "RUNNING")
    chosen = train_run("cell", corpus, home, "model=mlp", "feature=lfcc", "seed=3", "log_model=false")
    best_on_eval = client.create_run(
        experiment, tags={"config_hash": "0", f"sweep.{parent.info.run_id}": "model=b seed=0"}
    )
    client.set_tag(chosen.info.run_id, f"sweep.{parent.info.run_id}", "model=a seed=0")
    client.log_metric(best_on_eval.info.run_id, "dev/eer", 1.1)
    client.log_metric(best_on_eval.info.run_id, "eval/eer", 0.0)
    client.set_terminated(best_on_eval.info.run_id)
    place = f"model=runs:/{parent.info.run_id}"
    with pytest.raises(ValueError, match="sweep of two is not finished, its status is RUNNING"):
        registered(place, "name=swept")
    client.set_terminated(parent.info.run_id, "FINISHED")
    assert registered(place, "name=swept") == "models:/swept/1"
    assert client.get_model_version("swept", "1").run_id == chosen.info.run_id
    assert "dev chose a, mean EER on dev" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "There is no detector to register"),
        (["runs:/0123"], "There is no run '0123'"),
        (["runs:/{unfinished}"], "is not finished, its status is FAILED: repeat its command"),
        (["models:/dfx/99", "alias=champion"], "There is no model 'models:/dfx/99'"),
        (["{foreign}"], "is the checkpoint of no run in this MLflow"),
        (["runs:/{run}", "alias=v1"], "alias=v1: use letters, digits"),
        (["runs:/{run}", "name=a/b"], "name=a/b: the name of a registered model"),
        (["runs:/{run}", "runs:/{run}"], "One detector is registered at a time"),
    ],
)
def test_what_cannot_be_registered_is_explained(arguments, sentence, champion, run, home, tmp_path):
    client = MlflowClient()
    unfinished = client.create_run("0", tags={"config_hash": "1"}, run_name="half").info.run_id
    client.set_terminated(unfinished, "FAILED")
    (tmp_path / "foreign.ckpt").write_bytes(b"1")
    places = {"run": run.info.run_id, "unfinished": unfinished, "foreign": tmp_path / "foreign.ckpt"}
    code = type_command(main, *(one.format(**places) for one in arguments))
    assert sentence in str(code)


@pytest.mark.slow
def test_a_changed_model_is_not_registered(champion, run):
    folder = Path(MlflowClient().get_model_version_download_uri("dfx", champion.rpartition("/")[2]))
    file = folder / "data" / "model.pt2"
    kept = file.read_bytes()
    file.write_bytes(kept[:-1])
    try:
        for place in (champion, f"runs:/{run.info.run_id}"):
            with pytest.raises(ValueError, match=r"model.pt2 was changed or damaged"):
                registered(f"model={place}", "alias=champion")
    finally:
        file.write_bytes(kept)


@pytest.mark.slow
def test_a_version_that_mlflow_registered_is_checked_and_gets_a_card_of_its_own(champion, run):
    """As with the button in the UI: such a version has no hashes of its own."""
    source = MlflowClient().get_model_version("dfx", champion.rpartition("/")[2]).source
    made = mlflow.register_model(source, "by_hand")
    program = Path(MlflowClient().get_model_version_download_uri("by_hand", made.version)) / "data" / "model.pt2"
    kept = program.read_bytes()
    program.write_bytes(kept[:-1])
    try:
        with pytest.raises(ValueError, match=r"model.pt2 was changed or damaged"):
            dfx.load(f"models:/by_hand/{made.version}")
    finally:
        program.write_bytes(kept)
    place = registered(f"model=runs:/{run.info.run_id}", "name=by_hand")
    assert place != f"models:/by_hand/{made.version}"
    assert "Model card" in MlflowClient().get_model_version("by_hand", place.rpartition("/")[2]).description
    assert dfx.load(champion).name == dfx.load(place).name  # the program was not written again


@pytest.mark.slow
def test_the_server_answers_paths_and_base64(champion, corpus, home):
    """The real server of MLflow on loopback, asked as curl would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(), "OMP_NUM_THREADS": "1"}
    environment |= {
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        "models:/dfx@champion",
        "--env-manager",
        "local",
    ]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)], env=environment, cwd=home, start_new_session=True
    )
    try:
        path = corpus.table["path"][0]
        coded = base64.b64encode(Path(path).read_bytes()).decode()
        body = json.dumps({"dataframe_split": {"columns": ["audio"], "data": [[path], [coded]]}}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
        )
        answers = _answer(request, server)
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
    expected = dfx.load("models:/dfx@champion").score(path)
    assert [one["plain_score"] for one in answers["predictions"]] == pytest.approx([expected] * 2, abs=1e-6)
    assert answers["predictions"][0]["prediction"] in ("REAL", "FAKE", "UNSURE")


def _answer(request, server):
    for _ in range(300):
        assert server.poll() is None
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error
        except OSError:
            time.sleep(1)
    raise AssertionError("the server did not start")
