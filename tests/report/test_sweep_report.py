"""The command reads the latest sweep, writes, shows, and keeps the report with the sweep."""

import json
from pathlib import Path

import pytest
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient
from omegaconf import DictConfig, OmegaConf

from dfx.config.schema import CONF_DIR
from dfx.report import figures, sweep_report
from dfx.report.__main__ import main, quote_report_query
from dfx.tracking import runs
from setups import type_command


def settings(**changed):
    """Configuration of the command."""
    return DictConfig({**OmegaConf.load(CONF_DIR / "report.yaml"), "resamples": 200, **changed})


@pytest.fixture
def sweep(make, home):
    """A sweep of two features and two seeds in MLflow, of which one run is missing; the id of its parent."""
    client = MlflowClient()
    known = client.get_experiment_by_name("grid")
    experiment = known.experiment_id if known else client.create_experiment("grid", str(home / "mlruns"))
    axes = {"feature": ["mfcc", "lfcc"], "seed": ["0", "1"]}
    command = "python -m dfx.train -m feature=mfcc,lfcc seed=0,1"
    tags = {"kind": "sweep", "axes": json.dumps(axes), "command": command}
    parent = client.create_run(experiment, run_name="sweep 2 feature × 2 seed", tags=tags).info.run_id
    for feature, seed in (("mfcc", 0), ("mfcc", 1), ("lfcc", 0)):
        record = make(feature, "mlp", seed)
        tags = {**record.tags, f"sweep.{parent}": f"feature={feature} seed={seed}"}
        run = client.create_run(experiment, run_name=record.name, tags=tags).info
        points = [Metric(key, value, 0, 0) for key, value in record.metrics.items()]
        client.log_batch(run.run_id, points, [Param(key, value) for key, value in record.params.items()])
        client.log_artifacts(run.run_id, record.artifact_uri)
        client.set_terminated(run.run_id)
    return str(parent)


def test_the_latest_sweep_is_reported_with_what_has_to_be_beaten(sweep, home, tmp_path):
    audit = tmp_path / "audits" / "0123456789abcdef-ff.json"
    audit.parent.mkdir()
    audit.write_text(json.dumps({"headline": {"auc": 0.6, "low": 0.5, "high": 0.7, "eer": 0.4, "name": "x"}}))
    report = sweep_report.collect_sweep_report(settings(cache=str(tmp_path)))
    assert report.parent.run_id == sweep
    assert report.folder == Path("mlruns/reports") / f"sweep_2_feature_2_seed-{sweep[:8]}"
    assert report.grid.rows == ["mfcc", "lfcc"]
    assert report.to_beat["mlp"]["eer"] == 0.4
    assert [cell.cell for cell in report.missing] == ["feature=lfcc seed=1"]
    assert report.notes[0].startswith("One seed is not a result: lfcc · mlp has one.")


def test_what_mlflow_sends_is_kept_in_the_cache_of_the_command(sweep, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(runs, "run_artifact", lambda run, path, cache: given.append((path, cache)))
    figures.draw_report_figures(sweep_report.collect_sweep_report(settings(cache=str(tmp_path))))
    assert set(given) == {(path, str(tmp_path)) for path in ("scores/eval.csv", "history.json")}


def test_an_experiment_or_a_filter_needs_no_sweep(sweep, home):
    chosen = settings(experiment_name="grid", query="tags.feature = 'mfcc'", metric="eval/auc")
    report = sweep_report.collect_sweep_report(chosen)
    assert report.parent is None
    assert report.folder == Path("mlruns/reports/grid")
    assert report.grid.rows == ["mfcc"]
    with pytest.raises(ValueError, match="There is no sweep to report, got none in MLflow"):
        sweep_report.collect_sweep_report(settings(sweep="latest", experiment_name="no such"))


def test_a_filter_needs_no_quotes_of_hydra():
    assert quote_report_query("query=tags.model = 'lcnn'") == r"query='tags.model = \'lcnn\''"
    for typed in ('query="a = 1"', "query=null", "rows=feature", "query='a = 1'"):
        assert quote_report_query(typed) == typed


def test_the_command(sweep, capsys):
    assert type_command(main, "sweep=latest", "query=tags.feature = 'mfcc'", "resamples=200") == 0
    assert "Dev chooses mfcc · mlp" in capsys.readouterr().out
    assert runs.run_artifact(sweep, "report/report.html") is not None
