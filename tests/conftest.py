import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest

from dfx import audio
from dfx.metrics import summary
from dfx.tables.manifest import Manifest
from dfx.tables.score_table import ScoreTable
from dfx.tracking.runs import RunRecord
from setups import TINY_WAV2VEC2

# Two test processes on two cores: one thread each, or they wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def babble():
    """Clips (samples,) that differ as recordings of speech do: noise of changing level and colour, at a loudness."""

    def make(samples, seed, rate=16000, level_db=-22.0):
        generator = np.random.default_rng(seed)
        step = rate // 10
        pieces = []
        for _ in range(-(-samples // step)):
            points = np.linspace(0, step // 2, 9)
            shape = np.interp(np.arange(step // 2 + 1), points, generator.uniform(-2, 0, 9))
            piece = np.fft.irfft(np.fft.rfft(generator.standard_normal(step)) * 10**shape, step)
            pieces.append(piece * 10 ** generator.uniform(-0.7, 0))
        clip = np.concatenate(pieces)[:samples]
        return clip * 10 ** (level_db / 20) / np.sqrt(np.mean(clip**2))

    return make


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
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
        audio.write_audio(path, waveform.astype(np.float32), 16000)
        rows.append((f"u{number}", str(path), label, attack, f"s{number % 6}", split))
    columns = ["id", "path", "label", "attack", "speaker", "split"]
    return Manifest(pd.DataFrame(rows, columns=columns), name="tones")


@pytest.fixture(scope="session")
def corpus_file(corpus, tmp_path_factory):
    """The corpus as a table on disk, for `dataset=manifest`."""
    path = tmp_path_factory.mktemp("manifest") / "tones.csv"
    corpus.write(path)
    return path


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """MLflow's database without a run: seconds to make, and nothing to copy."""
    file = tmp_path_factory.mktemp("database") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments(max_results=1)
    return file


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
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


@pytest.fixture(scope="module")
def undrawn_figures():
    """Figures are files without a picture: drawing takes most of the time of a small run."""
    from dfx.reporting import figures
    from dfx.reporting.figures import style

    with pytest.MonkeyPatch.context() as patched:
        for module in (figures, style):
            patched.setattr(module, "figure_png", lambda figure: b"")
        yield


@pytest.fixture
def free_bytes(monkeypatch):
    """Gives every disk so many free bytes."""

    def set_free(count):
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=count))

    return set_free


def normal_scores(split, distance, seed, trials=240, name=""):
    """Normal deviates, the same trials for every detector; those of one trial are alike whatever the seed."""
    number = np.arange(trials)
    label = (number % 2).astype(int)
    attack = np.where(label == 1, "-", np.where(number % 4 == 0, "A07", "A_8"))
    common = np.random.default_rng(len(split)).normal(0, 1, trials)
    own = np.random.default_rng([seed, len(split)]).normal(0, 0.3, trials)
    table = {"id": [f"{name}{split}{i:04d}" for i in number], "attack": attack, "label": label}
    return ScoreTable(pd.DataFrame({**table, "score": distance * (label - 0.5) + common + own}))


@pytest.fixture
def make(tmp_path):
    """Makes a finished run with its score files; `dev` and `eval` are how far apart the classes are."""
    made = 0

    def run(feature, model, seed, dev=2.0, evaluation=2.0, name="", status="FINISHED", tags=None, params=None):
        nonlocal made
        made += 1
        folder = tmp_path / "runs" / str(made)
        (folder / "scores").mkdir(parents=True)
        tables = {
            "dev": normal_scores("dev", dev, seed, name=name),
            "eval": normal_scores("eval", evaluation, seed, name=name),
        }
        metrics = {f"{s}/{key}": value for s, table in tables.items() for key, value in summary(table).items()}
        metrics |= {"cost/parameters": 1000.0 * len(model), "cost/latency_ms": 1.0 + len(feature)}
        metrics |= {"eval/eer_seen": metrics["eval/eer"] / 2, "eval/eer_unseen": metrics["eval/eer"]}
        for split, table in tables.items():
            table.write(folder / "scores" / f"{split}.csv")
        curve = [{"epoch": e, "dev/eer": metrics["dev/eer"] + 0.2 / (e + 1)} for e in range(4 + seed)]
        (folder / "history.json").write_text(json.dumps(curve), encoding="utf-8")
        base = {"feature": feature, "model": model, "seed": str(seed), "config_hash": str(made)}
        return RunRecord(
            f"run{made}",
            f"{feature}-{model}-s{seed}",
            status,
            {"seed": str(seed), "optimizer.lr": "0.001", **(params or {})},
            metrics,
            {**base, "manifest_hash": "0123456789abcdef", **(tags or {})},
            str(folder),
            made,
            made,
        )

    return run


@pytest.fixture(scope="session")
def architectures():
    """Arguments of tiny models of every kind that torchaudio has bundles of."""
    return {
        "base": TINY_WAV2VEC2,
        "asr": TINY_WAV2VEC2 | {"aux_num_out": 29},
        "large": TINY_WAV2VEC2 | {"extractor_mode": "layer_norm", "encoder_layer_norm_first": True},
        "wavlm": TINY_WAV2VEC2 | {"encoder_num_buckets": 8, "encoder_max_distance": 16},
    }


@pytest.fixture(scope="session")
def weights(architectures, tmp_path_factory):
    """A checkpoint of a Wav2Vec2 small enough for a test, in the format that `feature.checkpoint` reads."""
    import torch
    from torchaudio.models import wav2vec2_model

    layers = {"extractor_conv_layer_config": [[8, 10, 5], [8, 8, 8], [8, 8, 8]], "encoder_num_layers": 2}
    architecture = architectures["base"] | layers | {"encoder_layer_drop": 0.0}
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("wav2vec2") / "tiny.pt"
    torch.save({"architecture": architecture, "state_dict": wav2vec2_model(**architecture).state_dict()}, path)
    return path
