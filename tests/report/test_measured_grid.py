"""What is concluded is what the scores allow."""

import dataclasses
from pathlib import Path

import pytest

from dfx.metrics import PairedEers
from dfx.report import run_scores
from dfx.report.measured_grid import AS_GOOD, BETTER, CHOSEN, UNTESTED, WORSE, holm_correction, measure_grid
from dfx.reporting import grid
from dfx.tables.score_table import ScoreTable


def measure_runs(runs, metric="eval/eer", resamples=400):
    return measure_grid(grid.grid_of_runs(runs, "feature", "model"), metric, resamples)


def marks(measured):
    return {model: one.mark for (_, model), one in measured.cells.items()}


def test_dev_chooses_and_eval_only_measures(make):
    far = {"a": (3.0, 2.0), "b": (2.0, 2.02), "c": (2.0, 0.5), "d": (1.0, 5.0)}
    runs = [make("lfcc", model, seed, *of) for model, of in far.items() for seed in (0, 1)]
    measured = measure_runs(runs)
    assert marks(measured) == {"a": CHOSEN, "b": AS_GOOD, "c": WORSE, "d": BETTER}
    assert all(one.interval.low <= one.mean <= one.interval.high for one in measured.cells.values() if one.interval)


def test_interval_and_test_are_those_of_the_metrics(make):
    runs = [make("lfcc", model, seed, far, far) for model, far in (("a", 2.5), ("b", 2.0)) for seed in (0, 1)]
    measured = measure_runs(runs)
    tables = {
        model: [measured.tables[run.run_id] for run in one.cell.runs] for (_, model), one in measured.cells.items()
    }
    one = measured.cells["lfcc", "b"]
    assert one.interval == PairedEers([tables["b"]], None, 400).interval(0)
    assert one.difference == pytest.approx(PairedEers([tables["b"], tables["a"]], None, 400).difference(0, 1))


def test_holm():
    assert holm_correction([0.01, 0.04, 0.03]) == [0.03, 0.06, 0.06]
    assert holm_correction([0.6, 0.9]) == [1.0, 1.0]
    assert holm_correction([]) == []


def test_cells_of_different_trials_are_not_compared(make):
    runs = [make("lfcc", model, s, far, far) for model, far in (("a", 3.0), ("b", 1.0)) for s in (0, 1)]
    runs += [make("lfcc", model, s, far, far, "x") for model, far in (("c", 2.0), ("d", 2.0)) for s in (0, 1)]
    measured = measure_runs(runs)
    assert marks(measured) == {"a": CHOSEN, "b": WORSE, "c": CHOSEN, "d": AS_GOOD}
    assert "2 different lists of trials" in measured.notes[0]


def test_each_list_of_trials_is_drawn_by_its_own_speakers(make):
    runs = [make("lfcc", "a", 0), make("lfcc", "b", 0, name="x"), make("lfcc", "c", 0, name="y")]
    for run, speakers in zip(runs[1:], (20, 12), strict=True):
        path = Path(run.artifact_uri) / "scores" / "eval.csv"
        table = ScoreTable.read(path).table
        names = [f"s{number // 2 % speakers}" for number in range(len(table))]
        ScoreTable(table.assign(speaker=names)).write(path)
    measured = measure_runs(runs)
    assert measured.drawn == "speakers or trials"
    said = [note for note in measured.notes if "draws of" in note]
    assert sorted(note.partition("whole speakers (")[2][:2] for note in said) == ["12", "20"]


def test_seeds_on_different_trials_have_no_interval(make):
    runs = [make("lfcc", "a", 0), make("lfcc", "a", 1, name="x"), make("lfcc", "b", 0)]
    measured = measure_runs(runs)
    assert measured.cells["lfcc", "a"].interval is None
    assert marks(measured) == {"a": UNTESTED, "b": UNTESTED}
    assert measured.notes[0].startswith("No interval and no test for lfcc · a: ")


