from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from mlflow.tracking import MlflowClient
from omegaconf import DictConfig

from dfx.audit import report
from dfx.audit.__main__ import audit as command
from dfx.audit.corpus_audit import CorpusAudit, audit_corpus
from dfx.config.corpora import expand_corpora
from dfx.config.schema import CONF_DIR, register_schema
from dfx.datasets.corpus import Dataset
from dfx.tables.findings import make_finding
from dfx.tables.manifest import Manifest
from dfx.tracking import audits

register_schema()


class Given(Dataset):
    """A corpus from a table."""

    def __init__(self, table: pd.DataFrame, vectors: np.ndarray | None = None) -> None:
        self.table = table
        self.ready = vectors
        self.findings = (
            make_finding("row-count", "warning", "made has 3 rows, its authors publish 4: compare.", ["a|b"]),
        )
        self.note = "made <by> hand"

    def manifest(self) -> Manifest:
        return Manifest(self.table, name="made")

    def vectors(self) -> np.ndarray | None:
        return self.ready


def settings(cache: Path) -> DictConfig:
    return DictConfig({"sample_rate": 16000, "seed": 0, "cache": cache, "num_workers": 0})


def audited(table: pd.DataFrame, cache: Path, others: dict[str, Dataset] | None = None) -> CorpusAudit:
    return audit_corpus(settings(cache), Given(table), others or {}, progress=False)


@pytest.fixture(scope="module")
def found(fair: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> CorpusAudit:
    return audited(fair, tmp_path_factory.mktemp("cache"), {"elsewhere": Given(fair)})


def strict(path: Path) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_the_report_has_everything(found: CorpusAudit, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_metrics_are_numbers(found: CorpusAudit) -> None:
    numbers = report.audit_metrics(found.results)
    assert numbers["findings/warning"] >= 1
    assert 0 <= numbers["to_beat/auc"] <= 1
    assert 0.5 <= numbers["scalar/loudness"] <= 1


def test_a_fair_corpus_has_no_shortcut(found: CorpusAudit) -> None:
    assert not [entry for entry in found.results["findings"] if entry.kind.startswith("shortcut")]


def test_plain_has_no_nan() -> None:
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
def test_a_finding_has_a_title_and_its_advice_apart(kind: str, title: str) -> None:
    notice = report.audit_report_notice(make_finding(kind, "warning", "Two of 'a'. What to do: divide.", ["a", "b"]))
    assert notice == ("Two of 'a'.", "warning", title, "Divide.", "b")


def test_train_finds_what_is_to_beat(found: CorpusAudit, fair: pd.DataFrame, tmp_path: Path) -> None:
    manifest = Given(fair).manifest()
    assert audits.audited_auc(manifest, "f", tmp_path) is None
    audits.keep_audit(report.audit_document(found).data, manifest, "f", tmp_path)
    known = audits.audited_auc(manifest, "f", tmp_path)
    assert known is not None
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
def test_a_corpus_that_lacks_something_is_still_audited(
    fair: pd.DataFrame, tmp_path: Path, change: Any, words: str
) -> None:
    table = change(fair).reset_index(drop=True)
    lacking = audited(table, tmp_path / "cache")
    assert words in lacking.results["headline"]["text"]
    document = report.audit_document(lacking)
    document.show(document.write(tmp_path)[0])
    strict(tmp_path / "report.json")
    audits.keep_audit(document.data, Manifest(table), "f", tmp_path)
    assert audits.audited_auc(Manifest(table), "f", tmp_path) is None


def test_ready_features_are_refused(fair: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="made holds ready features, no audio"):
        audit_corpus(settings(tmp_path), Given(fair, np.zeros((160, 3))), {})
    with pytest.raises(ValueError, match="second holds ready features"):
        audit_corpus(settings(tmp_path), Given(fair), {"second": Given(fair, np.zeros((160, 3)))})


def run(*overrides: str) -> str:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return command(expand_corpora(compose("audit", overrides=["num_workers=0", *overrides])))


def written(table: pd.DataFrame, path: Path) -> str:
    table.assign(label=table["label"].map({1: "bonafide", 0: "spoof"})).to_csv(path, index=False)
    return f"dataset.path={path}"


@pytest.mark.slow
def test_the_command_writes_shows_logs_and_measures_once(
    fair: pd.DataFrame, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["dataset=manifest", "dataset.path=nowhere.csv"], "No table at 'nowhere.csv'"),
        (["dataset=demo", "others=[nosuch]"], "there is no dataset 'nosuch'"),
        (
            ["dataset=demo", "others=[in_the_wild:eval]", "+corpora.in_the_wild.root=x"],
            "an audit looks at whole corpora",
        ),
    ],
)
def test_errors_are_sentences(home: Path, overrides: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        run(*overrides)


def test_an_unknown_split_is_a_sentence(fair: pd.DataFrame, home: Path) -> None:
    corpus = written(fair.assign(split="held-out"), home / "split.csv")
    with pytest.raises(ValueError, match="unknown split"):
        run("dataset=manifest", corpus)
