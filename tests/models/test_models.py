"""What every model promises, over every kind of feature map."""

import pytest
import torch
from torch import nn

from dfx.losses import BCE, CE, P2SGrad
from dfx.models import LCNN, LCNNS1, MLP, LCNNLight, ResNet, ResNet2, Wav2Vec2Head

MODELS = {
    "lcnn": LCNN,
    "lcnn_light": LCNNLight,
    "lcnn_s1": LCNNS1,
    "mlp": MLP,
    "resnet18": lambda shape: ResNet(shape, depth=18),
    "resnet34_se": lambda shape: ResNet(shape, depth=34, se=True),
    "resnet2": ResNet2,
    "wav2vec2_head": Wav2Vec2Head,
}
SHAPES = {"lfcc": (1, 60, 400), "wav2vec2": (13, 32, 50), "waveform": (1, 1, 16_000)}

each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())


def feature_map(batch, shape):
    """Values of the size of log-mel energies."""
    return 3.0 * torch.randn(batch, *shape) - 10.0


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@each_model
@each_shape
def test_every_parameter_learns_on_every_shape(model, shape):
    model = model(shape).train()
    embedding = model(feature_map(2, shape))
    assert embedding.shape == (2, model.embedding_dim)
    (embedding * torch.randn_like(embedding)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@each_model
@pytest.mark.parametrize("shape", [SHAPES["lfcc"], SHAPES["waveform"]], ids=["lfcc", "waveform"])
def test_batch_of_four_equals_four_singles(model, shape):
    model = model(shape)
    model.train()(feature_map(4, shape))  # moves the running statistics away from 0 and 1
    model.eval()
    maps = feature_map(4, shape)
    with torch.no_grad():
        together = model(maps)
        apart = torch.cat([model(one[None]) for one in maps])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)


@each_model
def test_takes_any_number_of_frames_at_inference_and_any_number_of_bins(model):
    with torch.no_grad():
        built = model((1, 60, 400)).eval()
        for frames in (1, 7, 97, 1201):
            embedding = built(feature_map(1, (1, 60, frames)))
            assert embedding.shape == (1, built.embedding_dim)
            assert embedding.isfinite().all()
        for bins in (1, 5, 12, 81):
            built = model((2, bins, 50)).eval()
            assert built(feature_map(3, (2, bins, 50))).shape == (3, built.embedding_dim)


@each_model
def test_silence_gives_finite_embeddings_and_gradients(model):
    for value in (0.0, -13.8155):
        built = model((1, 60, 100)).train()
        maps = torch.full((2, 1, 60, 100), value, requires_grad=True)
        embedding = built(maps)
        embedding.square().sum().backward()
        assert embedding.isfinite().all()
        assert maps.grad.isfinite().all()
        assert all(parameter.grad.isfinite().all() for parameter in built.parameters())


@each_model
def test_trains_on_a_batch_of_one_and_refuses_an_empty_axis_in_words(model):
    model((1, 60, 400)).train()(feature_map(1, (1, 60, 400))).sum().backward()
    with pytest.raises(ValueError, match=r"at least 1 channel, 1 bin and 1 frame, got .*\(1, 60, 0\).*longer segment"):
        model((1, 60, 0))


@each_model
def test_tells_a_tone_from_a_chirp(model):
    """Both maps have the same energy in every frame; the chirp moves through the bins."""
    shape = (1, 20, 40)
    frame = torch.arange(40)
    tone, chirp = torch.zeros(2, *shape).unbind()
    tone[0, 5] = 1.0
    chirp[0, frame // 2, frame] = 1.0
    model = model(shape).train()
    loss = BCE(model.embedding_dim)
    optimizer = torch.optim.Adam([*model.parameters(), *loss.parameters()], lr=1e-2)
    label = torch.arange(16) % 2
    maps = torch.where(label.bool()[:, None, None, None], tone, chirp)
    for _ in range(40):
        optimizer.zero_grad()
        loss(model(maps + 0.1 * torch.randn_like(maps)), label).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        score = loss.score(model(maps + 0.1 * torch.randn_like(maps)))
    assert score[label == 1].min() > score[label == 0].max()


@pytest.mark.parametrize(
    ("model", "loss", "count"),
    [
        (LCNN((1, 60, 400)), BCE, 269_729),  # Wang and Yamagishi 2021
        (LCNN((1, 60, 400), embedding_dim=64), P2SGrad, 275_968),  # the same with P2SGrad
        (LCNN((1, 80, 400)), BCE, 467_425),
        (LCNN((1, 384, 400)), BCE, 7_248_449),
        (ResNet((1, 257, 400), depth=18), CE, 700_786),  # Li et al. 2021, (SE-)Res2Net repository
        (ResNet((1, 257, 400), depth=18, se=True), CE, 706_226),
        (ResNet((1, 257, 400), depth=34), CE, 1_333_938),
        (ResNet((1, 257, 400), depth=34, se=True), CE, 1_343_762),
    ],
)
def test_parameter_counts_are_the_published_ones(model, loss, count):
    parameters = [*model.parameters(), *loss(model.embedding_dim).parameters()]
    assert sum(p.numel() for p in parameters if p.requires_grad) == count


def test_resnet_refuses_an_unknown_depth():
    with pytest.raises(ValueError, match=r"no ResNet of depth 50 here: use one of \[18, 34\]"):
        ResNet((1, 60, 400), depth=50)


def test_lcnn_adds_the_convolutional_features_to_the_lstm():
    model = LCNN((1, 60, 400)).eval()
    for parameter in model.lstm.parameters():
        nn.init.zeros_(parameter)  # an LSTM of zeros answers zero
    maps = feature_map(2, (1, 60, 400))
    with torch.no_grad():
        frames = model.convolutions(maps.transpose(2, 3))
        assert frames.shape == (2, 32, 400 // 16, 60 // 16)
        torch.testing.assert_close(model(maps), frames.mean(dim=2).flatten(1))


def test_wav2vec2_head_starts_with_equal_layer_weights_and_learns_them():
    model = Wav2Vec2Head((13, 32, 50))
    torch.testing.assert_close(model.layer_weights(), torch.full((13,), 1 / 13))
    assert Wav2Vec2Head((1, 60, 400)).layer_logits is None
    assert Wav2Vec2Head((1, 60, 400)).layer_weights().tolist() == [1.0]
