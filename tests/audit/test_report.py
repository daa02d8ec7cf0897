import json
import re

import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from omegaconf import DictConfig

from dfx.audit import report
from dfx.audit.__main__ import audit as command
from dfx.audit.corpus_audit import audit_corpus
from dfx.tables.findings import make_finding
from dfx.tables.manifest import Manifest
from dfx.tracking import audits
from setups import GivenDataset, composed


def given(table, ready=None):
    finding = make_finding("row-count", "warning", "made has 3 rows, its authors publish 4: compare.", ["a|b"])
    return GivenDataset(table, "made", ready, "made <by> hand", [finding])


def settings(cache):
    return DictConfig({"sample_rate": 16000, "seed": 0, "cache": cache, "num_workers": 0, "limits": {}})


def audited(table, cache, others=None):
    return audit_corpus(settings(cache), given(table), others or {}, progress=False)


@pytest.fixture(scope="module")
def found(fair, tmp_path_factory):
    return audited(fair, tmp_path_factory.mktemp("cache"), {"elsewhere": given(fair)})


def strict(path):
    def refuse(word):
        raise AssertionError(word)

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_the_report_has_everything(found, tmp_path, capsys):
    document = report.audit_document(found)
    files = document.write(tmp_path)
    assert files[0].name == "report.html"
    figures = {"models.png", "scalars.png", "distributions.png"}
    assert {path.name for path in files} == {"report.html", "report.md", "report.json"} | figures
    html = files[0].read_text(encoding="utf-8")
    assert "made &lt;by&gt; hand" in html
    assert html.count("data:image/png") == 3
    for text in (html, (tmp_path / "report.md").read_text(encoding="utf-8")):
        assert found.results["headline"]["text"] in text
        assert "compare" in text
        assert not re.search(r"\bnan\b", re.sub('base64,[^"]*', "", text))
    data = strict(tmp_path / "report.json")
    assert {row["name"] for row in data["models"]} >= {"all scalars", "all scalars but length"}
    assert set(data["models"][0]["places"]) == {"dev", "eval", "elsewhere"}
    assert [entry["severity"] for entry in data["findings"]] == sorted(
        (entry["severity"] for entry in data["findings"]), key=["error", "warning", "note"].index
    )
    document.show(files[0])
    shown = capsys.readouterr().out
    for words in ("A detector has to beat AUC", "Warning: Row count.", "Made <by> hand", "This audit took"):
        assert words in shown


def test_metrics_are_numbers(found):
    numbers = report.audit_metrics(found.results)
    assert numbers["findings/warning"] >= 1
    assert 0 <= numbers["to_beat/auc"] <= 1
    assert 0.5 <= numbers["scalar/loudness"] <= 1


def test_a_fair_corpus_has_no_shortcut(found):
    assert not [entry for entry in found.results["findings"] if entry.kind.startswith("shortcut")]


def test_plain_has_no_nan():
    given = {"a": float("nan"), "b": [np.float32(0.123456), np.int64(3)], "c": (float("inf"), None, True)}
    assert report.report_json_value(given) == {"a": None, "b": [0.1235, 3], "c": [None, None, True]}


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("leaked-speaker", "Leaked: speaker"),
        ("shortcut-band", "Shortcut: band"),
        ("dc-offset", "DC offset"),
        ("nan-samples", "NaN samples"),
        ("apple-double", "AppleDouble"),
    ],
)
def test_a_finding_has_a_title_and_its_advice_apart(kind, title):
    notice = report.audit_report_notice(make_finding(kind, "warning", "Two of 'a'. What to do: divide.", ["a", "b"]))
    assert notice == ("Two of 'a'.", "warning", title, "Divide.", "b")


