"""What every feature of conf/feature must do, and what the base class adds."""

import functools
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from dfx.features import FeatureShape, LogMel
from setups import TINY_SSL, composed

RATE = 16000
CONF_DIR = Path(__file__).parents[2] / "conf"
FILES = sorted((CONF_DIR / "feature").glob("*.yaml"))
NAMES = [path.stem for path in FILES]
CLASSES = {path.stem for path in FILES if "_target_" in path.read_text(encoding="utf-8")}  # the others are variants


SMALL = {"scattering": {"num_scales": 2, "size": [32, 32]}, "scattering1d": {"num_scales": 6, "wavelets_per_octave": 2}}


@pytest.fixture(scope="module")
def build(architectures):
    """Function that builds a feature by name, in eval mode; once in this module."""

    @functools.cache
    def made(name):
        node = composed(f"+feature={name}", f"+sample_rate={RATE}", "+segment_seconds=0.5", command=None).feature
        tiny = {"architecture": architectures["base"]} if name.startswith("wav2vec2") else {}
        tiny = {"architecture": TINY_SSL} if name == "ssl" else tiny
        return instantiate(node, **tiny, **SMALL.get(name, {}))

    return lambda name: made(name).eval()


# A mask works in train mode only, and kept maps are no other ones.
@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith(("_specavg", "_cached"))])
class TestEveryFeature:
    def test_a_batch_of_four_equals_four_singles(self, build, name):
        feature, waveform = build(name), torch.randn(4, 8000)
        singles = torch.cat([feature(clip[None]) for clip in waveform])
        # The sums of a constant-Q power are added in an order that depends on the batch, and its logarithm is steep.
        atol = 1e-3 if name.startswith("cq") else 1e-4
        torch.testing.assert_close(feature(waveform), singles, rtol=1e-4, atol=atol)

    def test_the_map_has_the_announced_shape_and_is_finite_for_silence(self, build, name):
        feature = build(name)
        for num_samples in (8000, 8159, 8160):
            result = feature(torch.zeros(2, num_samples))
            assert result.dtype == torch.float32
            assert result.shape == (2, *feature.output_shape(num_samples))
            assert result.isfinite().all()

    def test_a_clip_without_batch_and_integers_are_refused(self, build, name):
        feature = build(name)
        with pytest.raises(ValueError, match=r"got \(8000,\): add a batch dimension"):
            feature(torch.zeros(8000))
        with pytest.raises(ValueError, match=r"got torch.int16: divide"):
            feature(torch.zeros(1, 8000, dtype=torch.int16))

    def test_mixed_precision_and_double_give_the_same_map(self, build, name):
        feature, waveform = build(name), torch.randn(2, 8000)
        expected = feature(waveform)
        assert torch.equal(feature(waveform.double()), expected)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(feature(waveform), expected)

    def test_a_saliency_map_of_the_waveform_can_be_had(self, build, name):
        waveform = torch.randn(1, 8000, requires_grad=True)
        build(name)(waveform).square().sum().backward()
        assert waveform.grad.isfinite().all()
        assert waveform.grad.abs().sum() > 0

    @pytest.mark.slow
    def test_it_exports_with_a_free_batch_size(self, build, name):
        if name not in CLASSES:
            pytest.skip("a variant, of a class whose other option is exported")
        if name.startswith("scattering"):
            pytest.skip("a program of thousands of operators, which take a minute to trace")
        feature = build(name)
        batch = torch.export.Dim("batch", min=1, max=64)
        program = torch.export.export(feature, (torch.randn(2, 8000),), dynamic_shapes=({0: batch},))
        waveform = torch.randn(5, 8000)
        torch.testing.assert_close(program.module()(waveform), feature(waveform), rtol=1e-4, atol=1e-4)


# An image of a fixed size has no hop.
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("table", "waveform", "logmel_image")])
def test_frames_are_a_hop_apart_and_too_short_a_clip_is_refused(build, name):
    feature = build(name)
    step = feature.chunk_frames
    first, second = (feature.output_shape(n).frames for n in (8000, 8000 + step * feature.hop_samples))
    assert second == first + step
    assert feature.output_shape(feature.min_samples).frames >= 1
    with pytest.raises(ValueError, match="got 20: use longer segments"):
        feature(torch.zeros(1, 20))


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("_specavg")])
def test_a_specavg_variant_hides_regions_in_training_only(build, name):
    masked, plain = build(name), build(name.removesuffix("_specavg"))
    waveform = torch.randn(2, 16000)
    assert torch.equal(masked(waveform), plain(waveform))
    masked.train()
    assert not torch.equal(masked(waveform), plain(waveform))


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("wav2vec2", "ssl"))])
def test_checkpoints_carry_no_tables(build, name):
    assert build(name).state_dict() == {}


def test_output_shape_leaves_the_mode_and_the_mask_alone():
    class Fail(nn.Module):
        def forward(self, feature):
            raise AssertionError("the shape needs no mask")

    feature = LogMel(RATE, mask=Fail()).train()
    assert feature.output_shape(RATE) == FeatureShape(channels=1, bins=80, frames=101)
    assert feature.training
