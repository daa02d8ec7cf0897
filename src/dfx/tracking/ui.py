"""What MLflow's UI shows first: descriptions of runs, and a shared view (columns, order, charts) of the experiment.

The UI keeps a shared view in a tag of the experiment, `mlflow.sharedViewState.KEY`: JSON whose `state` is compressed.
The names inside are those of the UI of MLflow 3.17.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zlib
from typing import Any

from mlflow.entities import RunTag
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from dfx.tracking.database import create_lock, defer_interrupts, now_ms
from dfx.tracking.place import VARIABLE

MAX_TEXT = 5000  # characters of a tag, MLflow's limit
WRITTEN = "mlflow.note.sha256"  # tag: hash of the description that dfx wrote; the UI hides tags of `mlflow.`
PREFIX = "mlflow.sharedViewState."  # of the tag
NAME = "dfx: EER and AUC"  # in the UI's menu of views
OPTIONS = ("feature", "model", "seed")  # columns
RESULTS = ("dev/eer", "eval/eer", "eval/auc")  # columns, and the first charts
CURVES = ("epoch/dev/eer", "epoch/dev/auc", "epoch/train/loss", "epoch/dev/loss")
LOCAL_ADDRESS = "http://127.0.0.1:5000"  # of `mlflow ui`


def set_run_description(run_id: str, text: str) -> None:
    """Set the description of a run, in Markdown; a description that a user has written or changed stays."""
    text = text if len(text) <= MAX_TEXT else text[: text.rfind("\n", 0, MAX_TEXT)]
    client = MlflowClient()
    tags = client.get_run(run_id).data.tags
    held = tags.get(MLFLOW_RUN_NOTE, "")
    if held != text and (not held or _text_hash(held) == tags.get(WRITTEN)):
        with defer_interrupts():
            client.log_batch(run_id, tags=[RunTag(MLFLOW_RUN_NOTE, text), RunTag(WRITTEN, _text_hash(text))])


def _text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def add_shared_view(experiment_id: str) -> None:
    """Store the view with an experiment that does not have it; a view that a user has changed stays."""
    tag = f"{PREFIX}{_view_key(experiment_id)}"
    client = MlflowClient()
    if tag in client.get_experiment(experiment_id).tags:
        return
    state = base64.b64encode(zlib.compress(json.dumps(_view_state()).encode(), 9)).decode()
    view = {"name": NAME, "createdAt": now_ms(), "updatedAt": now_ms(), "state": f"deflate;{state}"}
    with create_lock(), defer_interrupts():
        client.set_experiment_tag(experiment_id, tag, json.dumps(view))


def shared_view_link(run_id: str) -> str:
    """Return the web address of the view that lists the experiment of a run."""
    experiment_id = MlflowClient().get_run(run_id).info.experiment_id
    address = os.environ.get(VARIABLE, "")
    server = address.rstrip("/") if address.startswith("http") else LOCAL_ADDRESS
    # The last word switches the UI's sidebar from language models to "Model training".
    view = f"viewStateShareKey={_view_key(experiment_id)}&workflowType=machine_learning"
    return f"{server}/#/experiments/{experiment_id}/runs?{view}"


def _view_key(experiment_id: str) -> str:
    return _text_hash(f"dfx {experiment_id}")[:16]


def _view_state() -> dict[str, Any]:
    """Make the state of the UI: keys and values as the UI itself writes them."""
    results = [_chart("BAR", metric, "Results") for metric in RESULTS]
    curves = [_chart("LINE", metric, "Epochs") for metric in CURVES]
    return {
        "orderByKey": f"metrics.`{RESULTS[0]}`",
        "orderByAsc": True,
        "selectedColumns": [*(f"params.`{key}`" for key in OPTIONS), *(f"metrics.`{key}`" for key in RESULTS)],
        "runsHiddenMode": "FIRST_20_RUNS",
        "isAccordionReordered": True,  # else the sections that the UI makes come first
        "compareRunSections": [
            {"uuid": name, "name": name, "display": True, "isReordered": True, "deleted": False, "isGenerated": False}
            for name in ("Results", "Epochs")
        ],
        "compareRunCharts": [*results, *curves],
    }


def _chart(kind: str, metric: str, section: str) -> dict[str, Any]:
    chart: dict[str, Any] = {"type": kind, "uuid": metric, "metricSectionId": section, "metricKey": metric}
    chart |= {"deleted": False, "isGenerated": False}
    if kind == "LINE":
        chart |= {"xAxisKey": "step", "xAxisScaleType": "linear", "scaleType": "linear", "lineSmoothness": 0}
        chart |= {"yAxisKey": "metric", "range": {}, "useGlobalXaxisKey": True, "useGlobalLineSmoothing": True}
    return chart
