"""The house keeps its shape: imports go down, files are named after classes, options after files."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dfx.cli.prompt import option_heading

SOURCE = Path(__file__).parents[1] / "src" / "dfx"
CONF = Path(__file__).parents[1] / "conf"
LEVELS = [  # a module imports from lower levels and from its own folder; each folder or single file here is a room
    {"config", "tables", "files", "console"},
    {"audio", "metrics"},
    {"features", "models", "losses", "augment", "datasets", "tracking", "scorefiles"},
    {"detector"},
    {"reporting"},
    {"cli"},
    {
        *(
            "train",
            "prepare",
            "download",
            "evaluate",
            "report",
            "audit",
            "detect",
            "app",
            "monitor",
            "export",
            "register",
        ),
        "__main__",
    },
]
LEVEL = {name: number for number, level in enumerate(LEVELS) for name in level}
GROUPS = {"dataset": "datasets", "feature": "features", "model": "models", "loss": "losses"}


def modules():
    return sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def place(path):
    """The file, or the package it is in, directly below dfx."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def module_name(path):
    return ".".join(("dfx", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")


NAMES = {module_name(path): path for path in modules()}


def imports(path):
    """Modules of dfx that a file imports, also inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dfx":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in NAMES else str(node.module))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("dfx.")}
    return found - {"dfx"}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_only(path):
    own = place(path)
    assert own in LEVEL, f"{own} has no level: decide where it lives, and say so in docs/architecture.md"
    for module in imports(path):
        room = module.split(".")[1]
        assert room == own or LEVEL[room] < LEVEL[own], f"{path.relative_to(SOURCE)} imports {module}"


def test_no_import_circle():
    graph = {name: {other for other in imports(path) if other != name} for name, path in NAMES.items()}
    while graph:  # take away what imports nothing that is left; a circle is what stays
        leaves = [name for name, others in graph.items() if not others & graph.keys()]
        assert leaves, f"these import each other in a circle, or what does: {sorted(graph)}"
        for name in leaves:
            del graph[name]


def test_the_root_and_the_modules_of_workers_load_nothing_heavy():
    code = """if True:
        import sys, dfx
        dfx.load
        print({"torch", "mlflow", "numpy"} & set(sys.modules))
        import dfx.audio.part_writing
        print({"torch", "pandas", "rich", "av"} & set(sys.modules))
        from dfx.datasets.synthesis import demo_clips, twins
        print({"torch", "av", "matplotlib"} & set(sys.modules))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n" * 3


def test_the_root_holds_commands_and_rooms_only():
    entries = {path.stem for path in SOURCE.iterdir() if path.name not in ("__init__.py", "__pycache__")}
    assert entries == set(LEVEL)


def test_no_drawers():
    names = {part for path in modules() for part in path.relative_to(SOURCE).with_suffix("").parts}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


# Variants of a class under the names that their sources give them.
NAMED_BY_SOURCE = {"ann_s2", "resnet101", "se_res2net50"}


def test_train_reads_as_a_story():
    assert len((SOURCE / "train.py").read_text(encoding="utf-8").splitlines()) < 100


def options():
    return sorted(path for group in GROUPS for path in (CONF / group).glob("*.yaml"))


@pytest.mark.parametrize("path", options(), ids=lambda path: f"{path.parent.name}={path.stem}")
def test_an_option_is_named_after_its_class_and_its_file(path):
    text = path.read_text(encoding="utf-8")
    node = yaml.safe_load(re.sub(r"\$\{[^}]*\}", "x", text))
    target = node.get("_target_") or node.get(path.parent.name, {}).get("_target_")  # the second: @package _global_
    if target is None:
        parents = yaml.safe_load(text)["defaults"]
        named_alike = any(isinstance(parent, str) and path.stem.startswith(parent) for parent in parents)
        assert named_alike or path.stem in NAMED_BY_SOURCE
        return
    package, _, name = target.rpartition(".")
    assert package == f"dfx.{GROUPS[path.parent.name]}"
    file = Path(inspect.getfile(getattr(importlib.import_module(package), name)))
    assert file.stem.replace("_", "") == name.lower()
    assert path.stem.startswith(file.stem) or file.stem.startswith(path.stem)


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_an_option_says_what_it_is(path):
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("# @package")]
    assert re.match(r"# .{10,130}$", lines[0])


@pytest.mark.parametrize("group", ["feature", "model"])
def test_every_feature_and_model_has_a_heading_in_help(group):
    options = {path.stem: path for path in (CONF / group).glob("*.yaml")}
    assert [name for name in options if not option_heading(name, options)] == []  # a line "# Group: ..." in the YAML


def test_only_tracking_knows_mlflow():
    users = {place(path) for path in modules() if re.search(r"^\s*(import|from) mlflow", path.read_text("utf-8"), re.M)}
    assert users == {"tracking"}
