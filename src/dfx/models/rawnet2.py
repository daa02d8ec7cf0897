"""RawNet2 of the ASVspoof 2021 baseline: residual blocks and a recurrent layer on the waveform's sinc bands."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfx.models.blocks import IncompatiblePairError, RowNorm, check_waveform
from dfx.models.sinc import SincBank

FILTERS, TAPS = 20, 1025
WIDTHS = (FILTERS, 20, 20, 128, 128, 128, 128)  # channels before and after each block
POOL = 3  # frames that are merged after the bank, and after each block
SLOPE = 0.3  # of the leaky ReLU


class RawNet2(nn.Module):
    """RawNet2 on the waveform: sinc bands, six residual blocks with scaled channels, three GRU layers.

    20 fixed sinc filters; each block divides the frames by 3 and scales its channels; the last output of the GRU passes
    a linear layer. It takes waveforms of any length from 3,211 samples on; the baseline's segments have 64,600.

    17,620,562 trainable parameters with the two outputs of `ce`. The published 17,621,410 contain 848 of normalisations
    in the blocks whose result the baseline discards; they are left out here.

    Source: Tak et al., "End-to-end anti-spoofing with RawNet2", 2021, table 1, with the numbers and the layers of the
    ASVspoof 2021 baseline. The RawNet2 of that paper itself has other filters and widths.

    Args:
        input_shape: that of `feature=waveform`.
        sample_rate: of the waveforms in Hz.
        units: of each GRU layer and of the linear layer after them.
    """

    def __init__(self, input_shape: tuple[int, int, int], sample_rate: int = 16000, units: int = 1024) -> None:
        super().__init__()
        samples = check_waveform(input_shape, "RawNet2")
        shortest = TAPS - 1 + POOL ** len(WIDTHS)
        if samples < shortest:
            raise IncompatiblePairError(
                f"RawNet2 needs at least {shortest} samples for one frame, got {samples}: use longer segments."
            )
        self.embedding_dim = units
        self.bank = SincBank(FILTERS, TAPS, sample_rate)
        self.norm = nn.BatchNorm1d(FILTERS)
        self.blocks = nn.Sequential(*(_ScaledBlock(*pair) for pair in itertools.pairwise(WIDTHS)))
        self.norm_frames = RowNorm(WIDTHS[-1])
        self.gru = nn.GRU(WIDTHS[-1], units, num_layers=3, batch_first=True)
        self.embed = nn.Linear(units, units)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of waveforms (batch, 1, 1, samples)."""
        bands = F.max_pool1d(self.bank(x[:, 0]).abs(), POOL)
        frames = F.selu(self.norm_frames(self.blocks(F.selu(self.norm(bands)))))
        recurrent: Tensor = self.gru(frames.transpose(1, 2))[0]
        embedding: Tensor = self.embed(recurrent[:, -1])
        return embedding


class _ScaledBlock(nn.Module):
    """Residual block with max-pooling, whose channels are scaled and shifted by one gate each."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv1d(inputs, outputs, 3, padding=1),
            RowNorm(outputs),
            nn.LeakyReLU(SLOPE),
            nn.Conv1d(outputs, outputs, 3, padding=1),
        )
        self.shortcut: nn.Module = nn.Identity() if inputs == outputs else nn.Conv1d(inputs, outputs, 1)
        self.gate = nn.Linear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool1d(self.branch(x) + self.shortcut(x), POOL)
        gate = torch.sigmoid(self.gate(x.mean(dim=2)))[:, :, None]
        return x * gate + gate
