"""Every feature with every model: the contract that a new component inherits."""

import re

import pytest
import torch
from omegaconf import OmegaConf

import setups
from dfx.config.schema import CONF_DIR
from dfx.detector.network import build_network, num_segment_samples
from dfx.models.blocks import IncompatiblePairError


def _has_class(group, option):
    return "_target_:" in (CONF_DIR / group / f"{option}.yaml").read_text()


FEATURES, MODELS, LOSSES = (
    sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml")) for group in ("feature", "model", "loss")
)
# Every feature with two models and every model with two maps; the full product of classes is slow, and their variants
# (a YAML without a class of its own) are no part of it.
FAST = {(feature, model) for feature in FEATURES for model in ("mlp", "lcnn_light")}
FAST |= {(feature, model) for feature in ("lfcc", "ssl") for model in MODELS}
MADE_FOR_EACH_OTHER = {("waveform", model) for model in ("aasist", "aasist_l", "rawnet2")}
MADE_FOR_EACH_OTHER |= {("ssl", model) for model in ("aasist_ssl", "mhfa", "nes2net", "sls", "ssl_linear", "tcm")}
FAST |= MADE_FOR_EACH_OTHER
REFUSALS = {  # of models that some features cannot be used with
    **dict.fromkeys(("aasist", "aasist_l", "rawnet2"), "takes the waveform, got a map of"),
    "aasist_ssl": "takes features of frames, got|needs at least 3 frames",
    **dict.fromkeys(("ecapa", "mhfa", "ssl_linear", "tcm"), "takes features of frames, got"),
    "nes2net": "takes features of frames, got|splits the bins into 8 × 8 parts",
    "resnet18_air": "takes maps of at least 7 bins, got 1",
    "sls": "takes features of frames, got|pools 3 bins and 3 frames",
}
# Small sizes of the heavy networks; their own are counted in tests/models.
TINY = {
    "ann_s2": ["model.widths=[16,8]"],
    "cnn_s2": ["model.widths=[16,8]"],
    "ecapa": ["model.width=16"],
    "resnet101": ["model.architecture=test_resnet"],
    "resnet18_air": ["model.width=8"],
    "timm": ["model.architecture=test_resnet"],
    "mlp_s4": ["model.widths=[16,12,8]"],
    "sls": ["model.embedding_dim=8"],
    "rawnet2": ["model.units=16"],
    "res2net50": ["model.base_width=4", "model.scale=2"],
    "se_res2net50": ["model.base_width=4", "model.scale=2"],
}
SMALL_FEATURES = {  # the filters of their own sizes take seconds
    "scattering": ["feature.num_scales=2", "feature.num_angles=2", "feature.size=[32,32]"],
    "scattering1d": ["feature.num_scales=6", "feature.wavelets_per_octave=2"],
}
FULL = {(feature, model) for feature in FEATURES if _has_class("feature", feature) for model in MODELS}
FULL = {(feature, model) for feature, model in FULL if _has_class("model", model)}
PAIRS = [pytest.param(*pair, marks=() if pair in FAST else pytest.mark.slow) for pair in sorted(FULL | FAST)]


def composed(*overrides):
    return setups.composed("segment_seconds=0.4", *overrides)


def _built_or_refused(cfg):
    try:
        return build_network(cfg), ""
    except IncompatiblePairError as error:
        return None, str(error)


@pytest.mark.parametrize(("feature", "model"), PAIRS)
def test_a_pair_runs_forward_and_backward(feature, model, architectures):
    size = ["sample_rate=1", "segment_seconds=26"] if feature == "table" else []  # columns, not samples
    cfg = composed(
        f"feature={feature}", f"model={model}", *size, *SMALL_FEATURES.get(feature, []), *TINY.get(model, [])
    )
    if feature.startswith(("wav2vec2", "ssl")):
        tiny = setups.TINY_SSL if feature == "ssl" else architectures["base"]
        OmegaConf.update(cfg, "feature.architecture", tiny, force_add=True)
    detector, refusal = _built_or_refused(cfg)
    if detector is None:
        assert (feature, model) not in MADE_FOR_EACH_OTHER
        assert re.search(REFUSALS[model], refusal)
        return
    waveform = 0.1 * torch.randn(4, num_segment_samples(cfg))
    detector.loss(detector.embedding({"waveform": waveform}), torch.tensor([0, 1, 0, 1])).backward()
    missing = [name for name, p in detector.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing
    assert all(torch.isfinite(p.grad).all() for p in detector.parameters() if p.grad is not None)
    score = detector.eval()(waveform)
    assert score.shape == (4,)
    assert torch.isfinite(score).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_a_model(loss):
    detector = build_network(composed(f"loss={loss}", "feature=mfcc", "model=mlp"))
    embedding = detector.embedding({"waveform": 0.1 * torch.randn(4, 6400)})
    detector.loss(embedding, torch.tensor([0, 1, 0, 1])).backward()
    assert all(p.grad is not None for p in detector.parameters() if p.requires_grad)
    assert detector.loss.score(embedding).shape == (4,)


def test_weights_follow_from_the_seed():
    def weights(seed):
        torch.randn(seed + 3)  # whatever was drawn before
        return torch.cat([p.flatten() for p in build_network(composed(f"seed={seed}")).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
