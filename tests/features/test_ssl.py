"""Speech encoders of transformers: hidden states, normalisation, freezing, and a detector without the hub."""

import json
import shutil
import sys

import pytest
import torch

import dfx
from dfx.config.identity import config_hash
from dfx.detector.build import build_checkpoint_config
from dfx.detector.initial_weights import read_initial_weights
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
    "data2vec": TINY_SSL | {"model_type": "data2vec-audio", "do_normalize": True},  # has no feat_extract_norm
}
HUB = ("huggingface_hub.file_download", "huggingface_hub._snapshot_download", "huggingface_hub.hf_api")


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
    for family in ("bert", "wav2vec2-bert", "sew", "sew-d", None, ["hubert"]):
        with pytest.raises(
            ValueError, match=r"of the families wav2vec2, .*, got model_type=.* \(feature\.archi.*: name"
        ):
            SSL(RATE, architecture=TINY_SSL | {"model_type": family})
    transformers.AutoConfig.for_model("sew").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"of the families wav2vec2, .*, got model_type='sew' \(.*: name an encoder"):
        SSL(RATE, name=str(tmp_path))
    with pytest.raises(ValueError, match=r"\(hidden_act is neither number, text nor a list of them\): give a complete"):
        SSL(RATE, architecture=TINY_SSL | {"hidden_act": {"name": "gelu"}})
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
    with pytest.raises(ValueError, match="got model_type='planted'"):
        SSL(RATE, name=str(tmp_path))
    assert not (tmp_path / "CANARY").exists()


@pytest.fixture
def hub_calls():
    """Names of the functions of huggingface_hub that may go online, called while a test runs."""
    called = []

    def note(frame, event, _):
        if event == "call" and frame.f_globals.get("__name__") in HUB:
            called.append(frame.f_code.co_name)

    sys.setprofile(note)
    yield called
    sys.setprofile(None)


def test_the_configuration_in_a_checkpoint_never_reaches_the_hub(tmp_path, hub_calls):
    cfg = composed("feature=ssl", "feature.name=null", "model=mlp", "segment_seconds=0.2")
    cfg.feature.architecture = TINY_SSL
    network = build_network(cfg).eval()
    config = build_checkpoint_config(cfg, network)

    def load(architecture):
        evil = config | {"feature": config["feature"] | {"architecture": architecture}}
        torch.save({CONFIG_KEY: evil, "state_dict": network.state_dict()}, tmp_path / "evil.ckpt")
        return dfx.load(tmp_path / "evil.ckpt").score(0.1 * torch.randn(3200).numpy(), RATE)

    planted = {
        "backbone": "evil/repo",
        "use_pretrained_backbone": True,
        "conv_stride": [5],
        "feat_extract_norm": "layer",
        "attn_implementation": "evil-org/kernel",
    }
    for family in ("dpt", "vitmatte", "upernet", "maskformer", "detr"):
        with pytest.raises(ValueError, match=f"takes speech encoders of the families .* got model_type='{family}'"):
            load(planted | {"model_type": family})
    assert isinstance(load(planted | config["feature"]["architecture"]), float)  # the other keys are left out
    assert not hub_calls


def test_an_encoder_in_half_precision_computes_in_single(tmp_path):
    model, _ = save(tmp_path, "base")
    model.half().save_pretrained(tmp_path)
    feature = SSL(RATE, name=str(tmp_path))
    assert {p.dtype for p in feature.parameters()} == {torch.float32}
    assert feature.output_shape(1600).frames == 79


def test_the_identity_follows_the_files_of_an_encoder_not_their_place(tmp_path):
    def identity(name):
        cfg = composed("feature=ssl", f"feature.name={name}")
        return config_hash(cfg, feature_files=read_initial_weights(cfg).feature_files)

    save(tmp_path / "a", "base")
    first = identity(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / ".git").mkdir()
    (tmp_path / "b" / ".git" / "index").touch()
    assert identity(tmp_path / "b") == first
    save(tmp_path / "b", "base")  # other random weights
    assert identity(tmp_path / "b") != first
    hub = composed("feature=ssl")
    assert not read_initial_weights(hub).feature_files
    assert config_hash(hub, feature_files={}) == config_hash(hub)
