import torch

from dfx.features import Waveform


def test_samples_pass_unchanged():
    waveform = torch.randn(3, 100)
    assert torch.equal(Waveform()(waveform), waveform.reshape(3, 1, 1, 100))
