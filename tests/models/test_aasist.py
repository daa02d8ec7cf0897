"""AASIST: what it computes, and the authors' weights as an ordinary detector."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import dfx
from dfx.detector.build import build_checkpoint_config
from dfx.detector.foreign_config import check_foreign_config
from dfx.detector.initial_weights import read_initial_weights
from dfx.detector.network import CHECKPOINT_KEYS, CONFIG_KEY, build_network
from dfx.losses import BCE, CE, AMSoftmax
from dfx.models import AASIST, aasist, aasist_blocks
from dfx.models.sinc import SincBank
from setups import artifacts, composed, train_run

ON_WAVEFORM = ("feature=waveform", "model=aasist", "loss=ce", "loss.weight=9", "segment_seconds=0.5")
LIGHT = {"channels": 24, "width": 24, "pool_spectral": 0.4, "pool_temporal": 0.5, "pool_joint": 0.7}


def _named(parts, kinds):
    return [f"{part}.{kind}" for part in parts for kind in kinds]


LINEAR = ("weight", "bias")
NORM = (*LINEAR, "running_mean", "running_var", "num_batches_tracked")
CONVOLUTIONS = [f"encoder.{n}.0.{conv}" for n in range(6) for conv in ("conv1", "conv2")]
PROJECTIONS = ("att_proj", "proj_with_att", "proj_without_att")
GRAPHS, JOINT = [f"GAT_layer_{one}" for one in "ST"], [f"HtrgGAT_layer_ST{n}" for n in (11, 12, 21, 22)]
NAMES = [  # of the authors' weights that have an effect, without the last layer
    *("pos_S", "master1", "master2"),
    *_named(["first_bn", *(f"encoder.{n}.0.bn2" for n in range(6)), *_named([*GRAPHS, *JOINT], ["bn"])], NORM),
    *_named([*CONVOLUTIONS, "encoder.0.0.conv_downsample", "encoder.2.0.conv_downsample"], LINEAR),
    *_named(_named([*GRAPHS, *JOINT], PROJECTIONS), LINEAR),
    *_named(_named(JOINT, [*(f"{one}M" for one in PROJECTIONS), "proj_type1", "proj_type2"]), LINEAR),
    *_named(GRAPHS, ["att_weight"]),
    *_named(JOINT, [f"att_weight{one}" for one in ("11", "22", "12", "M")]),
    *_named([f"pool_{one}.proj" for one in ("S", "T", "hS1", "hT1", "hS2", "hT2")], LINEAR),
]


def published(file, **settings):
    """A file with the authors' names and random values, and the model that has these values."""
    model = AASIST((1, 1, 8000), **settings)
    state = {}
    for theirs in NAMES:
        name = theirs
        for pattern, replacement in aasist.RENAMES.items():
            name = re.sub(pattern, replacement, name)
        state[theirs] = model.state_dict()[name]
    state["encoder.1.0.bn1.weight"] = torch.ones(32)
    state |= {"out_layer.weight": torch.randn(2, 160), "out_layer.bias": torch.randn(2)}
    torch.save(state, file)
    return model, state


def test_the_bank_passes_each_band_alone():
    """A tone in the middle of a band is loudest there; the bands together pass everything."""
    bank = SincBank(20, 1025, 16000)
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 21) / 2595) - 1)
    time = torch.arange(4000) / 16000
    for number in (3, 10, 19):
        tone = torch.sin(2 * torch.pi * float(edges[number : number + 2].mean()) * time)
        strength = bank(tone[None, None]).square().mean(dim=2)[0]
        assert strength.argmax() == number
        assert strength[number] == pytest.approx(0.5, rel=0.05)
    torch.testing.assert_close(bank.bank.sum(dim=0)[0, 512], torch.tensor(1.0), rtol=1e-3, atol=1e-3)


