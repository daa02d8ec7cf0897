"""RawNet2 of the ASVspoof 2021 baseline."""

import pytest
import torch

from dfx.losses import CE
from dfx.models import RawNet2


def test_parameters_are_the_published_ones_without_those_that_do_nothing():
    with torch.device("meta"):
        count = sum(p.numel() for p in [*RawNet2((1, 1, 64_600)).parameters(), *CE(1024).parameters()])
    discarded = 2 * (20 + 20 + 3 * 128)  # scale and shift of bn1 in five blocks
    assert count == 17_621_410 - discarded


def test_short_waveforms_and_other_features_are_refused_in_words():
    RawNet2((1, 1, 3211), units=4)
    with pytest.raises(ValueError, match="needs at least 3211 samples for one frame, got 3210: use longer segments"):
        RawNet2((1, 1, 3210))
    with pytest.raises(ValueError, match="takes the waveform, got a map of 13 channels and 32 bins: use feature=wave"):
        RawNet2((13, 32, 50))


def test_channels_of_a_block_are_scaled_between_their_values_and_zero():
    model = RawNet2((1, 1, 8000), units=4).eval()
    block = model.blocks[0]
    torch.nn.init.zeros_(block.gate.weight)
    torch.nn.init.zeros_(block.gate.bias)
    x = torch.randn(1, 20, 9)
    with torch.no_grad():
        pooled = torch.nn.functional.max_pool1d(block.branch(x) + x, 3)
        torch.testing.assert_close(block(x), 0.5 * pooled + 0.5)
