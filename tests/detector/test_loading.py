"""dfx.load: checkpoints, runs, registered models and ONNX files score as the run did."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from hydra import compose, initialize_config_dir
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

import dfx
from dfx import audio
from dfx.config.schema import CONF_DIR, register_schema
from dfx.detector import build, loading, scoring
from dfx.detector.scoring import ScoringOptions, score_manifest
from dfx.tables.manifest import Manifest
from dfx.tables.score_table import ScoreTable
from dfx.train import train

register_schema()
RATES = (8000, 16000, 22050, 44100, 48000)
MIXED = (
    "model=mlp",
    "feature=lfcc",
    "data.eval_crop=sliding",
    "conditioning.bandwidth_hz=3400",
    "conditioning.trim_db=40",
    "conditioning.loudness_db=-23",
)


@pytest.fixture(scope="module")
def mixed_rates(corpus: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The corpus at five sample rates, some of it in stereo, some as floats."""
    folder = tmp_path_factory.mktemp("mixed")
    table = corpus.table.copy()
    for number, path in enumerate(table["path"]):
        rate = RATES[number % len(RATES)]
        waveform = audio.resample_waveform(audio.read_audio(path, 16000), 16000, rate)
        if number % 2:
            waveform = np.stack([waveform, 0.5 * waveform], axis=1)
        subtype = "FLOAT" if number % 3 == 0 else "PCM_16"
        table.loc[number, "path"] = str(folder / f"{number}.wav")
        soundfile.write(table["path"][number], waveform, rate, subtype=subtype)
    return Manifest(table, name="mixed")


def trained(name: str, manifest: Manifest, folder: Path, *overrides: str) -> Run:
    """A finished run of one epoch."""
    manifest.write(folder / f"{name}.csv")
    given = [
        f"dataset.path={folder / f'{name}.csv'}",
        f"experiment_name={name}",
        "dataset=manifest",
        "segment_seconds=0.5",
        "augment=none",
        "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false",
        "trainer.max_epochs=1",
    ]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        train(compose("train", overrides=[*given, *overrides]))
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    return run


@pytest.fixture(scope="module")
def run(mixed_rates: Manifest, home: Path) -> Run:
    return trained("mixed", mixed_rates, home, *MIXED)


def artifacts(run: Run) -> Path:
    return Path(run.info.artifact_uri.removeprefix("file://"))


def of_run(run: Run, split: str = "eval") -> dict[str, float]:
    table = ScoreTable.read(artifacts(run) / "scores" / f"{split}.csv").table
    return dict(zip(table["id"], table["score"], strict=True))


def one_by_one(place: object, manifest: Manifest, split: str = "eval") -> dict[str, float]:
    detector = dfx.load(str(place))
    table = manifest.split(split).table
    return {str(row.id): detector.score(str(row.path)) for row in table.itertuples()}


@pytest.mark.slow
@pytest.mark.parametrize("split", ["dev", "eval"])
def test_clips_of_any_rate_score_as_in_the_run(run: Run, mixed_rates: Manifest, split: str) -> None:
    expected = of_run(run, split)
    places = (artifacts(run) / "checkpoint" / "best.ckpt", f"runs:/{run.info.run_id}")
    for place in places:
        assert one_by_one(place, mixed_rates, split) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_a_loaded_detector_says_what_it_is(run: Run) -> None:
    detector = dfx.load(f"runs:/{run.info.run_id}/checkpoint/best.ckpt")
    assert (detector.sample_rate, detector.segment_seconds) == (16000, 0.5)
    assert detector.config["model"]["_target_"] == "dfx.models.MLP"
    assert (detector.name, detector.trained_on) == ("lfcc-mlp-mixed-s0", "mixed")
    assert detector.llr
    assert str(detector.policy()) == (
        "sliding 0.5 s, repeat where shorter, bandwidth_hz 3400, trim_db 40, loudness_db -23"
    )
    assert detector.dev_scores == artifacts(run) / "scores" / "dev.csv"
    assert detector.eval_scores == artifacts(run) / "scores" / "eval.csv"
    assert dfx.load(artifacts(run) / "checkpoint" / "best.ckpt").dev_scores == detector.dev_scores


