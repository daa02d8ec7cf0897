"""What is missing is named, with what to type."""

import json

import pytest

from dfx.reporting import missing_cells
from dfx.reporting.grid import grid_of_runs
from dfx.tracking.runs import RunRecord

COMMAND = "python -m dfx.train -m feature=lfcc,mfcc model=mlp seed=0,1 patience=3"


@pytest.fixture
def parent():
    axes = {"feature": ["lfcc", "mfcc"], "model": ["mlp"], "seed": ["0", "1"]}
    tags = {"kind": "sweep", "axes": json.dumps(axes), "command": COMMAND}
    return RunRecord("p", "sweep", "FINISHED", {}, {}, tags, "", 0, 1)


def place(feature, seed, **more):
    return {"sweep.p": f"feature={feature} model=mlp seed={seed}", **more}


def test_the_missing_cells_of_a_sweep(make, parent):
    runs = [
        make("lfcc", "mlp", 0, tags=place("lfcc", 0)),
        make("lfcc", "mlp", 0, tags=place("lfcc", 0), status="FAILED"),  # a later success replaced it
        make("lfcc", "mlp", 1, tags=place("lfcc", 1, error="No memory.", command="typed"), status="FAILED"),
        make("mfcc", "mlp", 0, tags=place("mfcc", 0, skipped="Does not fit."), status="KILLED"),
    ]
    found = missing_cells.find_missing_cells(runs, parent)
    assert [(cell.cell, cell.kind, cell.reason, cell.command) for cell in found] == [
        ("feature=lfcc model=mlp seed=1", "failed", "No memory.", "typed"),
        (
            "feature=mfcc model=mlp seed=1",
            "missing",
            "",
            "python -m dfx.train patience=3 feature=mfcc model=mlp seed=1",
        ),
        ("feature=mfcc model=mlp seed=0", "skipped", "Does not fit.", ""),
    ]


def test_what_runs_or_was_interrupted_is_not_missing(make, parent):
    runs = [make("lfcc", "mlp", s, tags=place("lfcc", s), status=w) for s, w in ((0, "RUNNING"), (1, "KILLED"))]
    found = missing_cells.find_missing_cells(runs, parent)
    assert [cell.kind for cell in found] == ["missing", "missing", "interrupted", "running"]
    assert found[3].command == "python -m dfx.train patience=3 feature=lfcc model=mlp seed=0"
    assert found[3].reason == "Still running, or killed without a status; repeat the command to resume."


def test_without_a_sweep_missing_cells_are_runs_that_did_not_finish(make):
    runs = [
        make("lfcc", "mlp", 0, tags={"config_hash": "a"}),
        make("lfcc", "mlp", 0, tags={"config_hash": "a"}, status="FAILED"),
        make("lfcc", "mlp", 1, tags={"config_hash": "b", "error": "No memory."}, status="FAILED"),
    ]
    (cell,) = missing_cells.find_missing_cells(runs, None)
    assert (cell.cell, cell.kind, cell.reason) == ("lfcc-mlp-s1", "failed", "No memory.")


def test_a_sweep_of_drawn_values_misses_only_what_it_drew(make, parent):
    parent.tags["axes"] = json.dumps({"lr": ["interval(0,1)"]})
    runs = [
        make("lfcc", "mlp", 0, tags={"sweep.p": f"lr={rate}"}, status=status)
        for rate, status in ((0.1, "FINISHED"), (0.2, "FAILED"))
    ]
    assert [cell.cell for cell in missing_cells.find_missing_cells(runs, parent)] == ["lr=0.2"]


def test_an_axis_that_a_command_adds_is_found_and_not_repeated(make, parent):
    parent.tags["axes"] = json.dumps({"feature": ["lfcc", "mfcc"], "+model.width": ["8", "4"]})
    parent.tags["command"] = "python -m dfx.train -m feature=lfcc,mfcc +model.width=8,4"
    runs = [
        make(feature, width, 0, tags={"sweep.p": f"feature={feature} +model.width={width}", "model.width": width})
        for feature, width in (("lfcc", "4"), ("lfcc", "8"), ("mfcc", "8"))
    ]
    (cell,) = missing = missing_cells.find_missing_cells(runs, parent)
    assert cell.command == "python -m dfx.train feature=mfcc +model.width=4"
    made = grid_of_runs(runs, "feature", "model.width", missing_cells.sweep_axes(parent))
    assert made.columns == ["8", "4"]
    assert missing_cells.missing_cells_by_place(missing, made) == {("mfcc", "4"): "missing"}


def test_the_command_of_one_cell():
    cell = "feature=mfcc model=mlp seed=1"
    assert (
        missing_cells.missing_cell_command("dfx train --multirun seed=0,1 '+a=x y'", "seed=1")
        == "dfx train '+a=x y' seed=1"
    )
    assert missing_cells.missing_cell_command("", cell) == ""
