"""Image networks of timm: weights from files, frozen tensors, and networks of one image size."""

import sys

import pytest
import timm
import torch

import dfx
from dfx.detector.build import build_checkpoint_config
from dfx.detector.network import build_network
from dfx.models import TimmBackbone
from dfx.models.blocks import IncompatiblePairError
from setups import composed

SHAPE = (1, 64, 48)


@pytest.fixture
def published(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model("test_resnet")
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    return network.state_dict(), tmp_path / "weights.pth"


def test_a_file_gives_the_weights_and_the_first_tensors_are_frozen(published):
    weights, file = published
    model = TimmBackbone(SHAPE, "test_resnet", checkpoint=file, frozen_tensors=5)
    own = model.network.state_dict()
    assert {*weights} - {*own} == {"fc.weight", "fc.bias"}
    torch.testing.assert_close(own["conv1.0.weight"], weights["conv1.0.weight"].sum(1, keepdim=True))
    assert all(torch.equal(own[name], weights[name]) for name in own if name != "conv1.0.weight")
    assert [parameter.requires_grad for parameter in model.parameters()][:7] == [False] * 5 + [True] * 2
    assert all(
        parameter.requires_grad for parameter in TimmBackbone(SHAPE, "test_resnet", frozen_tensors=5).parameters()
    )


def test_nothing_to_freeze_is_said_once(capsys):
    for pretrained in (None, False, False):  # None: rebuilt from a checkpoint of dfx
        TimmBackbone(SHAPE, "test_resnet", pretrained=pretrained, frozen_tensors=7)
    assert capsys.readouterr().err.count("model.frozen_tensors=7 has no effect on random weights") == 1


def test_resnet101_of_s2_freezes_the_stem_the_first_stage_and_two_convolutions():
    with torch.device("meta"):
        names = [name for name, _ in timm.create_model("resnet101", in_chans=1, num_classes=0).named_parameters()]
    assert names[38:40] == ["layer2.0.bn2.bias", "layer2.0.conv3.weight"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weights: {"foo.weight": torch.ones(1)}, r"\(\d+ missing \(bn1.*; 1 unknown \(foo.weight\)\): correct"),
        (lambda weights: weights | {"layer1.7.conv1.weight": torch.ones(1)}, r"\(1 unknown \(layer1.7.conv1.weight"),
        (lambda weights: weights | {"bn1.weight": torch.ones(1)}, "size mismatch for bn1.weight"),
        (lambda weights: {name: value for name, value in weights.items() if not name.startswith("fc.")}, ""),
        (lambda weights: {name: value for name, value in weights.items() if not name.endswith("_tracked")}, ""),
    ],
    ids=["foreign", "of_a_deeper_network", "size", "without_classifier", "old"],
)
def test_weights_of_another_network_are_refused(change, words, published):
    weights, file = published
    torch.save(dict(change(dict(weights))), file)
    if not words:
        TimmBackbone(SHAPE, "test_resnet", checkpoint=file)
        return
    with pytest.raises(ValueError, match=f"weights.pth' are not those of test_resnet .*{words}"):
        TimmBackbone(SHAPE, "test_resnet", checkpoint=file)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("no room"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_lack_of_memory_is_no_incompatible_pair(error, monkeypatch):
    def full(*_):
        raise error

    monkeypatch.setattr(timm.models.ResNet, "forward", full)
    with pytest.raises(type(error), match=str(error)) as raised:
        TimmBackbone(SHAPE, "test_resnet")
    assert not isinstance(raised.value, IncompatiblePairError)


def test_a_checkpoint_of_dfx_names_no_source_of_weights(published):
    model = TimmBackbone(SHAPE, "test_resnet", checkpoint=published[1])
    assert model.rebuild_arguments() == {"pretrained": None, "checkpoint": None}
    rebuilt = TimmBackbone(SHAPE, "test_resnet", **model.rebuild_arguments())
    rebuilt.load_state_dict(model.state_dict())


def test_dfx_load_opens_a_detector_without_the_file_of_its_weights(published, tmp_path):
    file = published[1]
    cfg = composed("segment_seconds=0.5", "model=timm", "model.architecture=test_resnet", f"model.checkpoint={file}")
    network = build_network(cfg).eval()
    config = build_checkpoint_config(cfg, network)
    torch.save({"dfx_config": config, "state_dict": network.state_dict()}, tmp_path / "best.ckpt")
    file.unlink()
    clip = torch.randn(8000)
    with torch.no_grad():
        expected = network(clip[None]).item()
    assert dfx.load(tmp_path / "best.ckpt").score(clip.numpy(), 16000) == pytest.approx(expected, abs=1e-5)
    config["model"]["pretrained"] = True
    torch.save({"dfx_config": config, "state_dict": network.state_dict()}, tmp_path / "foreign.ckpt")
    with pytest.raises(ValueError, match=r"model.pretrained=True: a detector file holds its weights"):
        dfx.load(tmp_path / "foreign.ckpt")


def test_a_vision_transformer_takes_the_size_that_it_was_built_for():
    model = TimmBackbone(SHAPE, "test_vit").eval()
    assert model(torch.randn(2, *SHAPE)).shape == (2, model.embedding_dim)
    with pytest.raises(ValueError, match="test_vit takes maps of the 48 frames that it was built for, got 64: cut"):
        model(torch.randn(2, 1, 64, 64))
    with pytest.raises(IncompatiblePairError, match="test_vit cannot take a map of 1 channels, 60 bins and 48 frames"):
        TimmBackbone((1, 60, 48), "test_vit")


def test_what_cannot_be_had_is_one_sentence(published, monkeypatch):
    for name in ("hf-hub:someone/something", "local-dir:here", "rezznet"):
        with pytest.raises(ValueError, match=f"timm has no network '{name}': choose one that"):
            TimmBackbone(SHAPE, name)
    with pytest.raises(ValueError, match=r"weights.pth' are not those of resnet10t \(.*: correct model.checkpoint"):
        TimmBackbone(SHAPE, "resnet10t", checkpoint=published[1])

    with pytest.raises(ValueError, match=r"pretrained=true and model.checkpoint both .*weights.pth': leave one out"):
        TimmBackbone(SHAPE, "test_resnet", pretrained=True, checkpoint=published[1])

    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ValueError, match=r"could not be downloaded \(no route to host\): connect to the internet"):
        TimmBackbone(SHAPE, "test_resnet", pretrained=True)

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"needs the package timm.*pip install 'dfx\[timm\]'"):
        TimmBackbone(SHAPE, "test_resnet")
