import pandas as pd
import pytest

from dfx.datasets import Combined
from dfx.tables.findings import make_finding
from setups import GivenDataset


def given(name, splits="train dev eval", note="", **columns):
    """A corpus with two recordings of each class in each split."""
    rows = [(f"{split}-u{n}", f"/{name}/{split}/{n}.wav", n % 2, split) for split in splits.split() for n in range(4)]
    table = pd.DataFrame(rows, columns=["id", "path", "label", "split"]).assign(speaker="s1", **columns)
    table["attack"] = table["label"].map({0: "A07", 1: "-"})
    return GivenDataset(table, note=note, findings=[make_finding("row-count", "warning", "look", ["x"])])


def test_each_split_comes_from_the_corpora_that_are_named():
    corpora = {"a": given("a", codec="opus"), "b": given("b"), "c": given("c", "eval", bits=16)}
    combined = Combined(["a"], ["b"], ["a", "c"], corpora)
    table = combined.manifest().table
    assert table.groupby("split")["corpus"].unique().map(list).to_dict() == {
        "train": ["a"],
        "dev": ["b"],
        "eval": ["a", "c"],
    }
    assert len(table) == 16
    assert table["id"].str.startswith(("a/", "b/", "c/")).all()
    assert set(table["attack"]) == {"-", "a.A07", "b.A07", "c.A07"}
    assert set(table["codec"]) == {"opus", "-"}
    assert len(combined.findings) == 3


def test_a_split_can_be_taken_from_another_or_whole():
    corpora = {"a": given("a"), "b": given("b", "eval"), "c": given("c")}
    table = Combined(["b:eval"], ["a"], ["c:all"], corpora).manifest().table
    assert table["split"].value_counts().to_dict() == {"eval": 12, "train": 4, "dev": 4}


@pytest.mark.parametrize(
    ("train", "evaluation", "words"),
    [
        (["b"], ["a"], "takes the train split of b, which has eval only: write b:all"),
        (["a:all"], ["a"], "4 recordings are in train and in eval"),
        (["a:test"], ["a"], "asks for a split 'test'"),
        ([], ["a"], "has no corpus for train"),
    ],
)
def test_what_cannot_be_is_said(train, evaluation, words):
    corpora = {"a": given("a"), "b": given("b", "eval"), "c": given("c")}
    with pytest.raises(ValueError, match=words):
        Combined(train, ["c"], evaluation, corpora).manifest()


def test_notes_of_the_parts_stay():
    corpora = {"a": given("a", note="made up"), "b": given("b", note="made up")}
    assert Combined(["a"], ["b"], ["a"], corpora).note == "made up"
