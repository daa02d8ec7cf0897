"""dfx.load: checkpoints, runs, registered models and ONNX files score as the run did."""

import json
import warnings

import numpy as np
import pytest
import soundfile
import torch
from mlflow.tracking import MlflowClient

import dfx
from dfx import audio
from dfx.audio import store_builder
from dfx.detector import build, loading
from dfx.detector.corpus_scoring import ScoringOptions, score_manifest
from dfx.detector.network import build_network
from dfx.tables.manifest import Manifest
from dfx.tables.score_table import ScoreTable
from setups import artifacts, composed, train_run

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
def mixed_rates(corpus, tmp_path_factory):
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


@pytest.fixture(scope="module")
def run(mixed_rates, home, undrawn_figures):
    return train_run("mixed", mixed_rates, home, *MIXED)


def of_run(run, split="eval"):
    table = ScoreTable.read(artifacts(run) / "scores" / f"{split}.csv").table
    return dict(zip(table["id"], table["score"], strict=True))


def one_by_one(place, manifest, split="eval"):
    detector = dfx.load(str(place))
    table = manifest.split(split).table
    return {str(row.id): detector.score(str(row.path)) for row in table.itertuples()}


@pytest.mark.slow
@pytest.mark.parametrize("split", ["dev", "eval"])
def test_clips_of_any_rate_score_as_in_the_run(run, mixed_rates, split):
    expected = of_run(run, split)
    places = (artifacts(run) / "checkpoint" / "best.ckpt", f"runs:/{run.info.run_id}")
    for place in places:
        assert one_by_one(place, mixed_rates, split) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_a_loaded_detector_says_what_it_is(run):
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
def test_a_registered_model_is_loaded_by_alias_and_by_version(run, mixed_rates):
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
def test_an_array_scores_as_its_file(run, mixed_rates):
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
def test_what_cannot_be_scored_is_explained(run, clip, sample_rate, sentence):
    with pytest.raises(ValueError, match=sentence):
        dfx.load(f"runs:/{run.info.run_id}").score(clip, sample_rate)


def test_what_is_no_detector_is_explained(home, tmp_path):
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
def exported(run, tmp_path_factory):
    """The detector of the run as ONNX, with its configuration in the metadata."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = loading.load_network(artifacts(run) / "checkpoint" / "best.ckpt")
    path = tmp_path_factory.mktemp("onnx") / "detector.onnx"

    class Scores(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.feature, self.model, self.loss = network.feature, network.model, network.loss

        def forward(self, waveform):
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
def test_an_onnx_file_scores_as_the_run(exported, run, mixed_rates):
    expected = of_run(run)
    assert one_by_one(exported, mixed_rates) == pytest.approx(expected, abs=1e-6)
    detector = dfx.load(exported)
    rows = np.flatnonzero(mixed_rates.table["split"] == "eval")
    table, bad = score_manifest(detector, mixed_rates, rows)
    assert dict(zip(table.table["id"], table.table["score"], strict=True)) == pytest.approx(expected, abs=1e-6)
    assert len(bad) == 0
    assert detector.llr


@pytest.mark.slow
def test_an_onnx_file_without_its_configuration_is_refused(exported, tmp_path):
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
def test_a_detector_of_cached_maps_scores_as_its_run_did(eval_crop, mixed_rates, home, weights, monkeypatch):
    """From the map of the whole clip, by itself and through the store of maps."""
    feature = ["feature=wav2vec2_cached", f"feature.checkpoint={weights}", "model=wav2vec2_head"]
    mask = "+feature.mask={_target_: dfx.augment.SpecAverage}"
    run = train_run(f"maps_{eval_crop}", mixed_rates, home, *feature, mask, f"data.eval_crop={eval_crop}")
    expected = of_run(run)
    place = f"runs:/{run.info.run_id}"
    assert one_by_one(place, mixed_rates) == pytest.approx(expected, abs=1e-6)
    assert str(dfx.load(place).policy()).startswith(f"{eval_crop} 0.5 s of the map of the whole clip, ")
    monkeypatch.setattr(store_builder, "build_store_parts", None)  # the maps are there
    rows = np.flatnonzero(mixed_rates.table["split"] == "eval")
    table, _ = score_manifest(dfx.load(place), mixed_rates, rows, ScoringOptions(batch_size=32))
    assert dict(zip(table.table["id"], table.table["score"], strict=True)) == pytest.approx(expected, abs=1e-6)


def test_a_detector_of_ready_features_scores_a_row(tmp_path):
    cfg = composed("feature=table", "model=mlp", "augment=none", "sample_rate=1", "segment_seconds=4")
    network = build_network(cfg).eval()
    config = build.build_checkpoint_config(cfg, network)
    torch.save({"dfx_config": config, "state_dict": network.state_dict()}, tmp_path / "table.ckpt")
    detector, row = dfx.load(tmp_path / "table.ckpt"), np.array([3.0, -200.0, 0.5, 7.0])
    with torch.no_grad():
        expected = float(network(torch.tensor(row[None], dtype=torch.float32)))
    assert detector.score(row) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="takes rows of 4 features, got 3"):
        detector.score(row[:3])