def test_a_convolution_of_one_channel_is_the_usual_one():
    for kernel, padding in (((2, 3), (1, 1)), ((1, 3), (0, 1))):
        convolution, x = aasist_blocks.OneChannelConv(5, kernel, padding), torch.randn(2, 1, 6, 9)
        usual = torch.nn.Conv2d(1, 5, kernel, padding=padding)
        usual.load_state_dict(convolution.state_dict())
        torch.testing.assert_close(convolution(x), usual(x))


def test_pooling_keeps_the_best_nodes_weighted():
    pool = aasist_blocks.GraphPool(2, 0.5).eval()
    torch.nn.init.constant_(pool.score.weight, 1.0)
    torch.nn.init.zeros_(pool.score.bias)
    nodes = torch.tensor([[[0.0, 0.0], [3.0, 1.0], [-1.0, 0.0], [1.0, 1.0], [0.0, 0.5]]])
    expected = nodes[:, [1, 3]] * torch.sigmoid(torch.tensor([4.0, 2.0]))[:, None]
    torch.testing.assert_close(pool(nodes), expected)


def test_graph_attention_does_not_know_the_order_of_its_nodes():
    layer = aasist_blocks.GraphAttention(6, 4).eval()
    nodes, order = torch.randn(2, 7, 6), torch.randperm(7)
    torch.testing.assert_close(layer(nodes)[:, order], layer(nodes[:, order]))
    joint = aasist_blocks.JointGraphAttention(6, 4).eval()
    first = joint(nodes[:, :3], nodes[:, 3:], torch.randn(1, 1, 6))
    assert [tuple(part.shape) for part in first] == [(2, 3, 4), (2, 4, 4), (2, 1, 4)]


def test_short_waveforms_and_other_features_are_refused_in_words():
    AASIST((1, 1, 2315))
    with pytest.raises(ValueError, match="needs at least 2315 samples for one frame, got 2314: use longer segments"):
        AASIST((1, 1, 2314))
    with pytest.raises(ValueError, match="takes the waveform, got a map of 1 channels and 60 bins: use feature=wave"):
        AASIST((1, 60, 400))


@pytest.mark.parametrize(("settings", "count", "discarded"), [({}, 297_866, 512), (LIGHT, 85_306, 272)])
def test_parameters_are_the_published_ones_without_those_that_do_nothing(settings, count, discarded):
    model = AASIST((1, 1, 64_600), **settings)
    assert sum(p.numel() for p in [*model.parameters(), *CE(160).parameters()]) == count - discarded


def test_published_names_are_read_and_the_last_layer_goes_to_the_loss(tmp_path):
    model, state = published(tmp_path / "a.pth")
    network = build_network(composed(*ON_WAVEFORM, f"model.checkpoint={tmp_path / 'a.pth'}")).eval()
    waveform = torch.randn(2, 8000)
    logits = model.eval()(waveform[:, None, None]) @ state["out_layer.weight"].T + state["out_layer.bias"]
    torch.testing.assert_close(network(waveform), logits[:, 1] - logits[:, 0])  # no prior, no weight
    network.loss.set_prior(9, 1)  # as before a training
    torch.testing.assert_close(network(waveform), logits[:, 1] - logits[:, 0] - 2 * np.log(9))


def test_wrong_files_and_losses_are_explained(tmp_path):
    published(tmp_path / "a.pth")
    torch.save([1], tmp_path / "list.pth")
    (tmp_path / "no.pth").write_text("no weights")
    for name, settings, words in (
        ("gone.pth", {}, "There is no file of weights .*gone"),
        ("list.pth", {}, "holds no weights by name: .*init=FILE"),
        ("no.pth", {}, "cannot be read as weights"),
        ("a.pth", {"sample_rate": 8000}, "at 16000 Hz, got sample_rate=8000: use sample_rate=16000"),
        ("a.pth", LIGHT, r"not those of AASIST with these settings: \d+ of another size \(encoder"),
    ):
        with pytest.raises(ValueError, match=words):
            AASIST((1, 1, 8000), checkpoint=tmp_path / name, **settings)
    for loss in (BCE, AMSoftmax):
        with pytest.raises(ValueError, match=r"a linear layer of 2 outputs, which .* does not have: use loss=ce"):
            loss(160).load_output(torch.zeros(2, 160), torch.zeros(2))