def test_train_finds_what_is_to_beat(found, fair, tmp_path):
    manifest = given(fair).manifest()
    assert audits.audited_auc(manifest, "f", tmp_path) is None
    audits.keep_audit(report.audit_document(found).data, manifest, "f", tmp_path)
    known = audits.audited_auc(manifest, "f", tmp_path)
    assert known == audits.latest_audited_auc(manifest.hash, tmp_path)
    assert known["auc"] == round(found.results["headline"]["auc"], 4)
    assert known["text"].startswith("A detector has to beat AUC")
    assert audits.audited_auc(manifest, "other files", tmp_path) is None
    assert audits.audited_auc(Manifest(fair.iloc[1:], name="made"), "f", tmp_path) is None
    next((tmp_path / "audits").iterdir()).write_text("{")
    assert audits.audited_auc(manifest, "f", tmp_path) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t[t["label"] == 1], "train has no usable spoof clips"),
        (lambda t: t[(t["split"] != "eval") | (t["label"] == 0)], "eval has no usable bona fide clips"),
        (lambda t: t[t["split"] == "train"], "eval has no usable bona fide clips"),
        (lambda t: t.assign(path="/nowhere/" + t["id"] + ".wav"), "No clip of this corpus can be used"),
        (lambda t: t.head(2), "train has 1 usable bona fide clip,"),
    ],
)
def test_a_corpus_that_lacks_something_is_still_audited(fair, tmp_path, change, words):
    table = change(fair).reset_index(drop=True)
    lacking = audited(table, tmp_path / "cache")
    assert words in lacking.results["headline"]["text"]
    document = report.audit_document(lacking)
    document.show(document.write(tmp_path)[0])
    strict(tmp_path / "report.json")
    audits.keep_audit(document.data, Manifest(table), "f", tmp_path)
    assert audits.audited_auc(Manifest(table), "f", tmp_path) is None


def test_ready_features_are_refused(fair, tmp_path):
    with pytest.raises(ValueError, match="made holds ready features, no audio"):
        audit_corpus(settings(tmp_path), given(fair, np.zeros((160, 3))), {})
    with pytest.raises(ValueError, match="second holds ready features"):
        audit_corpus(settings(tmp_path), given(fair), {"second": given(fair, np.zeros((160, 3)))})


def run(*overrides):
    return command(composed("num_workers=0", *overrides, command="audit"))


def written(table, path):
    table.assign(label=table["label"].map({1: "bonafide", 0: "spoof"})).to_csv(path, index=False)
    return f"dataset.path={path}"


@pytest.mark.slow
def test_the_command_writes_shows_logs_and_measures_once(fair, home, capsys):
    corpus = written(fair, home / "fair.csv")
    assert run("dataset=manifest", corpus).startswith("A detector has to beat AUC")
    shown = capsys.readouterr()
    assert "measuring" in shown.err
    assert "A detector has to beat AUC" in shown.out
    results = strict(home / "mlruns" / "audit" / "fair" / "report.json")
    assert results["corpus"]["rows"] == 160
    assert len(list((home / "cache" / "audits").glob("*.json"))) == 1
    experiment = MlflowClient().get_experiment_by_name("dfx-audit")
    logged = MlflowClient().search_runs([experiment.experiment_id])[0]
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics["to_beat/auc"] == pytest.approx(results["headline"]["auc"], abs=1e-3)
    artifacts = {entry.path for entry in MlflowClient().list_artifacts(logged.info.run_id)}
    assert artifacts == {path.name for path in (home / "mlruns" / "audit" / "fair").iterdir()}

    run("dataset=manifest", corpus, f"out={home / 'elsewhere'}")
    shown = capsys.readouterr()
    assert "Decoding" not in shown.err
    assert "measuring" not in shown.err
    assert (home / "elsewhere" / "report.html").exists()


def test_a_part_of_another_corpus_is_refused(home):
    with pytest.raises(ValueError, match="an audit looks at whole corpora"):
        run("dataset=demo", "others=[in_the_wild:eval]", "+corpora.in_the_wild.root=x")
