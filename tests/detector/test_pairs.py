"""Every feature with every model: the contract that a new component inherits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from dfx.config.schema import CONF_DIR, register_schema
from dfx.detector import build

register_schema()
FEATURES, MODELS, LOSSES = (
    sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml")) for group in ("feature", "model", "loss")
)
# Counts of trainable parameters, last layer included: reference/architectures as published by their authors.
PUBLISHED = {
    ("lfcc", "lcnn", "bce"): 269_729,  # Wang and Yamagishi 2021
    ("lfcc", "resnet18", "ce"): 700_786,  # Li et al. 2021, (SE-)Res2Net repository
    ("lfcc", "resnet34", "ce"): 1_333_938,
}


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose("train", overrides=["segment_seconds=0.8", *overrides])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("feature", FEATURES)
def test_a_pair_runs_forward_and_backward(
    feature: str, model: str, tiny_wav2vec2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFX_WAV2VEC2", str(tiny_wav2vec2))
    size = ["sample_rate=1", "segment_seconds=26"] if feature == "table" else []  # columns, not samples
    cfg = composed(f"feature={feature}", f"model={model}", *size)
    detector = build.detector(cfg)
    waveform = 0.1 * torch.randn(4, build.num_samples(cfg))
    detector.loss(detector.embedding({"waveform": waveform}), torch.tensor([0, 1, 0, 1])).backward()
    missing = [name for name, p in detector.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing
    assert all(torch.isfinite(p.grad).all() for p in detector.parameters() if p.grad is not None)
    score = detector.eval()(waveform)
    assert score.shape == (4,)
    assert torch.isfinite(score).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_a_model(loss: str) -> None:
    detector = build.detector(composed(f"loss={loss}", "feature=mfcc", "model=mlp"))
    embedding = detector.embedding({"waveform": 0.1 * torch.randn(4, 12800)})
    detector.loss(embedding, torch.tensor([0, 1, 0, 1])).backward()
    assert all(p.grad is not None for p in detector.parameters() if p.requires_grad)
    assert detector.loss.score(embedding).shape == (4,)


@pytest.mark.parametrize(("choice", "count"), PUBLISHED.items(), ids=lambda value: str(value))
def test_parameter_counts_are_the_published_ones(choice: tuple[str, str, str], count: int) -> None:
    feature, model, loss = choice
    detector = build.detector(composed(f"feature={feature}", f"model={model}", f"loss={loss}"))
    assert sum(p.numel() for p in detector.parameters() if p.requires_grad) == count


def test_weights_follow_from_the_seed() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.randn(seed + 3)  # whatever was drawn before
        return torch.cat([p.flatten() for p in build.detector(composed(f"seed={seed}")).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("samples", [16000, 160, 0])
def test_silence_is_scored_and_too_little_is_refused_in_words(samples: int) -> None:
    detector = build.detector(composed()).eval()
    if samples < 1000:
        with pytest.raises(ValueError, match="samples"):
            detector(torch.zeros(1, samples))
    else:
        assert torch.isfinite(detector(torch.zeros(1, samples))).all()
