from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dfx.datasets import Combined, Dataset
from dfx.tables.findings import make_finding
from dfx.tables.manifest import Manifest


class Given(Dataset):
    """A corpus that a test wrote down."""

    def __init__(self, name: str, splits: str = "train dev eval", note: str = "", **extra: object) -> None:
        rows = [
            {"id": f"u{number}", "path": f"/{name}/{split}/{number}.wav", "label": number % 2, "split": split}
            for split in splits.split()
            for number in range(4)
        ]
        table = pd.DataFrame(rows)
        table["id"] = table["split"] + "-" + table["id"]
        table["attack"] = (table["label"] == 0).map({True: "A07", False: "-"})
        table["speaker"] = "s1"
        self.table = table.assign(**extra)
        self.note = note

    def manifest(self) -> Manifest:
        self.findings = (make_finding("row-count", "warning", "look", ["x"]),)
        return Manifest(self.table, name="given")


def test_each_split_comes_from_the_corpora_that_are_named() -> None:
    corpora = {"a": Given("a", codec="opus"), "b": Given("b"), "c": Given("c", "eval", bits=16)}
    combined = Combined(["a"], ["b"], ["a", "c"], corpora)  # type: ignore[arg-type]
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


def test_a_split_can_be_taken_from_another_or_whole() -> None:
    corpora = {"a": Given("a"), "b": Given("b", "eval"), "c": Given("c")}
    table = Combined(["b:eval"], ["a"], ["c:all"], corpora).manifest().table  # type: ignore[arg-type]
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
def test_what_cannot_be_is_said(train: list[str], evaluation: list[str], words: str) -> None:
    corpora: dict[str, Dataset] = {"a": Given("a"), "b": Given("b", "eval"), "c": Given("c")}
    with pytest.raises(ValueError, match=words):
        Combined(train, ["c"], evaluation, corpora).manifest()


def test_notes_of_the_parts_stay() -> None:
    corpora: dict[str, Dataset] = {"a": Given("a", note="made up"), "b": Given("b", note="made up")}
    assert Combined(["a"], ["b"], ["a"], corpora).note == "made up"


def test_names_become_what_the_options_hold(tmp_path: Path) -> None:
    from hydra import compose, initialize_config_dir

    from dfx.config.corpora import expand_corpora
    from dfx.config.identity import config_hash
    from dfx.config.schema import CONF_DIR, register_schema
    from dfx.detector.checks import check_config

    register_schema()
    options = [
        "dataset=combined",
        "dataset.train=[demo,mine]",
        "dataset.dev=[demo]",
        "dataset.eval=[demo,mine:all]",
    ]

    def composed(*overrides: str):  # type: ignore[no-untyped-def]
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            return expand_corpora(compose("train", overrides=[*options, *overrides]))

    def corpora(demo: str = "") -> str:
        return f"dataset.corpora={{mine:{{dataset:folder,path:{tmp_path}}}{demo}}}"

    cfg = composed(corpora())
    check_config(cfg)
    assert cfg.dataset.corpora.mine._target_ == "dfx.datasets.Folder"
    assert cfg.dataset.corpora.mine.path == str(tmp_path)
    assert cfg.dataset.corpora.demo.num_clips == 1200
    # Where and how it is made is no part of a run's identity; what it holds is.
    same = composed(corpora(",demo:{num_workers:1}"))
    other = composed(corpora(",demo:{num_clips:800}"))
    assert config_hash(cfg, "m") == config_hash(same, "m") != config_hash(other, "m")
    with pytest.raises(ValueError, match="there is no dataset 'mine'"):
        composed()
    with pytest.raises(ValueError, match=r"num_clip: Demo has no such argument; did you mean 'num_clips'"):
        check_config(composed(corpora(",demo:{num_clip:800}")))
