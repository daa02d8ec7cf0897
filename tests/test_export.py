"""dfx.export: one file from waveform to score, which scores as its detector does."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import dfx
from dfx import audio
from dfx.detector import build, exporting, loading, onnx_lstm
from dfx.detector.network import build_network
from dfx.export import export
from dfx.export import main as export_main
from dfx.tables.score_table import ScoreTable
from dfx.train import train
from setups import artifacts, composed, runs_of, type_command

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
EXAMPLE = Path(__file__).parents[1] / "docs" / "score_with_onnx.py"
FEATURES = ("lfcc", "lfcc_2021", "logmel", "logmel_s1", "mfcc", "waveform", "wav2vec2")  # masks are not exported
# With one model. Scattering takes a minute to trace; chroma_cqt and cqcc have the parts of cqt.
MORE_FEATURES = ("spectrogram", "chroma", "cqt", "logmel_image")
MODELS = ("lcnn", "lcnn_light", "lcnn_s1", "mlp", "resnet18", "resnet2", "resnet34", "wav2vec2_head")
PAIRS = sorted(
    {(feature, model) for feature in FEATURES for model in ("mlp", "lcnn_light")}
    | {("lfcc", m) for m in MODELS}
    | {(feature, "mlp") for feature in MORE_FEATURES}
)


def checkpoint(path, *overrides, architecture=None):
    """A detector with random weights, as training would write it."""
    cfg = composed("segment_seconds=0.5", *overrides)
    if architecture:
        OmegaConf.update(cfg, "feature.architecture", architecture, force_add=True)
    network = build_network(cfg).eval()
    config = build.build_checkpoint_config(cfg, network)
    torch.save({"dfx_config": config, "state_dict": network.state_dict()}, path)
    return path


def written(place, form):
    detector = dfx.load(place)
    file = Path(place).with_suffix(exporting.SUFFIXES[form])
    metadata = exporting.export_metadata(detector, "CC0")
    free = exporting.export_detector(detector, loading.load_network(place), file, form, metadata)
    return file, free


@pytest.fixture(scope="module")
def clips(babble):
    made = [babble(samples, seed).astype(np.float32) for seed, samples in enumerate((3000, 8000, 20_000))]
    made[1][2000:5000] = 0  # digital silence: the exporter once took the 1e-9 in a logarithm for 0
    return made


def exporting_cfg(place, *overrides):
    cfg = composed(*overrides, command="export")
    cfg.model = str(place)
    return cfg


@pytest.mark.slow
@pytest.mark.parametrize(("feature", "model"), PAIRS)
def test_an_onnx_file_of_every_pair_scores_as_its_detector(feature, model, architectures, clips, tmp_path):
    architecture = architectures["base"] if feature.startswith("wav2vec2") else None
    place = checkpoint(tmp_path / "a.ckpt", f"feature={feature}", f"model={model}", architecture=architecture)
    file, free = written(place, "onnx")
    assert free
    own, theirs = dfx.load(place), dfx.load(file)
    for clip in clips:
        assert theirs.score(clip, 16000) == pytest.approx(own.score(clip, 16000), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torchscript", "pt2"])
def test_archives_score_as_their_detector_and_need_trust(form, clips, tmp_path):
    place = checkpoint(tmp_path / "a.ckpt", "feature=lfcc", "model=lcnn", "data.eval_crop=sliding")
    file, _ = written(place, form)
    with pytest.raises(ValueError, match=rf"only if you say that you trust it: trust=\[{form}\]"):
        dfx.load(file)
    own, theirs = dfx.load(place), dfx.load(file, trust=[form])
    for clip in clips:
        assert theirs.score(clip, 16000) == pytest.approx(own.score(clip, 16000), abs=1e-5)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match="is no archive of PyTorch"):
        dfx.load(file, trust=[form])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter
@pytest.mark.parametrize(("layers", "bidirectional", "bias"), [(1, False, True), (2, True, True), (1, True, False)])
def test_an_lstm_becomes_one_operator(layers, bidirectional, bias, tmp_path):
    import onnx
    import onnxruntime

    lstm = torch.nn.LSTM(5, 3, layers, bias=bias, batch_first=True, bidirectional=bidirectional).eval()
    replacement = onnx_lstm.ExportableLSTM(lstm).eval()
    x = torch.randn(2, 9, 5)
    torch.testing.assert_close(replacement(x), lstm(x))
    program = torch.onnx.export(
        replacement,
        (x,),
        dynamo=True,
        opset_version=18,
        dynamic_shapes=({0: torch.export.Dim("batch"), 1: torch.export.Dim("frames")},),
        custom_translation_table=onnx_lstm.TRANSLATIONS,
        verbose=False,
    )
    program.save(tmp_path / "lstm.onnx")
    operators = [node.op_type for node in onnx.load(tmp_path / "lstm.onnx").graph.node]
    assert operators.count("LSTM") == layers
    session = onnxruntime.InferenceSession(tmp_path / "lstm.onnx", providers=["CPUExecutionProvider"])
    other = torch.randn(4, 20, 5)
    output, (hidden, cell) = lstm(other)
    for found, expected in zip(session.run(None, {"x": other.numpy()}), (output, hidden, cell), strict=True):
        np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-6)


@pytest.fixture(scope="module")
def run(corpus_file, home, undrawn_figures):
    """A finished run of one epoch."""
    settings = ("dataset=manifest", f"dataset.path={corpus_file}", "segment_seconds=0.5", "augment=none")
    train(
        composed(
            *settings,
            "experiment_name=exported",
            "model=lcnn_light",
            "trainer.accelerator=cpu",
            "trainer.enable_progress_bar=false",
            "trainer.max_epochs=1",
        )
    )
    (found,) = runs_of("exported")
    return found


@pytest.mark.slow
def test_metadata_say_what_the_file_is(run, tmp_path):
    import onnxruntime

    place = artifacts(run) / "checkpoint" / "best.ckpt"
    detector = dfx.load(place)
    file = tmp_path / "a.onnx"
    metadata = exporting.export_metadata(detector, "CC0")
    assert exporting.export_detector(detector, loading.load_network(place), file, "onnx", metadata)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    held = session.get_modelmeta().custom_metadata_map
    assert json.loads(held["operating_card"]) == torch.load(place, weights_only=True)["operating_card"]
    assert dfx.load(file).card.threshold == detector.card.threshold
    assert json.loads(held["dfx_config"])["sample_rate"] == 16000
    assert (held["dfx_licence"], held["dfx_version"]) == ("CC0", dfx.__version__)
    assert "higher means more bona fide" in held["dfx_output"]
    assert [type(axis) for axis in session.get_inputs()[0].shape] == [str, str]  # names: both are free
    assert str(tmp_path).encode() not in file.read_bytes()
    assert b"dfx/detector" not in file.read_bytes()  # no paths of the machine that exported it


@pytest.mark.slow
def test_a_run_is_exported_and_compared_on_its_dev_split(run, corpus, tmp_path):
    file = export(exporting_cfg(f"runs:/{run.info.run_id}", f"out={tmp_path}", "licence=CC-BY-4.0"))
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["clips"] == 16  # the whole dev split
    assert report["largest_difference"] < 1e-5
    assert report["eer/detector"] == report["eer/file"]
    assert report["bytes"] == file.stat().st_size
    assert report["latency_ms/PyTorch"] > 0
    (logged,) = runs_of("dfx-export")
    assert logged.data.tags["kind"] == "export"
    assert logged.data.metrics["largest_difference"] == report["largest_difference"]
    assert {file.name, "report.html", "report.json"} <= {path.name for path in artifacts(logged).iterdir()}
    expected = ScoreTable.read(artifacts(run) / "scores" / "eval.csv").table.set_index("id")["score"]
    detector = dfx.load(f"runs:/{logged.info.run_id}/{file.name}")
    for row in corpus.split("eval").table.itertuples():
        assert detector.score(row.path) == pytest.approx(expected[row.id], abs=1e-5)


@pytest.mark.slow
def test_int8_is_judged_on_dev(run, tmp_path):
    import onnx

    file = export(exporting_cfg(f"runs:/{run.info.run_id}", f"out={tmp_path}", "quantize=int8"))
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["dev_eer_cost/low"] <= report["dev_eer_cost/value"] <= report["dev_eer_cost/high"]
    graph = onnx.load(file).graph
    made_by = {output: node for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert convolutions
    assert all(made_by[node.input[0]].op_type == "DequantizeLinear" for node in convolutions)
    products = [node for node in graph.node if node.op_type == "MatMul"]
    assert products
    assert all(made_by[node.input[0]].op_type != "DequantizeLinear" for node in products)  # the front end


@pytest.mark.slow
def test_the_example_scores_without_torch(run, corpus, tmp_path):
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 60
    file = export(exporting_cfg(f"runs:/{run.info.run_id}", f"out={tmp_path}"))
    (tmp_path / "blocked").mkdir()
    for name in ("torch", "dfx"):
        (tmp_path / "blocked" / f"{name}.py").write_text("raise ImportError('not here')\n")
    paths = corpus.split("eval").table["path"].tolist()
    louder = tmp_path / "stereo.wav"
    audio.write_audio(louder, np.random.default_rng(0).uniform(-0.3, 0.3, (30_000, 2)), 22_050)
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), str(file), *paths, str(louder)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(tmp_path / "blocked")},
    )
    detector = dfx.load(file)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [path for _, path in lines] == [*paths, str(louder)]
    for score, path in lines:
        assert float(score) == pytest.approx(detector.score(path), abs=1e-4 if path == str(louder) else 1e-5)


@pytest.mark.slow
def test_a_folder_of_clips_takes_the_place_of_an_absent_corpus(home, babble, tmp_path):
    place = checkpoint(tmp_path / "a.ckpt", "feature=lfcc", "model=mlp")
    for number in range(3):
        audio.write_audio(tmp_path / "clips" / f"{number}.wav", babble(9000, number), 16000)
    export(exporting_cfg(place, f"out={tmp_path / 'out'}", f"clips={tmp_path / 'clips'}", "format=torchscript"))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["clips"] == 3
    assert "eer/file" not in report
    assert "No corpus" in (tmp_path / "out" / "report.md").read_text()


def test_what_cannot_be_exported_is_explained(home, tmp_path):
    settings = ("feature=table", "model=mlp", "augment=none", "sample_rate=1", "segment_seconds=4")
    place = checkpoint(tmp_path / "table.ckpt", *settings)
    with pytest.raises(ValueError, match=r"takes ready features .* and no waveform"):
        written(place, "onnx")
    for overrides, sentence in (
        ((), "There is no detector to export"),
        (("format=tflite",), "format=tflite: use one of onnx, torchscript, pt2"),
        (("quantize=int4",), "use quantize=int8 with format=onnx"),
        (("format=pt2", "quantize=int8"), "use quantize=int8 with format=onnx"),
    ):
        with pytest.raises(ValueError, match=sentence):
            export(exporting_cfg(place if overrides else "", *overrides))


def test_the_place_is_a_word_of_the_command(home):
    assert type_command(export_main, "gone.ckpt").startswith("Error: There is no detector 'gone.ckpt'")
    assert type_command(export_main, "model=gone.ckpt").startswith("Error: There is no detector 'gone.ckpt'")
    assert "One detector is exported at a time" in type_command(export_main, "a.ckpt", "b.ckpt")
