"""A run in MLflow stays complete when Ctrl-C comes during a write."""

import os
import signal

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from dfx.tables.manifest import Manifest
from dfx.tracking.run import track_run
from setups import composed, runs_of

TAGS = {"feature": "lfcc", "model": "mlp", "dataset": "two", "seed": "0"}
TWO = Manifest(
    pd.DataFrame(
        {"id": ["a", "b"], "path": ["/a.wav", "/b.wav"], "label": [0, 1], "attack": ["A1", "-"], "split": ["eval"] * 2}
    ),
    name="two",
)


@pytest.fixture(autouse=True)
def minds_ctrl_c():
    """A job in the background of a shell ignores it."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


def configuration(name):
    return composed("model=mlp", "feature=lfcc", f"experiment_name={name}")


@pytest.mark.parametrize(
    ("call", "status", "epochs"),
    [("create_run", "KILLED", 0), ("log_batch", "KILLED", 1), ("set_terminated", "FINISHED", 1)],
)
def test_ctrl_c_in_the_midst_of_a_write_waits_until_it_is_whole(call, status, epochs, home, monkeypatch):
    # Otherwise the open transaction locks the database, and the run stays RUNNING for ever; or, in the first write,
    # MLflow closes it as FINISHED at exit.
    write = getattr(MlflowClient, call)

    def interrupted(*arguments, **options):
        monkeypatch.setattr(MlflowClient, call, write)
        os.kill(os.getpid(), signal.SIGINT)
        return write(*arguments, **options)

    def work():
        if call == "create_run":
            monkeypatch.setattr(MlflowClient, call, interrupted)
        with track_run(configuration(call), "0" * 64, TWO, TAGS) as run:
            monkeypatch.setattr(MlflowClient, call, interrupted)
            run.log_history([{"dev/eer": 0.25, "dev/auc": 0.5}])

    with pytest.raises(KeyboardInterrupt):
        work()
    (kept,) = runs_of(call)
    assert kept.info.status == status
    assert kept.data.params["model"] == "mlp"
    for name in ("epoch/dev/eer", "epoch/dev/auc"):
        assert len(MlflowClient().get_metric_history(kept.info.run_id, name)) == epochs
