"""Score files of any system: metrics, breakdowns, comparison, calibration, fusion, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from dfx import metrics
from dfx.tables.score_table import ScoreTable

Evaluate = Callable[..., dict[str, Any]]
WriteScores = Callable[..., Path]


def number(found: dict[str, Any], system: str, metric: str, by: str = "", part: str = "") -> pd.Series:
    rows = found["rows"]
    chosen = rows[(rows.system == system) & (rows.metric == metric) & (rows.by == by) & (rows.part == part)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_metrics_are_those_of_the_metrics_package(evaluate: Evaluate, write_scores: WriteScores) -> None:
    file, dev = write_scores("system", 0), write_scores("dev", 1, part="d")
    found = evaluate(f"scores={file}", f"dev_scores={dev}", "llr=true")
    table, of_dev = ScoreTable.read(file), ScoreTable.read(dev)
    threshold = metrics.eer(of_dev.bonafide, of_dev.spoof)[1]
    for name, value in metrics.summary(table, threshold).items():
        if not name.startswith("eer/"):
            assert found["results"][0]["metrics"][name]["value"] == value
    assert found["results"][0]["metrics"]["dev_threshold"]["value"] == threshold
    assert found["results"][0]["trials_hash"] == table.trials_hash
    assert found["results"][0]["threshold_from"] == "dev.csv"
    row = number(found, "system", "eer")
    assert (row.bonafide, row.spoof, row.trials_hash) == (100, 200, table.trials_hash)
    assert found["notes"] == []


def test_without_dev_there_is_no_accuracy_and_it_says_so(
    evaluate: Evaluate, write_scores: WriteScores
) -> None:
    found = evaluate(f"scores={write_scores('system', 0)}")
    assert not {"accuracy", "balanced_accuracy", "f1", "dev_threshold"} & set(found["rows"].metric)
    assert any("threshold from dev" in note for note in found["notes"])
    assert any(
        "Whether those of system" in note and "log-likelihood ratio" in note for note in found["notes"]
    )


def test_what_needs_log_likelihood_ratios_is_left_out_where_they_are_none(
    evaluate: Evaluate, write_scores: WriteScores
) -> None:
    found = evaluate(f"scores={write_scores('system', 0)}", "llr=false", whole=True)
    assert not set(metrics.NEED_LLR) & set(found["rows"].metric)
    assert "min_cllr" in set(found["rows"].metric)
    assert not list(found["folder"].glob("reliability*"))


def test_a_key_gives_the_labels_and_the_name_of_the_corpus(
    evaluate: Evaluate, write_scores: WriteScores
) -> None:
    file = write_scores("all", 0)
    table = pd.read_csv(file)
    bare, key = file.with_name("bare.txt"), file.with_name("key.csv")
    table[["id", "score"]].to_csv(bare, sep=" ", header=False, index=False)
    table.drop(columns="score").to_csv(key, index=False)
    found = evaluate(f"scores={bare}", f"key={{mine: {key}}}", "by=[attack,codec]")
    assert found["results"][0]["corpus"] == "mine"
    assert number(found, "bare", "eer").value == metrics.eer(*classes(table))[0]


def classes(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    bonafide = table.label == "bonafide"
    return table.score[bonafide].to_numpy(), table.score[~bonafide].to_numpy()


def test_an_attack_is_judged_against_all_bona_fide_and_a_codec_against_its_own(
    evaluate: Evaluate, write_scores: WriteScores
) -> None:
    file = write_scores("system", 0)
    found = evaluate(f"scores={file}", "by=[attack,codec]")
    table = pd.read_csv(file)
    bonafide, _ = classes(table)
    assert (
        number(found, "system", "eer", "attack", "A1").value
        == metrics.eer(bonafide, table.score[table.attack == "A1"])[0]
    )
    assert (
        number(found, "system", "eer", "codec", "gsm").value
        == metrics.eer(*classes(table[table.codec == "gsm"]))[0]
    )
    assert set(found["rows"][found["rows"].by == "codec"].part) == {"gsm", "none"}


def test_a_part_of_one_class_is_said_to_have_no_error_rate(
    evaluate: Evaluate, write_scores: WriteScores
) -> None:
    file = write_scores("system", 0)
    table = pd.read_csv(file)
    table.loc[table.label == "bonafide", "codec"] = "none"
    table.to_csv(file, index=False)
    found = evaluate(f"scores={file}", "by=[codec]")
    assert set(found["rows"][found["rows"].by == "codec"].part) == {"none"}
    assert any("codec=gsm (1 in all) has no bona fide trial" in note for note in found["notes"])


def test_intervals_hold_the_value(evaluate: Evaluate, write_scores: WriteScores) -> None:
    found = evaluate(f"scores={write_scores('system', 0)}", bootstrap=100)
    row = number(found, "system", "eer")
    assert float(row.low) < row.value < float(row.high)
    assert number(found, "system", "threshold").low == ""
    assert float(number(found, "system", "eer", "attack", "A1").low) >= 0


@pytest.mark.parametrize(("kept", "whole"), [(100, True), (1, False)])
def test_a_single_trial_has_no_interval_and_stops_nothing(
    evaluate: Evaluate, write_scores: WriteScores, kept: int, whole: bool
) -> None:
    files = [write_scores(name, seed) for seed, name in enumerate(("one", "two"))]
    for file in files:
        table = pd.read_csv(file)
        table.loc[1, "attack"] = "rare"
        table[(table.label == "spoof") | ((table.label == "bonafide").cumsum() <= kept)].to_csv(
            file, index=False
        )
    found = evaluate(f"scores=[{files[0]},{files[1]}]", bootstrap=50)
    assert number(found, "one", "eer", "attack", "rare").low == ""
    assert (number(found, "one", "eer").low != "") is whole
    assert bool(found["comparisons"]) is whole
    assert any("no systems are compared" in note for note in found["notes"]) is not whole


def test_results_that_would_share_a_file_are_refused(evaluate: Evaluate, write_scores: WriteScores) -> None:
    files = write_scores("a", 0), write_scores("b", 1)
    with pytest.raises(ValueError, match="need different names, also as file names, got x y on"):
        evaluate(f"scores={{x y: {files[0]}, x_y: {files[1]}}}")


def test_two_systems_are_compared_on_the_same_trials_only(
    evaluate: Evaluate, write_scores: WriteScores
) -> None:
    good, bad = write_scores("good", 0, shift=3.0), write_scores("bad", 1, shift=1.0)
    found = evaluate(f"scores=[{good},{bad}]", bootstrap=200)
    (pair,) = found["comparisons"]
    tables = ScoreTable.read(good), ScoreTable.read(bad)
    assert (pair["first"], pair["second"]) == ("good", "bad")
    assert pair["eer"]["p_value"] < 0.05
    assert pair["eer"]["value"] < 0
    assert pair["auc"]["value"] == metrics.delong(*tables).value
    fewer = write_scores("fewer", 1, trials=200)
    assert evaluate(f"scores=[{good},{fewer}]", "key=null")["comparisons"] == []
    with pytest.raises(ValueError, match="compare=true needs two systems on the same trials"):
        evaluate(f"scores=[{good},{fewer}]", "compare=true")


def test_a_threshold_of_the_very_trials_is_warned_of(evaluate: Evaluate, write_scores: WriteScores) -> None:
    file, dev = write_scores("system", 0), write_scores("dev", 1, part="d")
    same = evaluate(f"scores={file}", f"dev_scores={file}")
    assert any("also gave the threshold" in found["text"] for found in same["findings"])
    apart = evaluate(f"scores={file}", f"dev_scores={dev}")
    assert not any("also gave the threshold" in found["text"] for found in apart["findings"])


def test_calibration_and_fusion_give_systems_like_any_other(
    evaluate: Evaluate, write_scores: WriteScores
) -> None:
    files = [write_scores(name, seed) for seed, name in enumerate(("a", "b"))]
    devs = [write_scores(f"dev_{name}", 10 + seed, part="d") for seed, name in enumerate(("a", "b"))]
    given = [f"scores=[{files[0]},{files[1]}]", f"dev_scores=[{devs[0]},{devs[1]}]", "llr=false"]
    found = evaluate(*given, "calibrate=true", "fuse=logistic")
    systems = ["a", "b", "fusion (logistic)", "a, calibrated", "b, calibrated"]
    assert [result["system"] for result in found["results"]] == systems
    assert number(found, "a, calibrated", "eer").value == number(found, "a", "eer").value
    assert number(found, "a, calibrated", "cllr").value < 1
    assert number(found, "fusion (logistic)", "eer").value < number(found, "a", "eer").value
    assert len(found["comparisons"]) == 3  # each pair of a, b and the fusion
    fused = ScoreTable.read(next(found["folder"].glob("fusion*.csv")))
    assert metrics.eer(fused.bonafide, fused.spoof)[0] == number(found, "fusion (logistic)", "eer").value


def test_fusion_and_calibration_say_what_they_lack(evaluate: Evaluate, write_scores: WriteScores) -> None:
    file, other = write_scores("a", 0), write_scores("b", 1)
    with pytest.raises(ValueError, match="cannot be calibrated: it has no dev scores"):
        evaluate(f"scores={file}", "calibrate=true")
    with pytest.raises(ValueError, match="fuse=mean needs two systems"):
        evaluate(f"scores={file}", "fuse=mean")
    with pytest.raises(ValueError, match="fuse=logistic is learnt on dev; there are no dev scores of a, b"):
        evaluate(f"scores=[{file},{other}]", "fuse=logistic")
    assert evaluate(f"scores=[{file},{other}]", "fuse=mean")["results"][2]["system"] == "fusion (mean)"


def test_the_report_is_whole_and_logged(evaluate: Evaluate, write_scores: WriteScores) -> None:
    found = evaluate(f"scores={write_scores('system', 0)}", "llr=true", "experiment_name=whole", whole=True)
    folder = found["folder"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64") == len(list(folder.glob("*.png"))) == 3
    assert 'src="http' not in page
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert all(f"]({image.name})" in text for image in folder.glob("*.png"))
    plain = pd.read_csv(next(folder.glob("*.txt")), sep=" ", header=None)
    assert plain.shape == (300, 4)
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("whole").experiment_id])
    corpus = found["results"][0]["corpus"]
    assert run.data.metrics[f"{corpus}/eer"] == number(found, "system", "eer").value
    assert run.data.tags["trials_hash"] == found["results"][0]["trials_hash"]
    assert "report.html" in {entry.path for entry in client.list_artifacts(run.info.run_id)}


def test_a_second_report_replaces_the_first_and_nothing_else(
    evaluate: Evaluate, write_scores: WriteScores
) -> None:
    folder = evaluate(f"scores={write_scores('first', 0)}", "llr=true", whole=True)["folder"]
    (folder / "thesis.txt").write_text("of the user")
    evaluate(f"scores={write_scores('second', 0)}", "llr=false", whole=True)
    names = {file.name for file in folder.iterdir()}
    assert "thesis.txt" in names
    assert not [name for name in names if name.startswith(("first", "reliability"))]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], "There is nothing to measure"),
        (["scores=nowhere.txt"], "There is no file 'nowhere.txt'"),
        (["systems=nowhere.ckpt"], "There is no system 'nowhere.ckpt'"),
        (["systems=x.ckpt", "key=k.txt"], "key=k.txt has no effect without scores"),
        (["scores=x.txt", "others=[demo]"], "has no effect without systems"),
        (["scores=x.txt", "fuse=median"], "fuse=median: use one of logistic, mean"),
        (["systems=x.ckpt", "eval_crop=random"], "eval_crop=random: use one of first, centre, sliding"),
    ],
)
def test_errors_are_a_sentence(evaluate: Evaluate, overrides: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        evaluate(*overrides)


def test_guards_speak(evaluate: Evaluate, write_scores: WriteScores) -> None:
    file = write_scores("system", 0)
    table = pd.read_csv(file)
    with pytest.raises(ValueError, match="there is no such column"):
        evaluate(f"scores={file}", "by=[vocoder]")
    with pytest.raises(ValueError, match="2 score files and 1 for dev"):
        evaluate(f"scores=[{file},{write_scores('other', 1)}]", f"dev_scores={file}")
    with pytest.raises(ValueError, match="is no detector but a table"):
        evaluate(f"systems={file}")
    table.assign(score=-table.score).to_csv(file, index=False)
    turned = evaluate(f"scores={file}")
    assert any("wrong way" in found["text"] for found in turned["findings"])
    assert turned["results"][0]["metrics"]["auc"]["value"] < 0.5  # as it is: nothing is turned round
    table.assign(score=np.nan).to_csv(file, index=False)
    with pytest.raises(ValueError, match="300 of 300"):
        evaluate(f"scores={file}")


def test_speaker_verification_adds_tandem_costs(evaluate: Evaluate, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    kinds = np.array(["target", "nontarget", "spoof"])[np.arange(300) % 3]
    shift = {"target": 3.0, "nontarget": 0.0, "spoof": 1.0}
    table = pd.DataFrame({"spk": "s1", "filename": [f"t{number}" for number in range(300)]})
    made = np.array([shift[kind] for kind in kinds]) + generator.standard_normal(300)
    cm = np.where(kinds == "spoof", 0.0, 2.0) + generator.standard_normal(300)
    scores = table.assign(**{"cm-score": cm, "asv-score": made, "sasv-score": made + cm})
    scores.to_csv(tmp_path / "sasv.tsv", sep="\t", index=False)
    labels = np.where(kinds == "spoof", "spoof", "bonafide")
    key = table.assign(**{"cm-label": labels, "asv-label": kinds})
    key.to_csv(tmp_path / "key.tsv", sep="\t", index=False)
    files = [f"scores={tmp_path / 'sasv.tsv'}", f"key={tmp_path / 'key.tsv'}"]
    found = evaluate(*files, f"asv={tmp_path / 'sasv.tsv'}", f"asv_key={tmp_path / 'key.tsv'}", "by=[]")
    groups = [(made + cm)[kinds == kind] for kind in ("target", "nontarget", "spoof")]
    assert number(found, "sasv", "min_adcf").value == metrics.min_adcf(*groups)
    rates = metrics.asv_rates(*(made[kinds == kind] for kind in ("target", "nontarget", "spoof")))
    bonafide, spoof = cm[kinds != "spoof"], cm[kinds == "spoof"]
    assert number(found, "sasv", "min_tdcf_2019").value == metrics.min_tdcf(bonafide, spoof, rates)
    fixed = evaluate(*files, "asv=asvspoof5", "by=[]")
    assert number(fixed, "sasv", "min_tdcf_revised").value == metrics.min_tdcf(
        bonafide, spoof, metrics.ASVSPOOF5_RATES, "revised"
    )
