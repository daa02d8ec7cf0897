"""The command line: a typing error gives one sentence, and --help is fast and complete."""

import subprocess
import sys

import mlflow
import pytest

from dfx import train
from dfx.config import overrides
from dfx.config.schema import CONF_DIR
from dfx.report import __main__ as report
from setups import type_command


@pytest.fixture
def type_in(tmp_path, monkeypatch, capsys):
    """Types a command of dfx.train in an empty folder; gives what it exits with and prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")

    def typed(*arguments):
        code = type_command(train.main, *arguments)
        shown = capsys.readouterr()
        assert not (tmp_path / "mlflow.db").exists()
        return code, shown.out + shown.err

    return typed


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["model=lccn"], "model=lccn: there is no such model; did you mean 'lcnn'?"),
        (["model.widht=3"], "model.widht: there is no such key; did you mean 'model.width'?"),
        (["modle=lcnn"], "modle: there is no such key; did you mean 'model'?"),
        (["data.batchsize=3"], "data.batchsize: there is no such key; did you mean 'data.batch_size'?"),
        (["schedule=warmup"], "schedule=warmup: there is no such schedule; "),
        (["conditioning.trim=40"], "conditioning.trim: there is no such key; did you mean"),
        (["experiment=lfcc_lcn"], "experiment=lfcc_lcn: there is no such experiment; did you mean 'lfcc_lcnn'?"),
        (["batch_size=16"], "batch_size: there is no such key; did you mean 'data.batch_size'?"),
        (["lr=0.1"], "lr: there is no such key; did you mean 'optimizer.lr'?"),
        (["seed=abc"], "seed: Value 'abc' of type 'str' could not be converted to Integer"),
        (["feature=lfcc,"], "'feature=lfcc,' cannot be read as KEY=VALUE"),
        (["-m", "model=lcnn,lccn"], "model=lccn: there is no such model; did you mean 'lcnn'?"),
    ],
)
def test_a_typing_error_gives_one_sentence_and_touches_nothing(arguments, sentence, type_in):
    code, shown = type_in(*arguments)
    assert str(code).startswith(f"Error: {sentence}")
    assert "\n" not in str(code)
    assert shown == ""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sede: 3", "sede: there is no such key (in experiment/mine.yaml); did you mean 'seed'?"),
        ("data: {batchsize: 5}", "data.batchsize: there is no such key (in experiment/mine.yaml);"),
        ("model: {widht: 5}", "model.widht: LCNNLight has no such argument; did you mean 'width'?"),
    ],
)
def test_an_experiment_file_is_checked_alike(text, sentence, tmp_path, type_in):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{text}\n")
    code, shown = type_in("--config-dir", str(tmp_path), "experiment=mine")
    assert sentence in str(code)
    assert "Traceback" not in shown


def test_help_lists_every_option_with_its_meaning_and_those_of_a_plug_in(tmp_path, type_in):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("# a model of my own\n_target_: x.Y\n")
    code, text = type_in("--help", "--config-dir", str(tmp_path))
    assert code == 0
    for path in CONF_DIR.glob("*/*.yaml"):
        if path.parent.name not in ("audio", "hydra", "mask"):
            line = next(line for line in text.splitlines() if line.startswith(f"  {path.stem} "))
            assert len(line.split(None, 1)[1]) > 10, line
    assert "a model of my own" in text
    cepstra, spectrograms = text.index("\nfeature= cepstra:"), text.index("\nfeature= spectrograms:")
    assert cepstra < text.index("\n  lfcc_2021 ") < spectrograms < text.index("\n  logmel_specavg ")
    assert text.index("\nmodel= for maps of one length:") < text.index("\nmodel= one of:") < text.index("\n  mine ")
    assert "Group:" not in text
    assert "  seed=0 " in text
    assert "  data.batch_size=32 " in text


def test_only_the_cache_of_the_command_is_a_path():
    given = ["feature.cache=true", "cache=true", "model.checkpoint=/a b/c (2).pth"]
    assert overrides.quote_paths(given) == ["feature.cache=true", "cache='true'", "model.checkpoint='/a b/c (2).pth'"]


def test_a_dangling_link_and_a_file_in_the_way_are_one_sentence(tmp_path, type_in):
    (tmp_path / "link").symlink_to("/nowhere/at/all")
    code, _ = type_in("cache=link")
    assert code.startswith(f"Error: {tmp_path}/link is a link to /nowhere/at/all, which does not exist. Make")
    (tmp_path / "file").touch()
    code, _ = type_in("cache=file")
    assert "where a folder should be" in code
    assert f"{tmp_path}/file" in code


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("htp://x", "got unsupported URI 'htp://x'"),
        ("sqlite://mlflow.db", "Invalid SQLite URL"),
        ("sqlite:mlflow.db", "Could not parse"),
        ("mysql://me:secret@host/runs", "No module named 'MySQLdb'"),
        ("htp://me:secret@host/runs", "got unsupported URI 'htp://me:***@host/runs'"),
        ("http://no host/", "Invalid url"),
    ],
)
def test_an_address_that_mlflow_cannot_use_is_one_sentence(address, reason, home):
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(address)
    try:
        code = type_command(report.main)
    finally:
        mlflow.set_tracking_uri(before)
    shown = address.replace("secret", "***")
    assert code.startswith(f"Error: MLflow cannot use MLFLOW_TRACKING_URI={shown} (")
    assert reason in code
    assert "Use http://HOST:PORT" in code
    assert "secret" not in code


def test_a_working_folder_that_is_gone_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert type_command(report.main).startswith("Error: The working folder was removed: change into another one")


def test_the_whole_trace_is_shown_on_request(type_in, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(Exception, match="lccn"):
        type_in("model=lccn")


@pytest.mark.slow
@pytest.mark.parametrize("argument", [["--help"], ["--cfg", "job"]])
def test_help_and_cfg_do_not_import_torch(argument, tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "dfx.train", *argument]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "pytorch_lightning", "mlflow", "pandas", "scipy", "matplotlib"}


@pytest.mark.slow
def test_an_error_of_the_command_itself_has_no_trace(tmp_path):
    command = [sys.executable, "-m", "dfx", "train", "model=lccn"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: model=lccn: there is no such model; did you mean 'lcnn'?")
    assert done.stderr.count("\n") == 1
