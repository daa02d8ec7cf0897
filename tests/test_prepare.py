from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from dfx.audio import store, store_parts
from dfx.config.corpora import expand
from dfx.config.schema import CONF_DIR, register_schema
from dfx.datasets.corpus import Dataset
from dfx.detector import build
from dfx.prepare import prepare
from dfx.tables.manifest import Manifest

SIZES = "train 8 bona fide + 8 spoof, dev 8 bona fide + 8 spoof, eval 8 bona fide + 8 spoof"


def config(corpus_file: Path, cache: Path, *overrides: str) -> DictConfig:
    register_schema()
    given = ["dataset=manifest", f"dataset.path={corpus_file}", f"cache={cache}", "num_workers=0", *overrides]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return expand(compose("prepare", overrides=given))


def test_it_says_what_the_corpus_is_and_what_was_made(
    corpus_file: Path, corpus: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(config(corpus_file, tmp_path))
    told = capsys.readouterr().err
    assert f"48 utterances; {SIZES}\n" in told
    assert "Decoded 48 files in " in told
    assert " a second\n" in told
    folder = next((tmp_path / "waveforms").iterdir())
    opened = store.open_store(corpus, 16000, tmp_path, progress=False)
    assert opened.path == folder
    hours, size = opened.lengths.sum() / 16000 / 3600, 2 * opened.lengths.sum() / 2**20
    assert f"The waveform store {folder} is whole: {hours:.2f} hours, {size:.1f} MiB, 0 bad files\n" in told

    prepare(config(corpus_file, tmp_path))
    told = capsys.readouterr().err
    assert "Decod" not in told
    assert "is whole" in told


def test_shards_in_turn(
    corpus_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_parts, "MIN_PART_BYTES", 128 << 10)
    prepare(config(corpus_file, tmp_path, "shard=1", "num_shards=2"))
    told = capsys.readouterr().err
    folder = next((tmp_path / "waveforms").iterdir())
    assert "Shard 1 of 2: " in told
    assert f"Other shards of {folder} are not done yet; the last one finishes the store.\n" in told
    prepare(config(corpus_file, tmp_path, "shard=0", "num_shards=2"))
    told = capsys.readouterr().err
    assert "Shard 0 of 2: " in told
    assert "is whole" in told


def test_bad_files_are_told_and_too_many_are_an_error(
    corpus: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    table = corpus.table.copy()
    table.loc[0, "path"] = str(tmp_path / "text.wav")
    Manifest(table).write(tmp_path / "m.csv")
    with pytest.raises(
        ValueError, match=r"1 of 48 files \(2.1%\) are bad, more than max_bad_fraction 1.0% allows"
    ):
        prepare(config(tmp_path / "m.csv", tmp_path))
    prepare(config(tmp_path / "m.csv", tmp_path, "max_bad_fraction=0.03"))
    folder = next((tmp_path / "waveforms").iterdir())
    assert f"1 bad files, {folder / 'bad_files.csv'} says why\n" in capsys.readouterr().err


def test_ready_features_need_no_store(
    corpus: Manifest,
    corpus_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Table(Dataset):
        def manifest(self) -> Manifest:
            return corpus

        def vectors(self) -> np.ndarray:
            return np.zeros((48, 3), np.float32)

    monkeypatch.setattr(build, "dataset", lambda _: Table())
    prepare(config(corpus_file, tmp_path))
    assert "ready features and no audio: there is nothing to decode" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_shard_that_does_not_exist_is_refused_at_the_prompt(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dfx", "prepare", "shard=3", "num_shards=3"]
    environment = os.environ | {"DFX_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert (
        done.stderr == "Error: There is no shard 3 of 3: they are numbered from 0, so give one from 0 to 2.\n"
    )
    assert not (tmp_path / "cache").exists()
