from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def dfx(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dfx.train", *arguments]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["model=lccn"], "model=lccn: there is no such model; did you mean 'lcnn'?"),
        (["model.widht=3"], "model.widht: there is no such key; did you mean 'model.width'?"),
        (["modle=lcnn"], "modle: there is no such key; did you mean 'model'?"),
        (["data.batchsize=3"], "data.batchsize: there is no such key; did you mean 'data.batch_size'?"),
        (
            ["experiment=lfcc_lcn"],
            "experiment=lfcc_lcn: there is no such experiment; did you mean 'lfcc_lcnn'?",
        ),
        (["batch_size=16"], "batch_size: there is no such key; did you mean 'data.batch_size'?"),
        (["lr=0.1"], "lr: there is no such key; did you mean 'optimizer.lr'?"),
        (["seed=abc"], "seed: Value 'abc' of type 'str' could not be converted to Integer"),
        (["feature=lfcc,"], "'feature=lfcc,' cannot be read as KEY=VALUE"),
        (["-m", "model=lcnn,lccn"], "model=lccn: there is no such model; did you mean 'lcnn'?"),
    ],
)
def test_a_typing_error_gives_one_sentence_and_touches_nothing(
    arguments: list[str], sentence: str, tmp_path: Path
) -> None:
    done = dfx(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {sentence}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sede: 3", "sede: there is no such key (in experiment/mine.yaml); did you mean 'seed'?"),
        ("data: {batchsize: 5}", "data.batchsize: there is no such key (in experiment/mine.yaml);"),
        ("model: {widht: 5}", "model.widht: LCNNLight has no such argument; did you mean 'width'?"),
        ("model: {dropout: much}", "model.dropout: expected float, got 'much' (str)."),
    ],
)
def test_an_experiment_file_is_checked_alike(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{text}\n")
    done = dfx("--config-dir", str(tmp_path), "experiment=mine", cwd=tmp_path)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "mlflow.db").exists()


def test_help_lists_every_option_with_its_meaning_and_those_of_a_plug_in(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("# a model of my own\n_target_: x.Y\n")
    text = dfx("--help", "--config-dir", str(tmp_path), cwd=tmp_path).stdout
    conf = Path(__file__).parents[2] / "conf"
    for path in [p for p in conf.glob("*/*.yaml") if p.parent.name not in ("hydra", "mask")]:
        line = next(line for line in text.splitlines() if line.startswith(f"  {path.stem} "))
        assert len(line.split(None, 1)[1]) > 10, line
    assert "a model of my own" in text
    assert "  seed=0 " in text
    assert "  data.batch_size=32 " in text


@pytest.mark.parametrize("argument", [["--help"], ["--cfg", "job"]])
def test_help_and_cfg_do_not_import_torch(argument: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "dfx.train", *argument]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "pytorch_lightning", "mlflow", "pandas", "scipy", "matplotlib"}


def test_the_whole_trace_is_shown_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert "Traceback" in dfx("model=lccn", cwd=tmp_path).stderr
