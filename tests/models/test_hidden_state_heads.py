"""What the networks on hidden states promise, and their published numbers."""

import json
from pathlib import Path

import pytest
import torch

from dfx.losses import CE
from dfx.models import AASISTSSL, MHFA, SLS, TCM, Nes2Net, SSLLinear
from dfx.models.blocks import LayerSum

HEADS = {
    "aasist_ssl": AASISTSSL,
    "nes2net": Nes2Net,
    "sls": lambda shape: SLS(shape, embedding_dim=8),
    "tcm": lambda shape: TCM(shape, width=16, blocks=2, kernel=5),
}
SHAPES = ((5, 64, 12), (1, 64, 30))  # hidden states, and a feature of one channel
XLS_R = Path(__file__).with_name("xls_r_300m.json")  # numbers in the config.json of facebook/wav2vec2-xls-r-300m

each_head = pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@each_head
@pytest.mark.parametrize("shape", SHAPES)
def test_every_parameter_learns(head, shape):
    model = head(shape).train()
    embedding = model(torch.randn(2, *shape))
    assert embedding.shape == (2, model.embedding_dim)
    (embedding * torch.randn_like(embedding)).sum().backward()
    bad = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()]
    assert not bad


@each_head
def test_batch_of_four_equals_four_singles(head):
    model = head((5, 64, 12))
    model.train()(torch.randn(4, 5, 64, 12))
    model.eval()
    states = torch.randn(4, 5, 64, 12)
    with torch.no_grad():
        torch.testing.assert_close(model(states), torch.cat([model(one[None]) for one in states]), rtol=1e-4, atol=1e-4)


@each_head
def test_trains_on_one_clip_and_on_silence_and_takes_other_lengths(head):
    model = head((5, 64, 12)).train()
    model(torch.randn(1, 5, 64, 12)).sum().backward()
    states = torch.zeros(2, 5, 64, 12, requires_grad=True)
    model(states).square().sum().backward()
    assert states.grad.isfinite().all()
    if head is HEADS["sls"]:
        with pytest.raises(ValueError, match="SLS takes maps of the 12 frames that it was built for, got 47"):
            model(torch.randn(1, 5, 64, 47))
    else:
        assert model.eval()(torch.randn(1, 5, 64, 47)).isfinite().all()


@pytest.mark.parametrize(
    ("head", "shape", "words"),
    [
        *((head, (1, 1, 6400), "takes features of frames, got 6400 samples of a waveform") for head in HEADS.values()),
        (Nes2Net, (13, 60, 50), "splits the bins into 8 × 8 parts, got 60 bins"),
        (SLS, (13, 64, 2), "got a map of 64 bins and 2 frames: use a longer segment"),
        (AASISTSSL, (13, 64, 2), "needs at least 3 frames, got 2: use longer segments"),
        (TCM, (13, 64, 0), "at least 1 channel, 1 bin and 1 frame"),
    ],
)
def test_maps_that_cannot_be_used_are_refused_in_words(head, shape, words):
    with pytest.raises(ValueError, match=words):
        head(shape)


@pytest.mark.parametrize(
    ("head", "shape", "with_loss", "count"),
    [
        (AASISTSSL, (25, 1024, 201), True, 447_242 - 512),  # Tak et al. 2022, without normalisations that do nothing
        (MHFA, (25, 1024, 201), False, 1_315_410),  # WeDefense
        (MHFA, (13, 768, 201), False, 1_249_850),
        (SSLLinear, (25, 1024, 201), True, 262_939),  # SUPERB
        (SSLLinear, (13, 768, 201), True, 197_391),
        (Nes2Net, (25, 1024, 201), True, 512_039),  # the authors' code
        (SLS, (25, 1024, 201), True, 23_399_429),
        (TCM, (25, 1024, 201), True, 2_382_628),
    ],
)
def test_parameter_counts_are_the_published_ones(head, shape, with_loss, count):
    with torch.device("meta"):
        model = head(shape)
        parameters = [*model.parameters(), *(CE(model.embedding_dim).parameters() if with_loss else [])]
    assert sum(p.numel() for p in parameters) == count


def test_xls_r_with_aasist_has_the_stated_parameters():
    pytest.importorskip("transformers")
    from dfx.features import SSL

    with torch.device("meta"):
        encoder = SSL(16000, architecture=json.loads(XLS_R.read_text()), finetune_from_epoch=0)
        model = AASISTSSL((25, 1024, 201))
        head = sum(p.numel() for p in [*model.parameters(), *CE(model.embedding_dim).parameters()])
    count = sum(p.numel() for p in encoder.parameters())
    assert encoder.hop_samples == 320
    assert count == 315_437_696  # "315.4 M"; the published 315,438,720 contain the 1,024 of a mask, which is not used
    assert head + 512 == 447_242


def test_layers_are_weighed_by_a_softmax():
    layers = LayerSum(3)
    layers.logits.data = torch.tensor([0.0, 1.0, 2.0]).log().clamp(-1e9)
    x = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(layers(x), x[:, 1] / 3 + 2 * x[:, 2] / 3)
    torch.testing.assert_close(LayerSum(1)(x[:, :1]), x[:, 0])


def test_attention_of_mhfa_can_choose_a_frame():
    model = MHFA((1, 2, 4), heads=1, width=2, embedding_dim=2)
    for layer in (model.key, model.value, model.project):
        layer.weight.data, layer.bias.data = torch.eye(2), torch.zeros(2)
    model.attention.weight.data, model.attention.bias.data = torch.tensor([[100.0, 0.0]]), torch.zeros(1)
    x = torch.tensor([[0.0, 3.0, 0.0, 1.0], [5.0, 6.0, 7.0, 8.0]])[None, None]
    torch.testing.assert_close(model(x), torch.tensor([[3.0, 6.0]]))


def test_the_last_layer_is_the_one_of_these_heads():
    for head in (AASISTSSL, Nes2Net, HEADS["tcm"]):
        model, states = head((3, 64, 12)).eval(), torch.randn(1, 3, 64, 12)
        other = torch.cat([torch.randn(1, 2, 64, 12), states[:, 2:]], dim=1)
        assert torch.equal(model(states), model(other))
