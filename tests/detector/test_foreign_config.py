"""Detector files of others: whatever their configuration names, nothing of it is imported or run."""

import copy
import json
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import dfx
from dfx.detector.network import build_network

GENUINE = {
    "feature": {"_target_": "dfx.features.LFCC", "sample_rate": 16000, "mask": {"_target_": "dfx.augment.SpecAverage"}},
    "model": {"_target_": "dfx.models.MLP", "_partial_": True},
    "loss": {"_target_": "dfx.losses.CE", "_partial_": True},
    "conditioning": {"bandwidth_hz": None, "trim_db": None, "loudness_db": None},
    "data": {"eval_crop": "first", "pad": "repeat"},
    "seed": 0,
    "sample_rate": 16000,
    "segment_seconds": 0.5,
}
# Each would write the file CANARY, or import the module `planted`, if it were run.
GADGETS = {
    "sympy": {"_target_": "sympy.sympify", "a": "__import__('pathlib').Path('CANARY').touch()"},
    "worker": {"_target_": "dfx.audio.workers.run_in_workers", "function": None, "jobs": [], "num_workers": 1},
    "own": {"_target_": "dfx.files.write_text_file", "path": "CANARY", "text": "x"},
    "own by package": {"_target_": "dfx.features.base.torch.save", "obj": 1, "f": "CANARY"},
    "through a feature": {"_target_": "dfx.features.wav2vec2.Path.touch", "self": "CANARY"},
    "a module of dfx": {"_target_": "dfx.features.lfcc"},
    "a helper of dfx": {"_target_": "dfx.models.blocks.check_shape"},
    "pickle": {"_target_": "pandas.read_pickle", "filepath_or_buffer": "planted.pkl"},
    "pickle of a URL": {"_target_": "pandas.read_pickle", "filepath_or_buffer": "http://127.0.0.1:9/x.pkl"},
    "joblib": {"_target_": "joblib.load", "filename": "planted.pkl"},
    "torch": {"_target_": "torch.load", "f": "planted.pkl", "weights_only": False},
    "hub": {"_target_": "torch.hub.load", "repo_or_dir": ".", "model": "x", "source": "local"},
    "open": {"_target_": "builtins.open", "file": "CANARY", "mode": "w"},
    "eval": {"_target_": "builtins.eval", "_args_": ["open('CANARY', 'w')"]},
    "exec": {"_target_": "builtins.exec", "_args_": ["open('CANARY', 'w')"]},
    "path": {"_target_": "pathlib.Path.write_text", "self": "CANARY", "data": "x"},
    "system": {"_target_": "os.system", "command": "touch CANARY"},
    "popen": {"_target_": "subprocess.Popen", "args": ["touch", "CANARY"]},
    "mlflow": {"_target_": "mlflow.utils.process._exec_cmd", "cmd": ["touch", "CANARY"]},
    "module beside the file": {"_target_": "planted.Loss"},
    "import": {"_target_": "importlib.import_module", "name": "planted"},
    "hydra": {"_target_": "hydra.utils.instantiate", "config": {"_target_": "planted.Loss"}},
    "nn": {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1},
    "near name": {"_target_": "dfx.features_evil.LFCC"},
    "relative": {"_target_": ".planted.Loss"},
    "no text": {"_target_": ["planted.Loss"]},
    "empty": {"_target_": ""},
    "arguments": {"_target_": "dfx.features.LFCC", "_args_": [16000]},
    "dataset": {"_target_": "dfx.datasets.Folder", "root": "/"},
}
PLANTED = """
import torch
open("CANARY", "w").close()
class Loss(torch.nn.Module):
    llr = True
def run():
    open("SYSTEM", "w")
"""
TYPE_CHECKED = """
from __future__ import annotations
import typing
import torch
if typing.TYPE_CHECKING:
    from pathlib import Path
class Loss(torch.nn.Module):
    def __init__(self, file: Path): ...
"""
PLACES = ("feature", "model", "loss", "feature.mask", "data.x", "model.x.y")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a module and a pickle that write CANARY when they are loaded."""
    (tmp_path / "planted.py").write_text(PLANTED)
    (tmp_path / "planted.pkl").write_bytes(b"cos\nsystem\n(S'touch CANARY'\ntR.")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def checkpoint(config: object) -> Path:
    torch.save({"dfx_config": config, "state_dict": {}}, "evil.ckpt")
    return Path("evil.ckpt")


def refuse(config: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        dfx.load(checkpoint(config)).score(torch.randn(8000).numpy(), 16000)
    assert not Path("CANARY").exists()
    assert "planted" not in sys.modules


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("gadget", "place"),
    [
        *((gadget, PLACES[number % len(PLACES)]) for number, gadget in enumerate(GADGETS)),
        *(("open", at) for at in PLACES),
    ],
)
def test_a_file_names_nothing_but_components_of_dfx(gadget: str, place: str) -> None:
    config = OmegaConf.create(copy.deepcopy(GENUINE))
    OmegaConf.update(config, place, GADGETS[gadget], merge=False, force_add=True)
    refuse(OmegaConf.to_container(config), r"evil\.ckpt was not opened, since its configuration is not that of")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": "${oc.env:HOME}"}, "interpolations are not resolved"),
        ({"seed": "${oc.decode:x}"}, "interpolations are not resolved"),
        ({"data": {"pad": "${oc.env:HOME}"}}, "interpolations are not resolved"),
        ({"seed": torch.zeros(1)}, "Tensor is no value"),
        ({"feature": {"_target_": "dfx.features.Wav2Vec2", "sample_rate": 16000}}, "feature.bundle='WAV2VEC2_BASE'"),
        (
            {"feature": {"_target_": "dfx.features.Wav2Vec2", "sample_rate": 16000, "bundle": None, "checkpoint": "x"}},
            "feature.checkpoint='x': a detector file holds its weights",
        ),
        ({"loss": {"_target_": "dfx.features.LFCC"}}, "loss._target_='dfx.features.LFCC' is none of"),
        ({"sample_rate": 10**400}, "sample_rate=.* no plausible number"),
        ({"sample_rate": 0}, "sample_rate=0: it is no plausible number"),
        ({"segment_seconds": "abc"}, "segment_seconds='abc': it is no plausible number"),
        ({"data": 3}, "data=3: it has no keys"),
        ({"data": {"eval_crop": "zzz", "pad": "repeat"}}, "data.eval_crop='zzz': it is none of"),
        ({"conditioning": [1]}, r"conditioning=\[1\]: it has no keys"),
        ({"feature": {"sample_rate": 16000}}, "feature names no class"),
        ({"feature": None}, "feature names no class"),
        ({"model": {"_target_": "dfx.models.MLP", "_partial_": True, "nothing": 1}}, "cannot be built from its"),
    ],
)
def test_values_of_a_file_are_plain(changes: dict, words: str) -> None:
    refuse(GENUINE | changes, words)


@pytest.mark.usefixtures("folder")
def test_a_file_that_is_no_configuration() -> None:
    circular: dict = copy.deepcopy(GENUINE)
    circular["data"]["again"] = circular["data"]
    refuse(circular, "has more than 20 levels")
    twice: list = []
    twice += [twice] * 3
    refuse(GENUINE | {"more": twice}, "has more than 20 levels|of more than 10,000 values")
    refuse([1, 2], "holds no configuration of a detector")
    refuse({key: GENUINE[key] for key in ("feature", "model")}, "does not say its loss")


@pytest.mark.usefixtures("folder")
def test_a_package_that_is_trusted() -> None:
    own = GENUINE | {"loss": {"_target_": "planted.Loss", "_partial_": True}}
    with pytest.raises(ValueError, match="say so: trust=\\[planted\\]"):
        dfx.load(checkpoint(own))
    assert dfx.load(checkpoint(own), trust=["planted"]).llr
    assert dfx.load(checkpoint(own), trust="planted").llr
    Path("lost.py").write_text(TYPE_CHECKED)
    for target, words in (
        ("planted.Gone", r"loss\._target_='planted\.Gone' cannot be imported \(.*Gone"),
        ("lost.Loss", "the types of its arguments cannot be found out"),
    ):
        with pytest.raises(ValueError, match=words):
            dfx.load(checkpoint(GENUINE | {"loss": {"_target_": target}}), trust=["planted", "lost"])
    for target in ("planted.torch.hub.load", "planted.torch.load", "planted.run", "planted.torch.nn.Linear"):
        with pytest.raises(ValueError, match="is none of the features, models, losses"):
            dfx.load(checkpoint(GENUINE | {"loss": {"_target_": target}}), trust=["planted"])
    assert not Path("SYSTEM").exists()
    sys.modules.pop("planted")
    sys.modules.pop("lost")


def test_a_genuine_file_still_opens(folder: Path) -> None:
    network = build_network(OmegaConf.create(GENUINE))
    torch.save({"dfx_config": GENUINE, "state_dict": network.state_dict()}, folder / "best.ckpt")
    assert isinstance(dfx.load(folder / "best.ckpt").score(torch.randn(8000).numpy(), 16000), float)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "text", [json.dumps(GENUINE | {"loss": {"_target_": "planted.Loss"}}), "[" * 100_000, "{", "3"]
)
def test_an_onnx_file_is_data_too(text: str) -> None:
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("ReduceMean", ["waveform"], ["score"], keepdims=0)],
        "detector",
        [value("waveform", onnx.TensorProto.FLOAT, ["batch", 8000])],
        [value("score", onnx.TensorProto.FLOAT, [])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.helper.set_model_props(model, {"dfx_config": text})
    onnx.save(model, "evil.onnx")
    with pytest.raises(ValueError, match=r"evil\.onnx (was not opened|has metadata|holds no configuration)"):
        dfx.load("evil.onnx")
    assert not Path("CANARY").exists()


@pytest.mark.parametrize("trust", [5, None, [5], {"my_lab": "yes"}])
def test_trust_that_names_no_packages_is_one_sentence(trust, tmp_path):
    with pytest.raises(ValueError, match=r"trust=.* names no packages: give a list, trust=\[my_lab\]"):
        dfx.load(tmp_path / "a.ckpt", trust=trust)
