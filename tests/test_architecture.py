"""The house keeps its shape: imports go down, files are named after classes, options after files."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest
import yaml

SOURCE = Path(__file__).parents[1] / "src" / "dfx"
CONF = Path(__file__).parents[1] / "conf"
FLOORS = [
    {
        "labels",
        "audio",
        "audio_av",
        "audio_riff",
        "segments",
        "manifest",
        "store",
        "store_build",
        "store_index",
        "store_parts",
        "scores",
        "metrics",
        "dsp",
        "plots",
        "schedule",
    }
    | {
        "synthesis",
        "parallel",
        "findings",
        "conditioning",
        "fetch",
        "transfer",
        "unpack",
        "spectrum",
        "vectors",
        "scorefiles",
        "fusion",
        "protocol",
        "pages",
    },
    {"datasets", "features", "models", "losses", "augment"},
    {"detector", "datamodule", "sampling", "checkpoint", "costs", "feature_store", "feature_build"},
    {"config", "checks", "naming", "build", "provenance", "tracking", "results", "cli", "audits"}
    | {"runs", "database", "sweep", "sweep_table", "cells", "launchers"},
    {"train", "audit", "download", "prepare", "evaluate", "report", "__main__"},
]
FLOOR = {name: number for number, floor in enumerate(FLOORS) for name in floor}
GROUPS = {"dataset": "datasets", "feature": "features", "model": "models", "loss": "losses"}


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def place(path: Path) -> str:
    """The file, or the package it is in, directly below dfx."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Places that a file imports from, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "dfx":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("dfx.")}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_only(path: Path) -> None:
    own = place(path)
    assert own in FLOOR, f"{own} has no floor: decide where it lives, and say so in docs/architecture.md"
    for other in imports(path) - {own}:
        same_floor_allowed = FLOOR[own] != 1  # the packages of floor 1 do not know each other
        assert FLOOR[other] < FLOOR[own] or (same_floor_allowed and FLOOR[other] == FLOOR[own]), (own, other)


def test_no_drawers() -> None:
    names = {part for path in modules() for part in path.relative_to(SOURCE).with_suffix("").parts}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


def test_train_reads_as_a_story() -> None:
    assert len((SOURCE / "train.py").read_text(encoding="utf-8").splitlines()) < 100


def options() -> list[Path]:
    return sorted(path for group in GROUPS for path in (CONF / group).glob("*.yaml"))


@pytest.mark.parametrize("path", options(), ids=lambda path: f"{path.parent.name}={path.stem}")
def test_an_option_is_named_after_its_class_and_its_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    node = yaml.safe_load(re.sub(r"\$\{[^}]*\}", "x", text))
    target = node.get("_target_") or node.get(path.parent.name, {}).get(
        "_target_"
    )  # the second: @package _global_
    if target is None:
        parents = yaml.safe_load(text)["defaults"]
        assert any(isinstance(parent, str) and path.stem.startswith(parent) for parent in parents)
        return
    package, _, name = target.rpartition(".")
    assert package == f"dfx.{GROUPS[path.parent.name]}"
    file = Path(inspect.getfile(getattr(importlib.import_module(package), name)))
    assert file.stem.replace("_", "") == name.lower()
    assert path.stem.startswith(file.stem) or file.stem.startswith(path.stem)


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_an_option_says_what_it_is(path: Path) -> None:
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("# @package")
    ]
    assert re.match(r"# .{10,130}$", lines[0])


def test_only_four_modules_know_mlflow() -> None:
    users = {
        place(path)
        for path in modules()
        if re.search(r"^\s*(import|from) mlflow", path.read_text("utf-8"), re.M)
    }
    assert users == {"tracking", "cells", "database", "runs"}
