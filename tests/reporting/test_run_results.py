import numpy as np
import pandas as pd
import pytest

from dfx.reporting import run_results
from dfx.reporting.run_results import seen_unseen_eer, wrong_way_warning
from dfx.tables.score_table import ScoreTable
from dfx.tracking.run import TrackedRun
from setups import score_table


def test_spoof_of_unknown_attack_is_neither_seen_nor_unseen():
    attack = ["-", "-", "A1", "A2", "-"]
    table = pd.DataFrame({"id": list("abcde"), "attack": attack, "label": [1, 1, 0, 0, 0]})
    scores = ScoreTable(table.assign(score=[2.0, 3.0, 0.0, 9.0, 9.0]))
    assert seen_unseen_eer(scores, {"-", "A1"}) == pytest.approx({"eer_seen": 0.0, "eer_unseen": 1.0})
    unknown = ScoreTable(scores.table[scores.table["attack"] == "-"])
    assert seen_unseen_eer(unknown, {"-"}) == {}


def test_a_detector_that_ranks_the_wrong_way_round_is_reported():
    bonafide, spoof = np.random.default_rng(0).normal(size=(2, 40))
    assert "well below 0.5" in wrong_way_warning(score_table(bonafide - 1.5, spoof))
    assert not wrong_way_warning(score_table(bonafide, spoof))


def test_the_result_of_a_run_is_a_table_with_meanings(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(TrackedRun, "artifact_uri", "artifacts/of/run")
    monkeypatch.setattr(run_results, "shared_view_link", lambda run_id: f"http://ui/{run_id}")
    metrics = {"dev/eer": 0.032, "eval/eer": 0.0629, "eval/auc": 0.9, "eval/eer_unseen": 0.1192}
    metrics |= {"eval/eer/A07": 0.02, "eval/eer/A08": 0.21, "epochs": 19.0, "best_epoch": 10.0}
    run = TrackedRun("id", tmp_path, "lfcc-mlp-demo-s0", finished=True, metrics=metrics)
    to_beat = {"text": "Beat AUC 0.60.", "high": 0.7}
    assert run_results.show_run_results(run, "synthetic corpus", to_beat) == 0.032
    shown = capsys.readouterr().out
    assert shown.startswith("\nlfcc-mlp-demo-s0: finished before; rerun=true runs it again\n")
    row = next(line for line in shown.splitlines() if "EER, unseen" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        "EER, unseen attacks",
        "",
        "11.92 %",
        "attacks not in train",
    ]
    for line in (
        "eval EER by attack, %: A08 21.0, A07 2.0",
        "Beat AUC 0.60. This run: AUC 0.90, above that interval.",
        "view       http://ui/id",
        "Synthetic corpus",
        "dev chose epoch 10 of 0-18; one seed: report several.",
        "artifacts  artifacts/of/run",
    ):
        assert line in shown.splitlines()
    assert run_results.show_run_results_line(run) == 0.032
    assert capsys.readouterr().out == "lfcc-mlp-demo-s0: dev EER 3.2 %, eval EER 6.3 %, finished before\n"
