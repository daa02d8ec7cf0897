"""Nes2Net-X: nested Res2Net blocks on the last layer of a speech encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfx.models.blocks import IncompatiblePairError, RowNorm, check_frame_features

OUTER = INNER = 8  # parts that the bins, and then the channels of a part, are split into
KERNEL = 3


class Nes2Net(nn.Module):
    """Nes2Net-X: values of a frame in eight parts, each added to the one before it and passed to a Res2Net block.

    It takes all 1024 values of a layer without a linear layer that reduces them. The blocks split their part in eight
    again, convolve over frames, and combine the earlier results by learned weights. 512,039 trainable parameters with
    1024 bins and the two outputs of `ce`. Of several channels (layers of an encoder) it takes the last.

    Source: Liu et al., "Nes2Net: a lightweight nested architecture for foundation model driven speech anti-spoofing",
    2025, section III; Nes2Net-X, mean over time.

    Args:
        input_shape: channels (layers), bins (width of a layer) and frames of the feature map.
        dilation: of the convolutions over frames.
    """

    def __init__(self, input_shape: tuple[int, int, int], dilation: int = 2) -> None:
        super().__init__()
        _, bins, _ = check_frame_features(input_shape, "Nes2Net")
        if bins % (OUTER * INNER):
            raise IncompatiblePairError(
                f"Nes2Net splits the bins into {OUTER} × {INNER} parts, got {bins} bins: use a feature whose bins are "
                f"a multiple of {OUTER * INNER}, such as the hidden states of feature=ssl."
            )
        self.embedding_dim = bins
        self.part = bins // OUTER
        self.blocks = nn.ModuleList(_NestedBlock(self.part, dilation) for _ in range(OUTER - 1))
        self.norms = nn.ModuleList(RowNorm(self.part) for _ in range(OUTER - 1))
        self.norm = RowNorm(bins)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        parts = torch.split(x[:, -1], self.part, dim=1)
        outputs: list[Tensor] = []
        for part, block, norm in zip(parts, self.blocks, self.norms, strict=False):
            outputs.append(norm(F.relu(block(part if not outputs else outputs[-1] + part))))
        joined: Tensor = self.norm(torch.cat([*outputs, parts[-1]], dim=1))
        return F.relu(joined).mean(dim=2)


class _NestedBlock(nn.Module):
    """Res2Net block over frames whose earlier results are combined by learned weights, with squeeze-and-excitation."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.width = channels // INNER
        self.first = nn.Conv1d(channels, channels, 1)
        self.first_norm = RowNorm(channels)
        padding = (KERNEL // 2 * dilation, 0)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(self.width, self.width, (KERNEL, 1), dilation=(dilation, 1), padding=padding)
            for _ in range(INNER - 1)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(self.width) for _ in range(INNER - 1))
        # Results so far and the new part, equal at first.
        self.mixes = nn.ParameterList(torch.full((count,), 1 / count) for count in range(2, INNER + 1))
        self.last = nn.Conv1d(channels, channels, 1)
        self.last_norm = RowNorm(channels)
        self.gate = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        parts = torch.split(self.first_norm(F.relu(self.first(x))).unsqueeze(3), self.width, dim=1)
        states, mixed = parts[-1], []
        for part, convolution, norm, mix in zip(parts, self.convolutions, self.norms, self.mixes, strict=False):
            states = norm(F.relu(convolution(torch.cat([states, part], dim=3))))
            mixed.append(states @ mix)
        y: Tensor = self.last_norm(F.relu(self.last(torch.cat([*mixed, parts[-1].squeeze(3)], dim=1))))
        gate: Tensor = self.gate(y.mean(dim=2))
        return y * gate.unsqueeze(2) + x
