import pytest

from dfx.reporting import sweep_summary

AXES = {"feature": ["lfcc", "mfcc"], "seed": ["0", "1"]}


def test_the_summary_counts_cells_and_lists_those_without_a_result(make, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    found = [
        make("lfcc", "mlp", 0, tags={"sweep.p": "feature=lfcc seed=0"}),
        make("lfcc", "mlp", 0, tags={"sweep.p": "feature=lfcc seed=0", "error": "No memory."}, status="FAILED"),
        make("lfcc", "mlp", 1, tags={"sweep.p": "feature=lfcc seed=1"}),
        make("lfcc", "mlp", 1, tags={"sweep.p": "feature=lfcc seed=1"}, status="RUNNING"),
        make("mfcc", "mlp", 0, tags={"sweep.p": "feature=mfcc seed=0", "skipped": "Too short."}, status="KILLED"),
    ]
    summary = sweep_summary.show_sweep_summary("p", AXES, 4, 2, found)
    assert not summary.complete
    mean = (found[0].metrics["dev/eer"] + found[2].metrics["dev/eer"]) / 2
    assert summary.metrics["dev/eer"] == pytest.approx(mean)
    assert (summary.metrics["cells/done"], summary.metrics["cells/failed"]) == (2, 1)
    assert "Best cell on dev: lfcc, EER on dev " in summary.description
    assert "Cells: 2 finished, 1 failed, 1 skipped, 1 without a run." in summary.description
    assert "failed feature=lfcc seed=0: No memory." in summary.description
    shown = capsys.readouterr().out
    assert "EER on dev (%), mean ± deviation over 2 seeds" in shown
    assert "1 finished before, 1 finished now, 1 failed, 1 skipped, 1 without a run" in shown
    assert "skipped  feature=mfcc seed=0: Too short." in shown
    assert "failed   feature=lfcc seed=0: No memory." in shown
    assert "seed=1:" not in shown  # another process runs a cell that has a result
    assert shown.endswith("report   python -m dfx.report sweep=p\n")
    capsys.readouterr()
    assert sweep_summary.show_sweep_summary("p", AXES, None, 2, [found[0], found[-1]]).complete


def test_a_cell_under_way_is_no_result(make, capsys):
    run = make("lfcc", "mlp", 0, tags={"sweep.p": "seed=0", "command": "dfx train seed=0"}, status="RUNNING")
    assert not sweep_summary.show_sweep_summary("p", {"seed": ["0"]}, 1, 0, [run]).complete
    shown = capsys.readouterr().out
    assert "Still running, or killed without a status; repeat the command to resume." in shown
    assert "dfx train seed=0" in shown
