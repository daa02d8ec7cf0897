"""What every model promises, over every kind of feature map."""

import pytest
import torch
from torch import nn

from dfx.losses import BCE, CE, P2SGrad
from dfx.models import (
    AASIST,
    CNN,
    ECAPA,
    LCNN,
    LCNNS1,
    MHFA,
    MLP,
    LCNNLight,
    RawNet2,
    Res2Net,
    ResNet,
    ResNet2,
    ResNet18AIR,
    SSLLinear,
    TimmBackbone,
    Wav2Vec2Head,
)
from dfx.models.blocks import IncompatiblePairError, Scales

MODELS = {
    "aasist": lambda shape: AASIST(shape, channels=8, width=8),
    "cnn": lambda shape: CNN(shape, channels=(8, 16), widths=(16, 8)),
    "ecapa": lambda shape: ECAPA(shape, width=64, embedding_dim=24),
    "lcnn": LCNN,
    "lcnn_light": LCNNLight,
    "lcnn_s1": LCNNS1,
    "mhfa": MHFA,
    "mlp": MLP,
    "mlp_mean": lambda shape: MLP(shape, pooling="mean"),
    "mlp_flat": lambda shape: MLP(shape, (16, 12, 8), (0.4, 0.4, 0.3), pooling="flatten", batch_norm=False),
    "rawnet2": lambda shape: RawNet2(shape, units=16),
    "res2net50": lambda shape: Res2Net(shape, base_width=4, se=True),
    "resnet18_air": lambda shape: ResNet18AIR(shape, width=8, embedding_dim=24),
    "resnet18": lambda shape: ResNet(shape, depth=18),
    "resnet34_se": lambda shape: ResNet(shape, depth=34, se=True),
    "resnet50": lambda shape: ResNet(shape, depth=50),
    "resnet2": ResNet2,
    "ssl_linear": SSLLinear,
    "timm": lambda shape: TimmBackbone(shape, architecture="test_efficientnet"),  # of timm's own tests
    "wav2vec2_head": Wav2Vec2Head,
}
ONE_LENGTH = {"cnn", "mlp_flat"}  # models of one segment length only
ON_WAVEFORM = {"aasist", "rawnet2"}  # models that take the waveform only
LEAST_BINS = {"resnet18_air": 7, "ecapa": 2, "mhfa": 2, "ssl_linear": 2}  # bins that a model needs at least
DEEP = {"res2net50", "resnet18_air", "resnet34_se", "resnet50", "timm"}  # forty steps take seconds
SHAPES = {"lfcc": (1, 60, 400), "wav2vec2": (13, 32, 50), "waveform": (1, 1, 16_000)}


def each_pair(*shapes):
    """Parametrize a test over every model with each of these shapes that it can use."""
    pairs = [
        pytest.param(model, SHAPES[shape], id=f"{name}-{shape}")
        for name, model in MODELS.items()
        for shape in shapes
        if (shape == "waveform" if name in ON_WAVEFORM else SHAPES[shape][1] >= LEAST_BINS.get(name, 1))
    ]
    return pytest.mark.parametrize(("model", "shape"), pairs)


def feature_map(batch, shape):
    """Values of the size of log-mel energies."""
    return 3.0 * torch.randn(batch, *shape) - 10.0


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@each_pair(*SHAPES)
def test_every_parameter_learns_on_every_shape(model, shape):
    model = model(shape).train()
    embedding = model(feature_map(2, shape))
    assert embedding.shape == (2, model.embedding_dim)
    (embedding * torch.randn_like(embedding)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@each_pair("lfcc", "waveform")
def test_batch_of_four_equals_four_singles(model, shape):
    model = model(shape)
    model.train()(feature_map(4, shape))  # moves the running statistics away from 0 and 1
    model.eval()
    maps = feature_map(4, shape)
    with torch.no_grad():
        together = model(maps)
        apart = torch.cat([model(one[None]) for one in maps])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ON_WAVEFORM])
