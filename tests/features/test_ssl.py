"""Speech encoders of transformers: hidden states, normalisation, freezing, and a detector without the hub."""

import json
import sys

import pytest
import torch

import dfx
from dfx.detector.build import build_checkpoint_config
from dfx.detector.network import CONFIG_KEY, build_network
from dfx.features import SSL
from setups import TINY_SSL, composed

transformers = pytest.importorskip("transformers")

RATE = 16000
KINDS = {
    "base": TINY_SSL,
    "large": TINY_SSL | {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "do_normalize": True},
    "hubert": TINY_SSL | {"model_type": "hubert"},
    "wavlm": TINY_SSL | {"model_type": "wavlm"},
}


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def save(folder, kind):
    """A folder as the hub has it, with random weights; returns its model in eval mode."""
    given = {key: value for key, value in KINDS[kind].items() if key != "do_normalize"}
    config = transformers.AutoConfig.for_model(**given)
    model = transformers.AutoModel.from_config(config).eval()
    model.save_pretrained(folder)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=KINDS[kind]["do_normalize"])
    extractor.save_pretrained(folder)
    return model, extractor


@pytest.mark.parametrize("kind", KINDS)
def test_channels_are_the_hidden_states_of_transformers(tmp_path, kind):
    model, extractor = save(tmp_path, kind)
    waveform = 0.3 * torch.randn(2, 1600) + 0.1
    inputs = extractor(list(waveform.numpy()), sampling_rate=RATE, return_tensors="pt").input_values
    with torch.no_grad():
        output = model(inputs, output_hidden_states=True)
        expected = [*output.hidden_states[:-1], output.last_hidden_state]
        states = SSL(RATE, name=str(tmp_path)).train()(waveform)  # frozen: no dropout in train mode either
    assert len(expected) == states.shape[1] == 4
    for channel, state in zip(states.unbind(1), expected, strict=True):
        torch.testing.assert_close(channel.transpose(1, 2), state, rtol=1e-4, atol=1e-5)


def test_a_clip_alone_has_the_states_that_it_has_in_a_batch():
    feature = SSL(RATE, architecture=KINDS["large"]).eval()
    waveform = torch.randn(3, 1600) * torch.tensor([[0.1], [1.0], [3.0]])
    torch.testing.assert_close(feature(waveform)[:1], feature(waveform[:1]), rtol=1e-4, atol=1e-5)
    assert feature.hop_samples == 20
    assert feature(torch.zeros(1, feature.min_samples)).shape[3] == 1
    with pytest.raises(ValueError, match=r"SSL needs at least \d+ samples for one frame, got 20: use longer"):
        feature(torch.zeros(1, 20))


@pytest.mark.parametrize("kind", KINDS)
def test_fine_tuning_starts_with_its_epoch_and_trains_every_weight(kind):
    feature = SSL(RATE, architecture=KINDS[kind], finetune_from_epoch=2).train()
    waveform = torch.randn(2, 1600)
    feature.start_epoch(1)
    assert not feature(waveform).requires_grad
    feature.start_epoch(2)
    assert not torch.equal(feature(waveform), feature(waveform))  # dropout
    (feature(waveform) * torch.randn(64, 1)).sum().backward()
    missing = [name for name, p in feature.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not missing


def test_a_checkpoint_needs_neither_folder_nor_hub(tmp_path):
    save(tmp_path / "tiny", "large")
    cfg = composed("feature=ssl", f"feature.name={tmp_path / 'tiny'}", "model=mlp", "segment_seconds=0.2")
    network = build_network(cfg).eval()
    config = build_checkpoint_config(cfg, network)
    assert json.loads(json.dumps(config)) == config
    torch.save({CONFIG_KEY: config, "state_dict": network.state_dict()}, tmp_path / "best.ckpt")
    for file in (tmp_path / "tiny").iterdir():
        file.unlink()
    waveform = 0.1 * torch.randn(1, 3200)
    with torch.no_grad():
        expected = float(network(waveform))
    assert dfx.load(tmp_path / "best.ckpt").score(waveform[0].numpy(), RATE) == pytest.approx(expected, abs=1e-5)
    config["feature"]["name"] = "somebody/model"
    torch.save({CONFIG_KEY: config, "state_dict": network.state_dict()}, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match=r"feature\.name='somebody/model': a detector file holds its weights"):
        dfx.load(tmp_path / "evil.ckpt")


def test_what_cannot_be_had_is_explained(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="neither name nor architecture: name a model"):
        SSL(RATE, name=None)
    with pytest.raises(ValueError, match=r"encoder '.*gone' cannot be had \(.*connect to the internet once, or copy"):
        SSL(RATE, name=str(tmp_path / "gone"))
    with pytest.raises(ValueError, match="bert is no speech encoder that takes waveforms"):
        SSL(RATE, architecture={"model_type": "bert"})
    with pytest.raises(ValueError, match="with its model_type, got"):
        SSL(RATE, architecture={"hidden_size": 64})
    with pytest.raises(ValueError, match="set sample_rate=16000"):
        SSL(8000, architecture=TINY_SSL)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"pip install 'dfx\[transformers\]'"):
        SSL(RATE, architecture=TINY_SSL)


def test_code_of_a_model_is_never_run(tmp_path):
    save(tmp_path, "base")
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "planted", "auto_map": {"AutoConfig": "planted.Config", "AutoModel": "planted.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "planted.py").write_text(f"open({str(tmp_path / 'CANARY')!r}, 'w')")
    with pytest.raises(ValueError, match="cannot be had"):
        SSL(RATE, name=str(tmp_path))
    assert not (tmp_path / "CANARY").exists()
