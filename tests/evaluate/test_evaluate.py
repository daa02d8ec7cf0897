"""The command on score files of any system: metrics, breakdowns, comparison, calibration, fusion, files, errors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from dfx import metrics
from dfx.evaluate.calibration_fusion import fuse_results
from dfx.evaluate.result import Result
from dfx.tables.score_table import ScoreTable
from setups import runs_of

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "scores"


def number(found, system, metric, by="", part=""):
    rows = found["rows"]
    chosen = rows[(rows.system == system) & (rows.metric == metric) & (rows.by == by) & (rows.part == part)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def values(found):
    return {name: number["value"] for name, number in found["results"][0]["metrics"].items()}


def says(found, words):
    """Whether a note or a finding has these words."""
    return any(words in text for text in (*found["notes"], *(one["text"] for one in found["findings"])))


def classes(table):
    bonafide = table.label == "bonafide"
    return table.score[bonafide].to_numpy(), table.score[~bonafide].to_numpy()


def test_metrics_are_those_of_the_metrics_package(evaluate, write_scores):
    file, dev = write_scores("system", 0), write_scores("dev", 1, part="d")
    found = evaluate(f"scores={file}", f"dev_scores={dev}", "llr=true")
    table, of_dev = ScoreTable.read(file), ScoreTable.read(dev)
    threshold = metrics.decision_threshold(of_dev.bonafide, of_dev.spoof)
    expected = {k: v for k, v in metrics.summary(table, threshold).items() if not k.startswith("eer/")}
    assert values(found) == expected | {"dev_threshold": threshold}
    assert found["results"][0]["trials_hash"] == table.trials_hash
    assert found["results"][0]["threshold_from"] == "dev.csv"
    row = number(found, "system", "eer")
    assert (row.bonafide, row.spoof, row.trials_hash) == (100, 200, table.trials_hash)
    assert found["notes"] == found["findings"] == []


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published score files are not in ../shared/data/scores")
def test_published_score_files_have_the_metrics_of_the_organisers(evaluate):
    la = PUBLISHED / "asvspoof2019_la"
    files = f"scores={{baseline: {la}_eval_cm_softmax.txt}}", f"key={la}_protocol.txt", f"asv={la}_eval_asv.txt"
    found = evaluate(*files, "llr=false")
    golden = {"eer": 0.05057773285300, "auc": 0.985349166571, "min_dcf": 0.114349047406}
    golden |= {"min_tdcf_2019": 0.120836818418, "min_tdcf_revised": 0.175989256106}
    values = found["rows"].query("by == ''").set_index("metric")["value"]
    assert {name: values[name] for name in golden} == pytest.approx(golden, abs=1e-9)
    assert found["rows"]["bonafide"].unique().tolist() == [7355]
    assert set(found["rows"].query("by == ''")["spoof"]) == {63882}


def test_without_dev_and_scale_metrics_are_left_out_with_a_note(evaluate, write_scores):
    file = write_scores("system", 0)
    found = evaluate(f"scores={file}")
    assert not {"accuracy", "balanced_accuracy", "f1", "dev_threshold"} & set(found["rows"].metric)
    assert says(found, "threshold from dev")
    assert says(found, "Whether those of system")
    found = evaluate(f"scores={file}", "llr=false", whole=True)
    assert not set(metrics.NEED_LLR) & set(found["rows"].metric)
    assert "min_cllr" in set(found["rows"].metric)
    assert not list(found["folder"].glob("reliability*"))


def test_a_threshold_from_the_judged_trials_gives_a_warning(evaluate, write_scores):
    file, dev = write_scores("system", 0), write_scores("dev", 1, part="d")
    assert says(evaluate(f"scores={file}", f"dev_scores={file}"), "also gave the threshold")
    assert not says(evaluate(f"scores={file}", f"dev_scores={dev}"), "also gave the threshold")


def test_a_key_gives_the_labels_and_the_name_of_the_corpus(evaluate, write_scores):
    file = write_scores("all", 0)
    table = pd.read_csv(file)
    bare, key = file.with_name("bare.txt"), file.with_name("key.csv")
    table[["id", "score"]].to_csv(bare, sep=" ", header=False, index=False)
    table.drop(columns="score").to_csv(key, index=False)
    found = evaluate(f"scores={bare}", f"key={{mine: {key}}}", "by=[attack,codec]")
    assert found["results"][0]["corpus"] == "mine"
    assert number(found, "bare", "eer").value == metrics.eer(*classes(table))[0]


def test_breakdowns_by_attack_and_by_another_column(evaluate, write_scores):
    file = write_scores("system", 0)
    table = pd.read_csv(file)
    bonafide, _ = classes(table)
    found = evaluate(f"scores={file}", "by=[attack,codec]")
    against_all = metrics.eer(bonafide, table.score[table.attack == "A1"])[0]
    assert number(found, "system", "eer", "attack", "A1").value == against_all
    own_classes = metrics.eer(*classes(table[table.codec == "gsm"]))[0]
    assert number(found, "system", "eer", "codec", "gsm").value == own_classes
    assert set(found["rows"][found["rows"].by == "codec"].part) == {"gsm", "none"}
    table.loc[table.label == "bonafide", "codec"] = "none"
    table.to_csv(file, index=False)
    found = evaluate(f"scores={file}", "by=[codec]")
    assert set(found["rows"][found["rows"].by == "codec"].part) == {"none"}
    assert says(found, "codec=gsm (1 in all) has no bona fide trial")


def test_intervals_contain_the_value(evaluate, write_scores):
    found = evaluate(f"scores={write_scores('system', 0)}", bootstrap=100)
    row = number(found, "system", "eer")
    assert float(row.low) < row.value < float(row.high)
    assert number(found, "system", "threshold").low == ""
    assert float(number(found, "system", "eer", "attack", "A1").low) >= 0


@pytest.mark.parametrize(("kept", "whole"), [(100, True), (1, False)])
def test_a_single_trial_has_no_interval_and_is_no_error(evaluate, write_scores, kept, whole):
    files = [write_scores(name, seed) for seed, name in enumerate(("one", "two"))]
    for file in files:
        table = pd.read_csv(file)
        table.loc[1, "attack"] = "rare"
        few = table[(table.label == "spoof") | ((table.label == "bonafide").cumsum() <= kept)]
        few.to_csv(file, index=False)
    found = evaluate(f"scores=[{files[0]},{files[1]}]", bootstrap=50)
    assert number(found, "one", "eer", "attack", "rare").low == ""
    assert (number(found, "one", "eer").low != "") is whole
    assert bool(found["comparisons"]) is whole
    assert says(found, "no systems are compared") is not whole
    assert says(found, "95 % intervals by 50 draws") is whole


def test_notes_name_each_way_in_which_trials_were_drawn(evaluate, write_scores):
    files = [write_scores(name, seed) for seed, name in enumerate(("one", "two"))]
    table = pd.read_csv(files[0])
    table.assign(speaker=[f"s{number % 20}" for number in range(len(table))]).to_csv(files[0], index=False)
    pd.read_csv(files[1]).drop(columns="speaker", errors="ignore").to_csv(files[1], index=False)
    found = evaluate(f"scores=[{files[0]},{files[1]}]", bootstrap=50)
    notes = [note for note in found["notes"] if "95 % intervals" in note]
    assert [" (one): " in note and "whole speakers" in note for note in notes] == [True, False]
    assert [" (two): " in note and "single trials" in note for note in notes] == [False, True]


def test_two_systems_are_compared_on_the_same_trials_only(evaluate, write_scores):
    good, bad = write_scores("good", 0, shift=3.0), write_scores("bad", 1, shift=1.0)
    (pair,) = evaluate(f"scores=[{good},{bad}]", bootstrap=200)["comparisons"]
    assert (pair["first"], pair["second"]) == ("good", "bad")
    assert pair["eer"]["p_value"] < 0.05
    assert pair["eer"]["value"] < 0
    assert pair["auc"]["value"] == metrics.delong_auc_difference(ScoreTable.read(good), ScoreTable.read(bad)).value
    fewer = write_scores("fewer", 1, trials=200)
    assert evaluate(f"scores=[{good},{fewer}]", "key=null")["comparisons"] == []
    with pytest.raises(ValueError, match="compare=true needs two systems on the same trials"):
        evaluate(f"scores=[{good},{fewer}]", "compare=true")


def test_calibration_and_fusion_give_further_systems(evaluate, write_scores):
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
    averaged = evaluate(given[0], "fuse=mean")
    assert averaged["results"][2]["system"] == "fusion (mean)"


def test_a_fusion_has_nothing_of_its_first_member_alone(write_scores):
    table, dev = ScoreTable.read(write_scores("a", 0)), ScoreTable.read(write_scores("dev_a", 1, part="d"))
    bad = [pd.DataFrame({"id": [name, "both"], "reason": ["damaged", "empty"]}) for name in ("one", "two")]
    sasv = table.bonafide, table.spoof, table.spoof
    first = Result("a", "demo", table, "first 4 s", dev=dev, dev_source="a.csv", bad=bad[0], sasv=sasv)
    second = Result("b", "demo", table, "first 4 s", dev=dev, dev_source="b.csv", bad=bad[1])
    (fused,) = fuse_results([first, second], "logistic")
    assert (fused.sasv, fused.dev_source, fused.crop) == (None, "a.csv; b.csv", "first 4 s")
    assert fused.bad["id"].tolist() == ["one", "both", "two"]
    (fused,) = fuse_results([first, replace(second, dev=None, dev_source="")], "mean")
    assert (fused.dev, fused.dev_source) == (None, "")


def test_speaker_verification_adds_tandem_costs(evaluate, tmp_path):
    generator = np.random.default_rng(0)
    kinds = np.array(["target", "nontarget", "spoof"])[np.arange(300) % 3]
    shift = {"target": 3.0, "nontarget": 0.0, "spoof": 1.0}
    table = pd.DataFrame({"spk": "s1", "filename": [f"t{number}" for number in range(300)]})
    asv = np.array([shift[kind] for kind in kinds]) + generator.standard_normal(300)
    cm = np.where(kinds == "spoof", 0.0, 2.0) + generator.standard_normal(300)
    scores = table.assign(**{"cm-score": cm, "asv-score": asv, "sasv-score": asv + cm})
    scores.to_csv(tmp_path / "sasv.tsv", sep="\t", index=False)
    labels = np.where(kinds == "spoof", "spoof", "bonafide")
    key = table.assign(**{"cm-label": labels, "asv-label": kinds})
    key.to_csv(tmp_path / "key.tsv", sep="\t", index=False)
    files = [f"scores={tmp_path / 'sasv.tsv'}", f"key={tmp_path / 'key.tsv'}", "by=[]"]
    found = evaluate(*files, f"asv={tmp_path / 'sasv.tsv'}", f"asv_key={tmp_path / 'key.tsv'}")
    groups = [kinds == kind for kind in ("target", "nontarget", "spoof")]
    bonafide, spoof = cm[kinds != "spoof"], cm[kinds == "spoof"]
    rates = metrics.asv_rates(*(asv[group] for group in groups))
    assert values(found)["min_adcf"] == metrics.min_adcf(*((asv + cm)[group] for group in groups))
    assert values(found)["min_tdcf_2019"] == metrics.min_tdcf(bonafide, spoof, rates)
    fixed = metrics.min_tdcf(bonafide, spoof, metrics.ASVSPOOF5_RATES, "revised")
    assert values(evaluate(*files, "asv=asvspoof5"))["min_tdcf_revised"] == fixed


def test_the_report_is_complete_and_logged_and_replaces_an_earlier_one(evaluate, write_scores):
    found = evaluate(f"scores={write_scores('first', 0)}", "llr=true", "experiment_name=whole", whole=True)
    folder, corpus = found["folder"], found["results"][0]["corpus"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64") == len(list(folder.glob("*.png"))) == 3
    assert 'src="http' not in page
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert all(f"]({image.name})" in text for image in folder.glob("*.png"))
    assert pd.read_csv(next(folder.glob("*.txt")), sep=" ", header=None).shape == (300, 4)
    (run,) = runs_of("whole")
    assert run.data.metrics[f"{corpus}/eer"] == number(found, "first", "eer").value
    assert run.data.tags["trials_hash"] == found["results"][0]["trials_hash"]
    assert "report.html" in {entry.path for entry in MlflowClient().list_artifacts(run.info.run_id)}
    (folder / "thesis.txt").write_text("of the user")
    evaluate(f"scores={write_scores('second', 0)}", "llr=false")
    names = {file.name for file in folder.iterdir()}
    assert "thesis.txt" in names
    assert not [name for name in names if name.startswith(("first", "reliability"))]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], "There is nothing to measure"),
        (["scores=nowhere.txt"], "There is no file 'nowhere.txt'"),
        (["model=x.ckpt", "key=k.txt"], "key=k.txt has no effect without scores"),
        (["scores=x.txt", "others=[demo]"], "has no effect without model"),
        (["scores=x.txt", "fuse=median"], "fuse=median: use one of logistic, mean"),
        (["model=x.ckpt", "eval_crop=random"], "eval_crop=random: use one of first, centre, sliding"),
        (["scores={a}", "by=[vocoder]"], "there is no such column"),
        (["scores=[{a},{b}]", "dev_scores={a}"], "2 score files and 1 for dev"),
        (["scores={{x y: {a}, x_y: {b}}}"], "need different names, also as file names, got x y on"),
        (["scores={a}", "calibrate=true"], "cannot be calibrated: it has no dev scores"),
        (["scores={a}", "fuse=mean"], "fuse=mean needs two systems"),
        (["scores=[{a},{b}]", "fuse=logistic"], "learnt on dev; there are no dev scores of a, b"),
    ],
)
def test_errors_are_one_sentence(evaluate, write_scores, overrides, words):
    files = {"a": write_scores("a", 0), "b": write_scores("b", 1)}
    with pytest.raises(ValueError, match=words):
        evaluate(*(override.format(**files) for override in overrides))


def test_scores_that_rank_the_wrong_way_are_reported_as_they_are(evaluate, write_scores):
    file = write_scores("system", 0)
    table = pd.read_csv(file)
    table.assign(score=-table.score).to_csv(file, index=False)
    inverted = evaluate(f"scores={file}")
    assert says(inverted, "wrong way")
    assert values(inverted)["auc"] < 0.5
    table.assign(score=np.nan).to_csv(file, index=False)
    with pytest.raises(ValueError, match="300 of 300"):
        evaluate(f"scores={file}")


def verification(path, attacks):
    """Scores of speaker verification in the form of ASVspoof 2019: 20 trials for each kind and attack."""
    kinds = [("bonafide", "target", 3.0), ("bonafide", "nontarget", 0.0), *((name, "spoof", 2.0) for name in attacks)]
    lines = [f"{attack} {kind} {score + 0.1 * n}" for attack, kind, score in kinds for n in range(20)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_speaker_verification_on_other_attacks_is_refused_or_reported(evaluate, write_scores, tmp_path):
    file = write_scores("system", 0)  # attacks A1 and A2
    found = evaluate(f"scores={file}", f"asv={verification(tmp_path / 'same.txt', ['A1', 'A2'])}")
    assert "min_tdcf_2019" in values(found)
    assert not says(found, "speaker verification")
    other = verification(tmp_path / "other.txt", ["A07", "A08"])
    with pytest.raises(
        ValueError, match=r"other.txt is of other trials .* attacks 'A07', 'A08', and system .* 'A1', 'A2'"
    ):
        evaluate(f"scores={file}", f"asv={other}")
    some = verification(tmp_path / "some.txt", ["A1", "A3"])
    found = evaluate(f"scores={file}", f"asv={some}")
    assert "min_tdcf_2019" in values(found)
    assert says(found, "'A2', 'A3' are only in one of")
    assert says(evaluate(f"scores={file}", "asv=asvspoof5"), "attacks that are not in it ('A1', 'A2')")


def test_speaker_verification_on_other_trials_is_refused_or_reported(evaluate, write_scores, tmp_path):
    table = pd.read_csv(write_scores("named", 0))
    file = tmp_path / "plain.csv"
    table.drop(columns="attack").to_csv(file, index=False)

    def given(prefix, first):
        ids = [f"{prefix}{number:04d}" for number in range(first, first + 100)]
        kinds = ["spoof" if number % 3 else ("target", "nontarget")[number % 2] for number in range(first, first + 100)]
        rows = pd.DataFrame({"spk": "s1", "filename": ids, "asv-label": kinds})
        rows.assign(**{"asv-score": np.linspace(0, 1, 100)}).to_csv(tmp_path / "asv.tsv", sep="\t", index=False)
        return f"scores={file}", f"asv={tmp_path / 'asv.tsv'}", f"asv_key={tmp_path / 'asv.tsv'}"

    with pytest.raises(
        ValueError, match=r"asv.tsv is of other trials .* it has spoof trials 'x0001', and plain .* 'e0000'"
    ):
        evaluate(*given("x", 0))
    assert says(evaluate(*given("e", 240)), "Only 60% of the spoof trials") is False  # more than half
    assert says(evaluate(*given("e", 270)), "Only 30% of the spoof trials of")
    assert "min_tdcf_2019" in values(evaluate(*given("e", 0)))


def test_score_files_and_keys_that_contradict_each_other_are_reported(evaluate, write_scores, tmp_path):
    first, second = write_scores("first", 0), write_scores("second", 1)
    table = pd.read_csv(second)
    table.loc[table.id == "e0001", "attack"] = "A2"
    table.to_csv(second, index=False)
    found = evaluate(f"scores=[{first},{second}]")
    assert says(found, "another attack for 1 of 300 trials ('e0001': 'A1' and 'A2')")
    assert not says(evaluate(f"scores=[{first},{second}]", "by=[codec]"), "another")
    assert says(evaluate(f"scores={first}", f"key={second}"), "first.csv and its key have another attack for 1 of 300")


def test_dev_scores_are_the_dev_part_of_their_key_and_on_the_same_scale(evaluate, write_scores, tmp_path):
    file, dev = write_scores("system", 0), write_scores("dev", 1, part="d")
    both = pd.concat([pd.read_csv(file).assign(split="eval"), pd.read_csv(dev).assign(split="dev")])
    both.to_csv(tmp_path / "both.csv", index=False)
    expected = values(evaluate(f"scores={file}", f"dev_scores={dev}"))
    found = evaluate(f"scores={tmp_path / 'both.csv'}", f"dev_scores={tmp_path / 'both.csv'}")
    assert values(found) == expected
    assert not says(found, "also gave the threshold")
    table = pd.read_csv(dev)
    table.assign(score=100 + table.score).to_csv(dev, index=False)
    assert says(evaluate(f"scores={file}", f"dev_scores={dev}"), "on one side of the threshold from dev")