def test_takes_any_number_of_frames_at_inference_and_any_number_of_bins(name):
    model = MODELS[name]
    with torch.no_grad():
        built = model((1, 60, 400)).eval()
        if name in ONE_LENGTH:
            with pytest.raises(ValueError, match="of the 400 frames that it was built for, got 97: cut the audio"):
                built(feature_map(1, (1, 60, 97)))
        for frames in (1, 7, 97, 1201) if name not in ONE_LENGTH else (400,):
            embedding = built(feature_map(1, (1, 60, frames)))
            assert embedding.shape == (1, built.embedding_dim)
            assert embedding.isfinite().all()
        for bins in {max(bins, LEAST_BINS.get(name, 1)) for bins in (1, 5, 12, 81)}:
            built = model((2, bins, 50)).eval()
            assert built(feature_map(3, (2, bins, 50))).shape == (3, built.embedding_dim)


@pytest.mark.parametrize("name", sorted(ON_WAVEFORM))
def test_takes_a_waveform_of_any_length_at_inference(name):
    built = MODELS[name]((1, 1, 5000)).eval()
    with torch.no_grad():
        for samples in (3211, 5001, 20_000):
            embedding = built(feature_map(1, (1, 1, samples)))
            assert embedding.shape == (1, built.embedding_dim)
            assert embedding.isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_silence_gives_finite_embeddings_and_gradients(name):
    shape = (1, 1, 5000) if name in ON_WAVEFORM else (1, 60, 100)
    for value in (0.0, -13.8155):
        built = MODELS[name](shape).train()
        maps = torch.full((2, *shape), value, requires_grad=True)
        embedding = built(maps)
        embedding.square().sum().backward()
        assert embedding.isfinite().all()
        assert maps.grad.isfinite().all()
        assert all(parameter.grad.isfinite().all() for parameter in built.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_trains_on_a_batch_of_one_and_refuses_an_empty_axis_in_words(name):
    model, shape = MODELS[name], (1, 1, 5000) if name in ON_WAVEFORM else (1, 60, 400)
    model(shape).train()(feature_map(1, shape)).sum().backward()
    with pytest.raises(ValueError, match=r"at least 1 channel, 1 bin and 1 frame, got .*\(1, 60, 0\).*longer segment"):
        model((1, 60, 0))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in DEEP else name
        for name in MODELS
        if name not in ON_WAVEFORM
    ],
)
def test_tells_a_tone_from_a_chirp(name):
    """Both maps have the same energy in every frame; the chirp moves through the bins."""
    shape = (1, 20, 40)
    frame = torch.arange(40)
    tone, chirp = torch.zeros(2, *shape).unbind()
    tone[0, 5] = 1.0
    chirp[0, frame // 2, frame] = 1.0
    model = MODELS[name](shape).train()
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


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ON_WAVEFORM))
def test_tells_low_tones_from_high_ones(name):
    def batch():
        tone = torch.where(label == 1, 300.0, 3000.0) * (1 + 0.1 * torch.rand(8))
        return torch.sin(tone[:, None] * torch.arange(3300) / 16000 * 6.2832)[:, None, None]

    model, label = MODELS[name]((1, 1, 3300)).train(), torch.arange(8) % 2
    loss = BCE(model.embedding_dim)
    optimizer = torch.optim.Adam([*model.parameters(), *loss.parameters()], lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        loss(model(batch()), label).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        score = loss.score(model(batch()))
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
        (ResNet((1, 257, 400), depth=50), CE, 1_053_298),
        (ResNet((1, 257, 400), depth=50, se=True), CE, 1_092_594),
        (Res2Net((1, 257, 400)), CE, 883_806),
        (Res2Net((1, 257, 400), se=True), CE, 923_102),
        (Res2Net((1, 257, 400), base_width=14, scale=8), CE, 807_441),
        (Res2Net((1, 257, 400), base_width=14, scale=8, se=True), CE, 846_737),
        (Res2Net((1, 257, 400), scale=8), CE, 1_831_326),
        (Res2Net((1, 257, 400), scale=8, se=True), CE, 1_870_622),
        (ResNet18AIR((1, 60, 750)), CE, 12_450_290),  # Zhang et al. 2021, with their layer of two outputs
        (ECAPA((1, 80, 300)), None, 5_797_504),  # WeDefense, without a loss
        (CNN((1, 64, 188)), BCE, 49_992_577),  # S2's layers, 64 × 16 × 47 values before the linear ones
        # S2 states 12,350,721 and its layers 12,977,153; with a bias in each layer they have 1,024 more.
        (MLP((1, 64, 188), (1024, 512, 256), 0.0, "flatten", batch_norm=False), BCE, 12_978_177),
    ],
)
def test_parameter_counts_are_the_published_ones(model, loss, count):
    parameters = [*model.parameters(), *(loss(model.embedding_dim).parameters() if loss else [])]
    assert sum(p.numel() for p in parameters if p.requires_grad) == count


