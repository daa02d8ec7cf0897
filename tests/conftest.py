from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from dfx import audio
from dfx.tables.manifest import Manifest

# Two test processes on two cores: one thread each, or they wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """48 clips of about a second in three splits: spoofs are noise with a tone (A2 in eval only)."""
    folder = tmp_path_factory.mktemp("corpus")
    generator = np.random.default_rng(0)
    rows = []
    for number in range(48):
        split = ("train", "dev", "eval")[number % 3]
        label = number // 3 % 2
        attack = "-" if label else ("A2" if split == "eval" and number % 4 else "A1")
        time = np.arange(int(generator.integers(8000, 24000))) / 16000
        waveform = 0.1 * generator.standard_normal(len(time))
        if attack != "-":
            waveform += 0.1 * np.sin(2 * np.pi * (1000 if attack == "A1" else 1500) * time)
        path = folder / f"u{number}.wav"
        audio.write(path, waveform.astype(np.float32), 16000)
        rows.append((f"u{number}", str(path), label, attack, f"s{number % 6}", split))
    columns = ["id", "path", "label", "attack", "speaker", "split"]
    return Manifest(pd.DataFrame(rows, columns=columns), name="tones")


@pytest.fixture(scope="session")
def corpus_file(corpus: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus as a table on disk, for `dataset=manifest`."""
    path = tmp_path_factory.mktemp("manifest") / "tones.csv"
    corpus.write(path)
    return path


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database without a run: seconds to make, and nothing to copy."""
    file = tmp_path_factory.mktemp("database") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments(max_results=1)
    return file


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Path]:
    """A working directory of its own, with its own MLflow database and cache."""
    before = Path.cwd(), os.environ.get("DFX_CACHE"), mlflow.get_tracking_uri()
    folder = tmp_path_factory.mktemp("home")
    shutil.copy(empty_database, folder)
    os.chdir(folder)
    os.environ["DFX_CACHE"] = str(folder / "cache")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    yield folder
    os.chdir(before[0])
    os.environ.pop("DFX_CACHE")
    if before[1] is not None:
        os.environ["DFX_CACHE"] = before[1]
    mlflow.set_tracking_uri(before[2])