@pytest.mark.slow
def test_a_registered_model_is_loaded_by_alias_and_by_version(run: Run, mixed_rates: Manifest) -> None:
    client = MlflowClient()
    client.create_registered_model("tones")
    for source in (f"runs:/{run.info.run_id}/checkpoint", f"runs:/{run.info.run_id}/scores"):
        client.create_model_version("tones", source, run.info.run_id)
    client.create_model_version("tones", str(artifacts(run) / "checkpoint" / "best.ckpt"))
    client.set_registered_model_alias("tones", "champion", "1")
    expected = of_run(run)
    # The second holds no checkpoint itself, but its run does; the third has no run.
    for place in ("models:/tones@champion", "models:/tones/2", "models:/tones/3"):
        assert one_by_one(place, mixed_rates) == pytest.approx(expected, abs=1e-6)
    assert dfx.load("models:/tones@champion").trained_on == "mixed"
    for place in ("models:/tones@nobody", "models:/tones/9", "models:/other/1", "models:/tones"):
        with pytest.raises(ValueError, match=r"There is no model .*: give models:/NAME@ALIAS"):
            dfx.load(place)
    client.create_model_version("tones", str(artifacts(run) / "scores"))
    with pytest.raises(ValueError, match=r"holds no checkpoint \(\.ckpt\) and no ONNX file"):
        dfx.load("models:/tones/4")


