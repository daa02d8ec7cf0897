"""The model that a run logs: MLflow opens it through dfx, it answers as dfx.load does, and a changed one is refused."""

import base64
import json
import shutil
import warnings
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import torch
import yaml
from mlflow.tracking import MlflowClient

import dfx
from dfx.detector.answers import ThresholdChoice, decision_rule
from dfx.detector.file_detection import detect_files
from dfx.tracking import registry
from setups import artifacts, train_run

LEARNS = ("model=mlp", "feature=lfcc", "trainer.max_epochs=20", "optimizer.lr=0.01")


@pytest.fixture(scope="module")
def run(corpus, home, undrawn_figures):
    return train_run("served", corpus, home, *LEARNS)


@pytest.fixture(scope="module")
def model_id(run):
    (model,) = MlflowClient().get_run(run.info.run_id).outputs.model_outputs
    return model.model_id


def model_folder(model_id):
    return Path(MlflowClient().get_logged_model(model_id).artifact_location.removeprefix("file://"))


@pytest.fixture
def changed(model_id):
    """The files of the model, which are as before after the test."""
    folder = model_folder(model_id)
    shutil.copytree(folder, folder.with_name("kept"))
    yield folder
    shutil.rmtree(folder)
    folder.with_name("kept").rename(folder)


@pytest.fixture
def never_run(tmp_path):
    """A pickle, and a Python module, that leave a file behind if they are executed."""
    mark = tmp_path / "executed"
    payload = {"state_dict": {}, "x": Mark(str(mark))}
    torch.save(payload, tmp_path / "hostile.ckpt")
    (tmp_path / "hostile_loader.py").write_text(f"open({str(mark)!r}, 'w')\n")
    yield tmp_path
    assert not mark.exists()


class Mark:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def load_served(place):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, when it is imported
        return mlflow.pyfunc.load_model(place)


def base64_of(path):
    return base64.b64encode(Path(path).read_bytes()).decode()


def test_a_run_has_a_model_with_its_metrics(run, model_id):
    logged = MlflowClient().get_logged_model(model_id)
    assert logged.status == "READY"
    assert logged.source_run_id == run.info.run_id
    assert {metric.key: metric.value for metric in logged.metrics}["eval/eer"] == run.data.metrics["eval/eer"]
    assert logged.params["feature"] == "lfcc"
    assert len(MlflowClient().get_metric_history(run.info.run_id, "eval/eer")) == 1
    assert logged.tags["sha256.best.ckpt"] == run.data.tags["sha256.best.ckpt"]
    assert registry.log_model(run.info.run_id, artifacts(run) / "checkpoint" / "best.ckpt") == model_id
    signature = mlflow.models.get_model_info(f"models:/{model_id}").signature
    assert signature.inputs.input_names() == ["audio"]
    assert "fake_probability" in signature.outputs.input_names()


def test_the_model_holds_data_only(model_id):
    folder = model_folder(model_id)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {"MLmodel", "input_example.json", "serving_input_example.json", "data/best.ckpt"}
    flavours = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]
    assert list(flavours) == ["python_function"]
    assert flavours["python_function"]["loader_module"] == "dfx.detector.serving"