def test_the_identity_follows_the_file_not_its_place(tmp_path):
    published(tmp_path / "a.pth")
    start = read_initial_weights(composed(*ON_WAVEFORM, f"model.checkpoint={tmp_path / 'a.pth'}"))
    assert start.tags["init_name"] == "a.pth"
    assert len(start.tags["init_sha256"]) == 64
    with pytest.raises(ValueError, match="both give the weights to start from"):
        read_initial_weights(composed(*ON_WAVEFORM, "model.checkpoint=a.pth", "init=b.ckpt"))
    with pytest.raises(ValueError, match=r"no file of weights .*gone"):
        read_initial_weights(composed(*ON_WAVEFORM, "model.checkpoint=gone.pth"))


def test_a_checkpoint_names_no_other_weights(tmp_path):
    published(tmp_path / "a.pth")
    cfg = composed(*ON_WAVEFORM, f"model.checkpoint={tmp_path / 'a.pth'}")
    config = build_checkpoint_config(cfg, build_network(cfg))
    assert config["model"]["checkpoint"] is None
    check_foreign_config(config, Path("own.ckpt"), CHECKPOINT_KEYS)
    config["model"]["checkpoint"] = "b.pth"
    torch.save({CONFIG_KEY: config, "state_dict": {}}, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match=r"model\.checkpoint='b\.pth': a detector file holds its weights"):
        dfx.load(tmp_path / "evil.ckpt")


def test_published_weights_become_a_detector_without_training(tmp_path, corpus, home):
    _, state = published(tmp_path / "a.pth", **LIGHT)
    given = [f"model.checkpoint={tmp_path / 'a.pth'}", "model=aasist_l", "trainer.max_epochs=0", "log_model=false"]
    given += ["segment_seconds=0.2", "data.limit_utterances=8"]  # a step is slow
    run = train_run("published", corpus, home, *ON_WAVEFORM, *given)
    assert run.info.status == "FINISHED"
    assert run.data.tags["init_name"] == "a.pth"
    assert run.data.metrics["cost/train_seconds"] == 0
    checkpoint = artifacts(run) / "checkpoint" / "best.ckpt"
    detector = dfx.load(checkpoint)
    assert isinstance(detector.score(0.1 * torch.randn(8000).numpy(), 16000), float)
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    torch.testing.assert_close(weights["loss.linear.weight"], state["out_layer.weight"], rtol=0, atol=0)
    with pytest.raises(ValueError, match="max_epochs=0: it must be positive, or 0 with model"):
        train_run("unpublished", corpus, home, *ON_WAVEFORM, "trainer.max_epochs=0")


@pytest.mark.parametrize(
    ("name", "settings", "golden"),
    [("AASIST.pth", {}, [10.2514, -11.9565]), ("AASIST-L.pth", LIGHT, [7.6332, -6.5525])],
)
def test_the_authors_weights_give_the_golden_logits(name, settings, golden):
    folder = os.environ.get("DFX_AASIST_WEIGHTS")
    if not folder:
        pytest.skip("set DFX_AASIST_WEIGHTS to the folder of AASIST.pth and AASIST-L.pth (clovaai/aasist)")
    model = AASIST((1, 1, 64_600), checkpoint=Path(folder) / name, **settings).eval()
    loss = CE(model.embedding_dim)
    loss.load_output(*model.pretrained_output)
    with torch.no_grad():
        logits = loss.linear(model(torch.sin(0.05 * torch.arange(64_600.0))[None, None, None]))
    torch.testing.assert_close(logits, torch.tensor([golden]), rtol=0, atol=1e-3)