@pytest.mark.slow
def test_an_array_scores_as_its_file(run: Run, mixed_rates: Manifest) -> None:
    detector = dfx.load(f"runs:/{run.info.run_id}")
    for path in mixed_rates.table["path"].head(10):
        waveform, rate = soundfile.read(path)
        assert detector.score(waveform, sample_rate=rate) == pytest.approx(detector.score(path), abs=1e-6)
        single = waveform.astype(np.float32).mean(axis=1) if waveform.ndim == 2 else waveform
        assert detector.score(torch.from_numpy(single), rate) == pytest.approx(detector.score(path), abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clip", "sample_rate", "sentence"),
    [
        (np.zeros(800), None, "does not say its sample rate: give it in Hz"),
        (np.zeros(800), 3, "claims a sample rate of 3 Hz"),
        (np.zeros(800, np.int16), 16000, "got int16: divide integer samples by their full scale"),
        (np.zeros(0), 16000, r"at least one sample, got \(0,\)"),
        (np.zeros((2, 800)), 16000, r"got \(2, 800\): give one clip at a time, channels last"),
        (np.zeros((1, 2, 800)), 16000, r"\(samples,\) or \(samples, channels\)"),
        (np.array(0.5), 16000, r"got \(\)"),
        (np.r_[np.zeros(800), np.nan], 16000, "samples that are NaN or infinite"),
        ("gone.wav", None, "the file does not exist"),
        ("gone.wav", 16000, "says its sample rate: leave out sample_rate"),
    ],
)
def test_what_cannot_be_scored_is_explained(run: Run, clip: object, sample_rate: int | None, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        dfx.load(f"runs:/{run.info.run_id}").score(clip, sample_rate)  # type: ignore[arg-type]


def test_what_is_no_detector_is_explained(home: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    torch.save({"dfx_config": {"seed": 0}, "state_dict": {}}, tmp_path / "early.ckpt")
    for name in ("text.ckpt", "scores.csv"):
        (tmp_path / name).write_text("no checkpoint")
    for place, sentence in (
        (tmp_path / "foreign.ckpt", "holds no dfx configuration"),
        (tmp_path / "early.ckpt", "does not say its feature, model"),
        (tmp_path / "text.ckpt", "is no checkpoint"),
        (tmp_path / "scores.csv", "is no detector but a table"),
        (tmp_path / "gone.ckpt", "There is no detector"),
        ("runs:/0123", "There is no run '0123'"),
    ):
        with pytest.raises(ValueError, match=sentence):
            dfx.load(place)


@pytest.fixture(scope="module")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector of the run as ONNX, with its configuration in the metadata."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = loading.load_network(artifacts(run) / "checkpoint" / "best.ckpt")
    path = tmp_path_factory.mktemp("onnx") / "detector.onnx"

    class Scores(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.feature, self.model, self.loss = network.feature, network.model, network.loss

        def forward(self, waveform: torch.Tensor) -> torch.Tensor:
            return self.loss.score(self.model(self.feature(waveform)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter
        program = torch.onnx.export(
            Scores().eval(),
            (torch.randn(2, 8000),),
            dynamo=True,
            dynamic_shapes={"waveform": {0: torch.export.Dim("batch")}},
            input_names=["waveform"],
            output_names=["score"],
            verbose=False,
        )
    program.save(path)
    model = onnx.load(path)
    entry = model.metadata_props.add()
    entry.key, entry.value = "dfx_config", json.dumps(network.checkpoint_config)
    onnx.save(model, path)
    return path


@pytest.mark.slow
def test_an_onnx_file_scores_as_the_run(exported: Path, run: Run, mixed_rates: Manifest) -> None:
    expected = of_run(run)
    assert one_by_one(exported, mixed_rates) == pytest.approx(expected, abs=1e-6)
    detector = dfx.load(exported)
    rows = np.flatnonzero(mixed_rates.table["split"] == "eval")
    table, bad = score_manifest(detector, mixed_rates, rows)
    assert dict(zip(table.table["id"], table.table["score"], strict=True)) == pytest.approx(expected, abs=1e-6)
    assert len(bad) == 0
    assert detector.llr


@pytest.mark.slow
def test_an_onnx_file_without_its_configuration_is_refused(exported: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(exported)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(ValueError, match="metadata key 'dfx_config'"):
        dfx.load(tmp_path / "bare.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(ValueError, match="cannot be loaded as ONNX"):
        dfx.load(tmp_path / "text.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("eval_crop", ["first", "sliding"])
def test_a_detector_of_cached_maps_is_scored_from_the_map_of_the_whole_clip(
    eval_crop: str, mixed_rates: Manifest, home: Path, tiny_wav2vec2: Path
) -> None:
    feature = ["feature=wav2vec2_cached", f"feature.checkpoint={tiny_wav2vec2}", "model=wav2vec2_head"]
    run = trained(f"maps_{eval_crop}", mixed_rates, home, *feature, f"data.eval_crop={eval_crop}")
    expected = of_run(run)
    place = f"runs:/{run.info.run_id}"
    assert one_by_one(place, mixed_rates) == pytest.approx(expected, abs=1e-6)
    assert str(dfx.load(place).policy()).startswith(f"{eval_crop} 0.5 s of the map of the whole clip, ")


@pytest.mark.slow
def test_a_corpus_is_scored_once_and_bad_files_are_listed(
    run: Run, mixed_rates: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    table = mixed_rates.table.copy()
    rows = np.flatnonzero(table["split"] == "eval")
    table.loc[rows[3], "path"] = str(broken)
    manifest = Manifest(table, name="mixed")
    options = ScoringOptions(max_bad_fraction=0.1)
    first, bad = score_manifest(dfx.load(f"runs:/{run.info.run_id}"), manifest, rows, options)
    expected = of_run(run)
    del expected[bad["id"][0]]
    assert dict(zip(first.table["id"], first.table["score"], strict=True)) == pytest.approx(expected, abs=1e-6)
    assert bad["id"].tolist() == [table["id"][rows[3]]]
    assert bad["reason"][0]
    assert {"speaker"} <= set(first.table)
    monkeypatch.setattr(loading, "load_network", None)
    again, bad_again = score_manifest(dfx.load(f"runs:/{run.info.run_id}"), manifest, rows, options)
    pd.testing.assert_frame_equal(again.table, first.table)
    pd.testing.assert_frame_equal(bad_again, bad)
    with pytest.raises(ValueError, match="are bad, more than"):
        score_manifest(dfx.load(f"runs:/{run.info.run_id}"), manifest, rows, ScoringOptions())
    for version in ("VERSION", "STORE_VERSION", "CONDITIONING_VERSION", "MAPS_VERSION"):
        with monkeypatch.context() as patched:
            patched.setattr(scoring, version, 99)
            with pytest.raises(TypeError):  # it asks for the weights
                score_manifest(dfx.load(f"runs:/{run.info.run_id}"), manifest, rows, options)


def test_a_detector_of_ready_features_scores_a_row(tmp_path: Path) -> None:
    given = ["feature=table", "model=mlp", "augment=none", "sample_rate=1", "segment_seconds=4"]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("train", overrides=given)
    network = build.build_detector(cfg).eval()
    config = build.build_checkpoint_config(cfg, network.feature)
    torch.save({"dfx_config": config, "state_dict": network.state_dict()}, tmp_path / "table.ckpt")
    detector, row = dfx.load(tmp_path / "table.ckpt"), np.array([3.0, -200.0, 0.5, 7.0])
    with torch.no_grad():
        expected = float(network(torch.tensor(row[None], dtype=torch.float32)))
    assert detector.score(row) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="takes rows of 4 features, got 3"):
        detector.score(row[:3])


def test_importing_dfx_imports_nothing_else() -> None:
    code = "import sys, dfx; dfx.load; print([name for name in ('torch', 'mlflow', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
