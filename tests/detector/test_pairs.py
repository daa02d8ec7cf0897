"""Every feature with every model: the contract that a new component inherits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from dfx.config.schema import CONF_DIR, register_schema
from dfx.detector import build

register_schema()
FEATURES, MODELS, LOSSES = (
    sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml")) for group in ("feature", "model", "loss")
)
# Every feature with two models and every model with two maps; the full product is slow.
FAST = {(feature, model) for feature in FEATURES for model in ("mlp", "lcnn_light")}
FAST |= {(feature, model) for feature in ("lfcc", "wav2vec2") for model in MODELS}
PAIRS = [
    pytest.param(feature, model, marks=() if (feature, model) in FAST else pytest.mark.slow)
    for feature in FEATURES
    for model in MODELS
]


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose("train", overrides=["segment_seconds=0.4", *overrides])


@pytest.mark.parametrize(("feature", "model"), PAIRS)
def test_a_pair_runs_forward_and_backward(feature: str, model: str, architectures: dict[str, Any]) -> None:
    size = ["sample_rate=1", "segment_seconds=26"] if feature == "table" else []  # columns, not samples
    cfg = composed(f"feature={feature}", f"model={model}", *size)
    if feature.startswith("wav2vec2"):
        OmegaConf.update(cfg, "feature.architecture", architectures["base"], force_add=True)
    detector = build.build_detector(cfg)
    waveform = 0.1 * torch.randn(4, build.num_segment_samples(cfg))
    detector.loss(detector.embedding({"waveform": waveform}), torch.tensor([0, 1, 0, 1])).backward()
    missing = [name for name, p in detector.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing
    assert all(torch.isfinite(p.grad).all() for p in detector.parameters() if p.grad is not None)
    score = detector.eval()(waveform)
    assert score.shape == (4,)
    assert torch.isfinite(score).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_a_model(loss: str) -> None:
    detector = build.build_detector(composed(f"loss={loss}", "feature=mfcc", "model=mlp"))
    embedding = detector.embedding({"waveform": 0.1 * torch.randn(4, 6400)})
    detector.loss(embedding, torch.tensor([0, 1, 0, 1])).backward()
    assert all(p.grad is not None for p in detector.parameters() if p.requires_grad)
    assert detector.loss.score(embedding).shape == (4,)


def test_weights_follow_from_the_seed() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.randn(seed + 3)  # whatever was drawn before
        return torch.cat([p.flatten() for p in build.build_detector(composed(f"seed={seed}")).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_silence_is_scored_and_too_little_is_refused_in_words() -> None:
    detector = build.build_detector(composed()).eval()
    assert torch.isfinite(detector(torch.zeros(1, 16000))).all()
    for samples in (160, 0):
        with pytest.raises(ValueError, match="samples"):
            detector(torch.zeros(1, samples))