def test_resnet_refuses_an_unknown_depth():
    with pytest.raises(ValueError, match=r"no ResNet of depth 101 here: use one of \[18, 34, 50\]"):
        ResNet((1, 60, 400), depth=101)


def test_mlp_on_the_mean_ignores_order_and_deviation_and_on_the_whole_map_does_not():
    maps = feature_map(1, (1, 5, 8))
    shuffled = maps[..., torch.randperm(8)]
    louder = maps.mean(3, keepdim=True).expand_as(maps)
    for pooling, same_order, same_mean in (
        ("mean", True, True),
        ("statistics", True, False),
        ("flatten", False, False),
    ):
        model = MLP((1, 5, 8), pooling=pooling).eval()
        assert torch.allclose(model(maps), model(shuffled), atol=1e-5) == same_order
        assert torch.allclose(model(maps), model(louder), atol=1e-5) == same_mean


def test_mlp_refuses_what_it_cannot_build():
    with pytest.raises(ValueError, match="no pooling='max': use one of statistics, mean, flatten"):
        MLP((1, 60, 400), pooling="max")
    with pytest.raises(ValueError, match=r"got widths=\[8, 8\] and dropout=\[0.5\]: give lists of the same length"):
        MLP((1, 60, 400), widths=[8, 8], dropout=[0.5])
    with pytest.raises(IncompatiblePairError, match=r"got 2,097,152 values, more than .* weights: use a feature with"):
        MLP((1, 1024, 2048), widths=[1024], pooling="flatten")


def test_networks_refuse_maps_and_widths_that_they_cannot_use():
    with pytest.raises(IncompatiblePairError, match="ResNet18AIR takes maps of at least 7 bins, got 6: use a feature"):
        ResNet18AIR((1, 6, 100))
    for model in (ECAPA, MHFA, SSLLinear):
        with pytest.raises(IncompatiblePairError, match="takes features of frames, got 64600 samples of a waveform"):
            model((1, 1, 64_600))
    with pytest.raises(IncompatiblePairError, match="CNN has a weight for each value and each of 1024 units"):
        CNN((13, 768, 199))
    with pytest.raises(ValueError, match="ECAPA divides its channels into 8 groups, got width=20: give a multiple"):
        ECAPA((1, 80, 100), width=20)


def test_res2net_refuses_a_network_without_scales():
    with pytest.raises(ValueError, match="at least 2 scales and a base width of at least 4, got scale=1"):
        Res2Net((1, 60, 400), scale=1)


def test_res2net_chains_its_groups_except_in_the_first_block_of_a_stage():
    model = Res2Net((1, 60, 40)).eval()
    scales = [module for module in model.modules() if isinstance(module, Scales)]
    assert [index for index, one in enumerate(scales) if not one.chained] == [0, 3, 7, 13]
    x = torch.randn(1, 4 * 6, 6, 6)  # groups of 16 * 26 // 64 channels
    changed = x.clone()
    changed[:, :6] += 1.0  # the first group
    for one, reached in ((scales[0], 1), (scales[1], 3)):
        differs = (one(x) - one(changed)).abs().unflatten(1, (4, -1)).amax((0, 2, 3, 4)) > 0
        assert differs.tolist() == [index < reached for index in range(4)]


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
    assert Wav2Vec2Head((1, 60, 400)).layers.logits is None
    assert Wav2Vec2Head((1, 60, 400)).layer_weights().tolist() == [1.0]
