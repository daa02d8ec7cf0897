"""Reading runs, histories and artifacts from MLflow, without writing anything."""

import json
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Metric, RunTag
from mlflow.tracking import MlflowClient

from dfx.tracking import runs


@pytest.fixture(scope="module")
def kept(home):
    """Two sweeps over three cells, of which both have the second; run ids by name."""
    client = MlflowClient()
    experiment = client.create_experiment("grid", str(home / "files"))
    ids = {}
    for start, name in enumerate(("first", "second"), 1):
        tags = {"kind": "sweep", "axes": json.dumps({"feature": ["lfcc"]})}
        run = client.create_run(experiment, start_time=start, tags=tags, run_name=name)
        ids[name] = run.info.run_id
    for number, of in enumerate((["first"], ["first", "second"], ["second"])):
        tags = {f"sweep.{ids[name]}": f"seed={number}" for name in of} | {"seed": str(number)}
        run = client.create_run(experiment, start_time=10 + number, tags=tags, run_name=f"cell{number}")
        ids[f"cell{number}"] = run.info.run_id
        client.set_terminated(run.info.run_id, "FINISHED")
    return ids


def names(found):
    return [run.name for run in found]


def test_a_sweep_has_its_cells_also_those_that_an_earlier_one_ran(kept):
    assert names(runs.find_sweep_runs("grid")) == ["second", "first"]
    assert names(runs.find_runs(sweep=kept["first"])) == ["cell1", "cell0"]
    assert names(runs.find_runs("grid", kept["second"], "tags.seed = '1'")) == ["cell1"]


def test_runs_are_found_by_experiment_and_filter(kept):
    assert names(runs.find_runs("grid")) == ["cell2", "cell1", "cell0", "second", "first"]
    assert names(runs.find_runs(query="tags.seed = '0'")) == ["cell0"]
    assert runs.find_runs("no such experiment") == []


def test_an_id_or_a_filter_that_mlflow_refuses_is_a_sentence(kept):
    with pytest.raises(ValueError, match=r"There is no run 'nope' in sqlite:.*MLFLOW_TRACKING_URI"):
        runs.get_run("nope")
    with pytest.raises(ValueError, match=r"cannot search with the filter 'tags.x =' .*: write it as in"):
        runs.find_runs("grid", query="tags.x =")


def test_no_database_is_made_by_looking(tmp_path, home):
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/none.db")
    try:
        assert runs.find_runs() == []
        assert runs.find_sweep_runs() == []
    finally:
        mlflow.set_tracking_uri(before)
    assert not (tmp_path / "none.db").exists()


def test_an_artifact_is_a_local_file_or_none(kept, home):
    run = runs.get_run(kept["cell0"])
    file = Path(run.artifact_uri) / "scores" / "eval.csv"
    file.parent.mkdir(parents=True)
    file.write_text("id\n", encoding="utf-8")
    assert runs.run_artifact(run, "scores/eval.csv") == file == runs.run_artifact(kept["cell0"], "scores/eval.csv")
    assert runs.run_artifact(run, "scores/dev.csv") is None


def test_a_remote_artifact_is_fetched_once_into_each_cache(kept, home, tmp_path, monkeypatch):
    fetched = []

    def download(self, run_id, path, folder):
        fetched.append(path)
        target = Path(folder, path)
        target.parent.mkdir(parents=True)
        target.write_text("id\n", encoding="utf-8")
        return str(target)

    class Entry:
        path = "scores/eval.csv"

    monkeypatch.setattr(MlflowClient, "download_artifacts", download)
    monkeypatch.setattr(MlflowClient, "list_artifacts", lambda self, run_id, folder: [Entry])
    record = runs.get_run(kept["cell2"])
    remote = runs.RunRecord(**{**vars(record), "artifact_uri": "s3://bucket/run/artifacts"})
    for _ in range(2):
        path = runs.run_artifact(remote, "scores/eval.csv")
        assert path.read_text(encoding="utf-8") == "id\n"
    assert fetched == ["scores/eval.csv"]
    assert runs.run_artifact(remote, "scores/dev.csv") is None
    elsewhere = runs.run_artifact(remote, "scores/eval.csv", tmp_path)
    assert elsewhere == tmp_path / "artifacts" / remote.run_id / "scores" / "eval.csv"
    assert elsewhere.exists()


def test_a_remote_model_is_fetched_into_the_given_cache(home, tmp_path, monkeypatch):
    MlflowClient().create_registered_model("far")
    MlflowClient().create_model_version("far", "s3://bucket/model")

    def download(source, dst_path):
        Path(dst_path, "best.ckpt").touch()
        return dst_path

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", download)
    model = runs.get_model("models:/far/1", tmp_path)
    assert model.files == (tmp_path / "artifacts" / "models" / "far" / "1" / "best.ckpt",)
    assert model.run is None


def test_a_history_has_one_value_a_step(kept):
    run_id = kept["cell1"]
    points = [Metric("epoch/dev/eer", value, 5, step) for step, value in ((1, 0.2), (0, 0.4), (2, 0.1))]
    MlflowClient().log_batch(run_id, metrics=points, tags=[RunTag("seed", "1")])
    assert runs.run_metric_history(run_id, "epoch/dev/eer") == [(0, 0.4), (1, 0.2), (2, 0.1)]
