import urllib.error
from typing import Any

import pytest
import torch
import torchaudio
from torchaudio.models import wav2vec2_model, wavlm_model

from dfx.features import Wav2Vec2

RATE = 16000
KINDS = ("base", "asr", "large", "wavlm")
Architectures = dict[str, dict[str, Any]]


def saved(path, architecture):
    factory = wavlm_model if "encoder_num_buckets" in architecture else wav2vec2_model
    model = factory(**architecture).eval()
    torch.save({"architecture": architecture, "state_dict": model.state_dict()}, path)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_channels_are_the_hidden_states(tmp_path, architectures, kind):
    architecture = architectures[kind]
    model = saved(tmp_path / "tiny.pt", architecture)
    waveform = torch.randn(2, 1600)
    if architecture["extractor_mode"] == "layer_norm":
        waveform = (waveform - waveform.mean(1, keepdim=True)) / waveform.std(1, keepdim=True, correction=0)
    first = []
    model.encoder.transformer.layers[0].register_forward_pre_hook(lambda _, inputs: first.append(inputs[0]))
    with torch.no_grad():
        layers, _ = model.extract_features(waveform)
        model.aux = None
        last, _ = model(waveform)
        states = Wav2Vec2(RATE, checkpoint=tmp_path / "tiny.pt").eval()(waveform).transpose(2, 3)
    assert states.shape[1] == 4
    torch.testing.assert_close(states[:, 0], first[0])
    torch.testing.assert_close(states[:, 1], layers[0])
    torch.testing.assert_close(states[:, 2], layers[1])
    torch.testing.assert_close(states[:, 3], last)


def test_inputs_are_normalised_clip_by_clip_where_the_model_was_trained_so(architectures):
    waveform = torch.randn(2, 1600)
    large, base = (Wav2Vec2(RATE, architecture=architectures[kind]).eval() for kind in ("large", "base"))
    torch.testing.assert_close(large(waveform * 0.01 + 0.1), large(waveform), atol=1e-3, rtol=1e-3)
    assert (base(waveform * 0.01 + 0.1) - base(waveform)).abs().max() > 1e-3


def test_every_bundle_needs_normalisation_exactly_if_its_extractor_has_layer_norms():
    bundles = [
        bundle
        for bundle in vars(torchaudio.pipelines).values()
        if isinstance(bundle, torchaudio.pipelines.Wav2Vec2Bundle)
    ]
    assert len(bundles) > 20
    for bundle in bundles:
        assert bundle._normalize_waveform == (bundle._params["extractor_mode"] == "layer_norm")
        assert bundle.sample_rate == RATE


def test_a_frozen_encoder_has_no_gradient_and_no_dropout(architectures):
    feature = Wav2Vec2(RATE, architecture=architectures["base"])
    feature.train()
    feature.start_epoch(100)
    waveform = torch.randn(2, 1600)
    assert torch.equal(feature(waveform), feature(waveform))
    assert not feature(waveform).requires_grad
    assert not any(parameter.requires_grad for parameter in feature.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_fine_tuning_starts_with_its_epoch_and_trains_every_weight(architectures, kind):
    architecture = architectures[kind]
    feature = Wav2Vec2(RATE, architecture=architecture, finetune_from_epoch=2).train()
    waveform = torch.randn(2, 1600)
    feature.start_epoch(1)
    assert feature.frozen
    feature.start_epoch(2)
    assert feature.encoder.training
    assert not torch.equal(feature(waveform), feature(waveform))  # dropout
    assert feature(waveform).shape[1] == 4  # no layer is dropped
    (feature(waveform) * torch.randn(16, 1)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in feature.parameters())
    feature.eval()
    assert torch.equal(feature(waveform), feature(waveform))


def test_it_is_rebuilt_without_its_file(tmp_path, architectures):
    saved(tmp_path / "tiny.pt", architectures["wavlm"])
    feature = Wav2Vec2(RATE, checkpoint=tmp_path / "tiny.pt").eval()
    (tmp_path / "tiny.pt").unlink()
    options = {"bundle": "WAV2VEC2_BASE", "checkpoint": tmp_path / "tiny.pt"} | feature.rebuild_arguments()
    twin = Wav2Vec2(RATE, **options).eval()
    twin.load_state_dict(feature.state_dict())
    waveform = torch.randn(2, 1600)
    assert torch.equal(twin(waveform), feature(waveform))


def test_a_bundle_is_taken_by_name(monkeypatch, architectures):
    bundle = torchaudio.pipelines.WAV2VEC2_XLSR53
    model = wav2vec2_model(**architectures["large"])
    monkeypatch.setattr(bundle, "_params", architectures["large"])
    monkeypatch.setattr(type(bundle), "_get_state_dict", lambda self, dl_kwargs: model.state_dict())
    feature = Wav2Vec2(RATE, bundle="WAV2VEC2_XLSR53").eval()
    twin = Wav2Vec2(RATE, **feature.rebuild_arguments()).eval()
    twin.load_state_dict(feature.state_dict())
    waveform = torch.randn(1, 1600)
    assert torch.equal(feature(waveform), twin(waveform))


def test_missing_weights_are_explained(monkeypatch, tmp_path, architectures):
    def offline(self, dl_kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torchaudio.pipelines.WAV2VEC2_BASE, "_params", architectures["base"])
    monkeypatch.setattr(torchaudio.pipelines.Wav2Vec2Bundle, "_get_state_dict", offline)
    with pytest.raises(
        ValueError, match=r"WAV2VEC2_BASE could not be downloaded \(.*no route.*copy the file wav2vec2_.*\.pth to"
    ):
        Wav2Vec2(RATE)
    with pytest.raises(
        ValueError, match=r"no Wav2Vec2 bundle 'WAV2VEC_BASE': choose one of HUBERT_ASR_LARGE, .*WAVLM_LARGE"
    ):
        Wav2Vec2(RATE, bundle="WAV2VEC_BASE")
    with pytest.raises(ValueError, match=r"no Wav2Vec2 checkpoint at '.*missing\.pt'"):
        Wav2Vec2(RATE, checkpoint=tmp_path / "missing.pt")
    with pytest.raises(ValueError, match="got neither bundle, checkpoint nor architecture"):
        Wav2Vec2(RATE, bundle=None)
    with pytest.raises(ValueError, match="got sample_rate=8000"):
        Wav2Vec2(8000)


@pytest.mark.parametrize("wrong", ["no architecture", "no weights", "other arguments", "no dict", "no checkpoint"])
def test_another_file_is_refused(tmp_path, architectures, wrong):
    path = tmp_path / "other.pt"
    content = {
        "no architecture": {"state_dict": {}},
        "no weights": {"architecture": architectures["base"], "state_dict": {}},
        "other arguments": {"architecture": {"layers": 3}, "state_dict": {}},
        "no dict": [1, 2],
    }
    if wrong in content:
        torch.save(content[wrong], path)
    else:
        path.write_text("this is no checkpoint")
    with pytest.raises(ValueError, match=r"A Wav2Vec2 (checkpoint holds|architecture is)"):
        Wav2Vec2(RATE, checkpoint=path)