def test_one_seed_is_not_chosen_where_another_cell_has_several(make):
    runs = [make("lfcc", "lucky", 0, 5.0, 1.0), *(make("lfcc", "steady", seed) for seed in (0, 1))]
    assert marks(measure_runs(runs))["steady"] == CHOSEN
    assert marks(measure_runs([runs[0], runs[1]]))["lucky"] == CHOSEN


def test_other_metrics_have_mean_and_deviation_only(make):
    runs = [make("lfcc", model, seed) for model in "ab" for seed in (0, 1)]
    measured = measure_runs(runs, "eval/auc")
    assert {one.interval for one in measured.cells.values()} == {None}
    assert marks(measured) == {"a": UNTESTED, "b": UNTESTED}
    of_attack = measure_runs(runs, "eval/eer/A07").cells["lfcc", "a"]
    assert of_attack.interval.low <= of_attack.mean <= of_attack.interval.high


def test_a_metric_that_nobody_has_or_that_has_no_direction_is_refused(make):
    runs = [make("lfcc", "a", 0)]
    with pytest.raises(ValueError, match="Whether a higher eval/cllr_x is better is not known"):
        measure_runs(runs, "eval/cllr_x")
    with pytest.raises(ValueError, match=r"No run has the metric 'eval/min_tdcf_2019': they have .*eval/auc"):
        measure_runs(runs, "eval/min_tdcf_2019")


def test_resamples_follow_the_number_of_cells(make):
    runs = [make("lfcc", f"m{number}", 0) for number in range(8)]
    assert measure_runs(runs, resamples=None).resamples == 8 * 400


def test_score_files_of_the_same_trials_are_read_alike(make):
    runs = [make("lfcc", "a", seed) for seed in range(3)]
    tables, problems = run_scores.read_run_scores(runs, "eval")
    assert problems == []
    for run in runs:
        alone = ScoreTable.read(Path(run.artifact_uri) / "scores" / "eval.csv")
        assert tables[run.run_id].table.equals(alone.table)


def test_a_broken_score_file_is_told_and_a_missing_one_left_out(make):
    runs = [make("lfcc", "a", seed) for seed in range(3)]
    broken = Path(runs[1].artifact_uri) / "scores" / "eval.csv"
    lines = broken.read_text(encoding="utf-8").splitlines()
    broken.write_text("\n".join([*lines[:-1], lines[-1].rpartition(",")[0] + ",nan"]), encoding="utf-8")
    gone = dataclasses.replace(runs[2], artifact_uri="nowhere")
    tables, problems = run_scores.read_run_scores([*runs[:2], gone], "eval")
    assert list(tables) == ["run1"]
    assert "lfcc-a-s1: eval.csv cannot be used: 1 of 240 utterances have a score that is not a finite" in problems[0]


def test_too_few_resamples_for_any_difference_are_told(make):
    runs = [make("lfcc", f"m{number}", 0, 2.0, 5.0 * (number == 0)) for number in range(4)]
    few, enough = measure_runs(runs, resamples=20), measure_runs(runs, resamples=400)
    assert "20 resamples are too few for any of 3 differences" in few.notes[0]
    assert WORSE not in marks(few).values()
    assert enough.notes == []
    assert WORSE in marks(enough).values()


def test_an_attack_of_a_single_trial_has_no_interval(make):
    runs = [make("lfcc", model, 0) for model in "ab"]
    for run in runs:
        file = Path(run.artifact_uri) / "scores" / "eval.csv"
        table = ScoreTable.read(file).table
        table.loc[table["label"].eq(0).idxmax(), "attack"] = "rare"
        ScoreTable(table).write(file)
        run.metrics["eval/eer/rare"] = 0.5
    measured = measure_runs(runs, "eval/eer/rare")
    assert set(marks(measured).values()) == {UNTESTED}
    assert measured.cells["lfcc", "a"].mean == 0.5