@pytest.mark.slow
def test_paths_and_base64_have_the_scores_of_dfx_load(model_id, corpus, home, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")  # nothing in the model is a pickle
    paths = corpus.table["path"].head(3).tolist()
    coded = base64_of(paths[1])
    served = load_served(f"models:/{model_id}")
    given = [
        *paths,
        coded,
        f"data:audio/wav;base64,{coded}",
        "no such file.wav",
        base64.b64encode(b"words").decode(),
        "",
    ]
    answers = served.predict(pd.DataFrame({"audio": given}))
    detector = dfx.load(f"models:/{model_id}")
    expected = [detector.score(path) for path in paths]
    assert answers["plain_score"][:5].tolist() == pytest.approx([*expected, expected[1], expected[1]], abs=1e-6)
    assert answers["fake_probability"][3] == pytest.approx(answers["fake_probability"][1], abs=1e-6)
    assert set(answers["prediction"][:5]) <= {"REAL", "FAKE", "UNSURE"}
    assert answers["error"][:5].isna().all()
    assert "neither the path of a file on this machine nor the base64" in answers["error"][5]
    assert "no decoder recognises it" in answers["error"][6]
    assert answers["error"][7]
    assert answers["score"][5:].isna().all()
    assert not list((home / "cache" / "served").glob("*"))  # no audio is kept
    assert not (home / "cache" / "detections").exists()  # and no scores of it
    rule = decision_rule([detector.card], ThresholdChoice(), detector.name)
    detected = list(detect_files([detector], rule, paths))
    assert answers["score"][:3].tolist() == pytest.approx([one.score for one in detected], abs=1e-6)
    assert answers["prediction"][:3].tolist() == [one.prediction for one in detected]


def test_the_example_is_scored(model_id):
    served = load_served(f"models:/{model_id}")
    example = json.loads((model_folder(model_id) / "serving_input_example.json").read_text())["dataframe_split"]
    (answer,) = served.predict(pd.DataFrame(**example)).to_dict("records")
    assert answer["duration_seconds"] == 0.5
    assert answer["error"] is None


def test_a_changed_checkpoint_is_refused(changed, model_id):
    file = changed / "data" / "best.ckpt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"best.ckpt was changed or damaged after .* was logged: its SHA-256 is"):
        dfx.load(f"models:/{model_id}")
    with pytest.raises(ValueError, match="is not the checkpoint whose SHA-256 stands in MLmodel"):
        load_served(str(changed))


def test_a_changed_checkpoint_of_a_run_is_refused(run, tmp_path):
    file = artifacts(run) / "checkpoint" / "best.ckpt"
    kept = file.read_bytes()
    file.write_bytes(kept + b" ")
    try:
        with pytest.raises(ValueError, match=r"was changed or damaged after runs:/.* was logged"):
            dfx.load(f"runs:/{run.info.run_id}")
    finally:
        file.write_bytes(kept)


def test_a_hostile_checkpoint_is_refused(changed, model_id, never_run):
    shutil.copy(never_run / "hostile.ckpt", changed / "data" / "best.ckpt")
    with pytest.raises(ValueError, match="was changed or damaged"):
        dfx.load(f"models:/{model_id}")
    description = yaml.safe_load((changed / "MLmodel").read_text())
    description["metadata"] = {"sha256.best.ckpt": registry.file_digest(changed / "data" / "best.ckpt")}
    (changed / "MLmodel").write_text(yaml.safe_dump(description))  # who changes the one file can change the other
    with pytest.raises(ValueError, match="is no checkpoint"):
        load_served(str(changed))


@pytest.mark.parametrize(
    ("flavour", "keys", "sentence"),
    [
        ("python_function", {"loader_module": "hostile_loader"}, "loader_module is 'hostile_loader'"),
        ("python_function", {"code": "code"}, "code is 'code'"),
        ("python_function", {"model_code_path": "hostile_loader.py"}, "model_code_path"),
        ("pytorch", {"model_data": "data", "serialization_format": "pickle"}, "serialization_format is 'pickle'"),
        ("sklearn", {"pickled_model": "model.pkl"}, "flavour 'sklearn'"),
    ],
)
def test_a_hostile_description_is_refused(flavour, keys, sentence, changed, model_id, never_run):
    description = yaml.safe_load((changed / "MLmodel").read_text())
    description["flavors"].setdefault(flavour, {}).update(keys)
    (changed / "MLmodel").write_text(yaml.safe_dump(description))
    with pytest.raises(ValueError, match=rf"is not the description that dfx wrote \(.*{sentence}"):
        dfx.load(f"models:/{model_id}")


@pytest.mark.parametrize("name", ["data/model.pth", "python_model.pkl", "code/hostile_loader.py"])
def test_a_model_with_files_of_others_is_refused(name, changed, model_id, never_run):
    (changed / name).parent.mkdir(exist_ok=True)
    shutil.copy(never_run / "hostile.ckpt", changed / name)
    with pytest.raises(ValueError, match=f"holds files that dfx does not write .*{name}"):
        dfx.load(f"models:/{model_id}")


def test_a_model_that_cannot_be_logged_costs_the_run_nothing(corpus, home, undrawn_figures, monkeypatch, capsys):
    def refuse(*_):
        raise OSError("no room for models")

    monkeypatch.setattr(registry, "_write_description", refuse)
    run = train_run("no_model", corpus, home, "model=mlp", "feature=lfcc")
    assert run.info.status == "FINISHED"
    assert "is finished, but has no model in MLflow (no room for models)" in capsys.readouterr().err
    assert dfx.load(f"runs:/{run.info.run_id}").score(corpus.table["path"][0]) < 100


def test_log_model_false_logs_none_and_does_not_change_the_run(corpus, home, undrawn_figures, run):
    again = train_run("served", corpus, home, *LEARNS, "log_model=false")
    assert again.info.run_id == run.info.run_id
    other = train_run("without", corpus, home, "model=mlp", "feature=lfcc", "log_model=false")
    assert not MlflowClient().get_run(other.info.run_id).outputs.model_outputs
