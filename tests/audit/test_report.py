from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dfx.audit import page, publish, report, tables
from dfx.audit.inspect import Found, inspect
from dfx.audit.ranking import Area
from dfx.datasets.corpus import Dataset
from dfx.tables.findings import finding
from dfx.tables.manifest import Manifest
from dfx.tracking import audits


class Given(Dataset):
    """A corpus from a table."""

    def __init__(self, table: pd.DataFrame, vectors: np.ndarray | None = None) -> None:
        self.table = table
        self.ready = vectors
        self.findings = (
            finding("row-count", "warning", "made has 3 rows, its authors publish 4: compare.", ["a|b"]),
        )
        self.note = "made <by> hand"

    def manifest(self) -> Manifest:
        return Manifest(self.table, name="made")

    def vectors(self) -> np.ndarray | None:
        return self.ready


def audit(table: pd.DataFrame, cache: Path, others: dict[str, Dataset] | None = None) -> Found:
    found = inspect(Given(table), others or {}, 16000, cache=cache, num_workers=0, progress=False)
    found.report["time"]["seconds"] = 1.0
    return found


@pytest.fixture(scope="module")
def found(fair: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Found:
    return audit(fair, tmp_path_factory.mktemp("cache"), {"elsewhere": Given(fair)})


def strict(text: str) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    return json.loads(text, parse_constant=refuse)


def test_the_folder_holds_everything_and_the_page_needs_nothing(found: Found, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "thesis.txt").write_text("not of the audit")
    files = publish.write(found, str(folder), tmp_path / "audits" / "x.json")
    (folder / "thesis.txt").unlink()
    assert files[0].name == "report.html"
    assert sorted(files) == sorted(folder.iterdir())
    assert {path.name for path in folder.iterdir()} == {
        *("report.md", "report.html", "report.json", "models.png", "scalars.png", "distributions.png")
    }
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    assert "made &lt;by&gt; hand" in html
    assert html.count("data:image/png") == 3
    for text in (html, (folder / "report.md").read_text(encoding="utf-8")):
        assert found.report["headline"]["text"] in text
        assert "compare" in text
        assert not re.search(r"\bnan\b", re.sub('base64,[^"]*', "", text))
    kept = strict((folder / "report.json").read_text(encoding="utf-8"))
    assert kept == strict((tmp_path / "audits" / "x.json").read_text(encoding="utf-8"))
    assert {row["name"] for row in kept["models"]} >= {"all scalars", "all scalars but length"}
    assert set(kept["models"][0]["places"]) == {"dev", "eval", "elsewhere"}


def test_the_terminal_shows_what_matters(
    found: Found, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish.show(found.report, tmp_path / "report.html")
    shown = capsys.readouterr().out
    assert "A detector has to beat AUC" in shown
    assert "Warning: Row count." in shown
    assert "600,000 clips like these" in shown
    assert "Made <by> hand" in shown


def test_metrics_are_numbers(found: Found) -> None:
    numbers = publish.metrics(found.report)
    assert numbers["findings/warning"] >= 1
    assert 0 <= numbers["to_beat/auc"] <= 1
    assert 0.5 <= numbers["scalar/loudness"] <= 1


def test_a_fair_corpus_has_no_shortcut(found: Found) -> None:
    assert not [entry for entry in found.report["findings"] if entry["kind"].startswith("shortcut")]


def test_findings_come_by_severity() -> None:
    made = report.by_severity(finding(word, word, "text") for word in ("note", "error", "warning", "note"))
    assert [entry["severity"] for entry in made] == ["error", "warning", "note", "note"]


def test_plain_has_no_nan() -> None:
    given = {"a": float("nan"), "b": [np.float32(0.123456), np.int64(3)], "c": (float("inf"), None, True)}
    assert report.plain(given) == {"a": None, "b": [0.1235, 3], "c": [None, None, True]}


def test_a_finding_for_people() -> None:
    made = {
        "findings": report.by_severity(
            [finding("leaked-speaker", "warning", "Two. What to do: divide.", "ab")]
        )
    }
    assert tables.findings(made) == [
        {
            "severity": "warning",
            "title": "Leaked: speaker",
            "wrong": "Two.",
            "examples": "a, b",
            "advice": "Divide.",
        }
    ]
    assert "**Warning: Leaked: speaker.** Two." in page.markdown(made | _empty_report())


def _empty_report() -> dict[str, Any]:
    return {
        "corpus": {"name": "x", "rows": 0, "hash": "0" * 16, "note": ""},
        "headline": {"auc": None, "text": "Nothing."},
        "made": "",
        "dfx": "",
        "counts": [],
        "models": [],
        "scalars": [],
        "leaks": [],
        "files": {},
        "figures": [],
        "duplicates": {"limits": "not all"},
        "time": {"seconds": 0.0, "estimate": {"text": ""}},
    }


def test_train_finds_what_is_to_beat(found: Found, fair: pd.DataFrame, tmp_path: Path) -> None:
    manifest = Given(fair).manifest()
    assert audits.to_beat(manifest, "f", tmp_path) is None
    publish.write(found, str(tmp_path / "out"), audits.place(manifest, "f", tmp_path))
    known = audits.to_beat(manifest, "f", tmp_path)
    assert known is not None
    assert known["auc"] == round(found.report["headline"]["auc"], 4)
    assert known["text"].startswith("A detector has to beat AUC")
    assert audits.to_beat(Manifest(fair.iloc[1:], name="made"), "f", tmp_path) is None
    audits.place(manifest, "f", tmp_path).write_text("{")
    assert audits.to_beat(manifest, "f", tmp_path) is None


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
    found = audit(change(fair).reset_index(drop=True), tmp_path / "cache")
    assert words in found.report["headline"]["text"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "models.png").write_text("of an earlier audit")
    files = publish.write(found, str(tmp_path / "out"), tmp_path / "x.json")
    strict((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert set((tmp_path / "out").iterdir()) == set(files)
    publish.show(found.report, files[0])
    manifest = Manifest(change(fair).reset_index(drop=True))
    (tmp_path / "audits").mkdir()
    audits.place(manifest, "f", tmp_path).write_bytes((tmp_path / "x.json").read_bytes())
    assert audits.to_beat(manifest, "f", tmp_path) is None


def scalar(title: str, **places: float) -> dict[str, Any]:
    return {"title": title, "places": {place: Area(auc, 0.02) for place, auc in places.items()}}


def test_dev_chooses_what_is_to_beat() -> None:
    rows = [scalar("peak", dev=0.7, eval=0.6), scalar("luck", dev=0.5, eval=0.65)]
    found = report.headline(rows, [], "")
    assert (found["name"], found["auc"]) == ("peak alone", 0.6)
    assert "that much is reached on the files as they are" in found["text"]
    assert found["text"].endswith("without listening (peak alone, chosen on dev).")


def test_without_dev_eval_chooses_and_chance_is_called_so() -> None:
    found = report.headline([scalar("peak", eval=0.49), scalar("luck", eval=0.52)], [], "")
    assert (found["name"], found["auc"]) == ("luck alone", 0.52)
    assert "no more than chance is reached on the files as they are" in found["text"]
    assert found["text"].endswith("(luck alone, chosen on eval).")


def test_ready_features_are_refused(fair: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="made holds ready features, no audio"):
        inspect(Given(fair, np.zeros((160, 3))), {}, 16000, cache=tmp_path)
    with pytest.raises(ValueError, match="second holds ready features"):
        inspect(Given(fair), {"second": Given(fair, np.zeros((160, 3)))}, 16000, cache=tmp_path)
