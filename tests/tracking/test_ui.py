"""What MLflow's UI shows first: a view of the experiment, and descriptions that leave a user's own alone."""

import base64
import json
import zlib

import pytest
from mlflow.tracking import MlflowClient

from dfx.tracking import ui

NOTE = "mlflow.note.content"


@pytest.fixture
def run_id(home):
    client = MlflowClient()
    known = client.get_experiment_by_name("ui")
    return client.create_run(known.experiment_id if known else client.create_experiment("ui")).info.run_id


def description(run_id):
    return MlflowClient().get_run(run_id).data.tags.get(NOTE)


def test_a_description_is_renewed_until_a_user_changes_it(run_id):
    ui.set_run_description(run_id, "first")
    ui.set_run_description(run_id, "second")
    assert description(run_id) == "second"
    MlflowClient().set_tag(run_id, NOTE, "my own words")
    ui.set_run_description(run_id, "third")
    assert description(run_id) == "my own words"


def test_a_long_description_ends_with_a_whole_line(run_id):
    ui.set_run_description(run_id, "| a | b |\n" * 1000)
    assert len(description(run_id)) < 5000
    assert description(run_id).endswith("| a | b |")


def test_the_view_is_stored_once_and_a_changed_one_stays(run_id, monkeypatch):
    client = MlflowClient()
    experiment_id = client.get_experiment_by_name("ui").experiment_id
    ui.add_shared_view(experiment_id)
    (tag,) = [key for key in client.get_experiment(experiment_id).tags if key.startswith("mlflow.sharedViewState.")]
    view = json.loads(client.get_experiment(experiment_id).tags[tag])
    state = json.loads(zlib.decompress(base64.b64decode(view["state"].removeprefix("deflate;"))))
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`dev/eer`", True)
    assert state["selectedColumns"][:2] == ["params.`feature`", "params.`model`"]
    assert {chart["metricKey"] for chart in state["compareRunCharts"] if chart["type"] == "LINE"} > {"epoch/dev/eer"}
    sections = {section["uuid"] for section in state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == sections
    client.set_experiment_tag(experiment_id, tag, "changed")
    ui.add_shared_view(experiment_id)
    assert client.get_experiment(experiment_id).tags[tag] == "changed"
    key = tag.removeprefix("mlflow.sharedViewState.")
    link = f"/#/experiments/{experiment_id}/runs?viewStateShareKey={key}&workflowType=machine_learning"
    assert ui.shared_view_link(run_id) == f"http://127.0.0.1:5000{link}"
