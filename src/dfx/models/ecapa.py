"""ECAPA-TDNN: convolutions over time with channel attention and attentive-statistics pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfx.models.blocks import (
    AttentiveStatisticsPool,
    InputNorm,
    RowNorm,
    Scales,
    SqueezeExcite,
    check_frame_features,
)

DILATIONS = (2, 3, 4)
SCALE = 8  # groups of channels in each block
REDUCTION = 4  # of channels in the squeeze-and-excitation and in the attention: 128 units for 512 channels


class ECAPA(nn.Module):
    """ECAPA-TDNN, a network of speaker verification, on maps: their bins are the channels of convolutions over time.

    A convolution of 5 frames, three residual blocks dilated by 2, 3 and 4 with a chain of 8 scales and
    squeeze-and-excitation, their outputs side by side, and a pooling with attention for each channel. 5,797,504
    trainable parameters with 80 bins, the loss not counted, as published. The input is normalised per bin, which has no
    parameters.

    Source: Desplanques et al., "ECAPA-TDNN: emphasized channel attention, propagation and aggregation in TDNN based
    speaker verification", 2020, figures 1 and 2, with the settings of WeDefense (c512): attention without statistics
    of the whole clip.

    Args:
        width: channels of the convolutions, a multiple of 8.
        embedding_dim: width of the embedding.
    """

    def __init__(self, input_shape: tuple[int, int, int], width: int = 512, embedding_dim: int = 192) -> None:
        super().__init__()
        channels, bins, _ = check_frame_features(input_shape, "ECAPA")
        if width < SCALE or width % SCALE:
            raise ValueError(f"ECAPA divides its channels into {SCALE} groups, got width={width}: give a multiple.")
        self.embedding_dim = embedding_dim
        wide = width * len(DILATIONS)
        self.norm = InputNorm(channels, bins)
        self.stem = _convolution(channels * bins, width, 5)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _convolution(width, width, 1),
                Scales(_convolution(width // SCALE, width // SCALE, 3, dilation) for _ in range(SCALE - 1)),
                _convolution(width, width, 1),
                SqueezeExcite(width, REDUCTION, bias=True),
            )
            for dilation in DILATIONS
        )
        self.combine = nn.Sequential(nn.Conv1d(wide, wide, 1), nn.ReLU(inplace=True))
        self.pool = AttentiveStatisticsPool(wide, width // REDUCTION, for_each=True)
        self.project = nn.Sequential(RowNorm(2 * wide), nn.Linear(2 * wide, embedding_dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        x = self.stem(self.norm(x).flatten(1, 2))
        outputs: list[Tensor] = []
        for block in self.blocks:
            x = x + block(x)
            outputs.append(x)
        embedding: Tensor = self.project(self.pool(self.combine(torch.cat(outputs, dim=1))))
        return embedding


def _convolution(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, padding=padding, dilation=dilation), nn.ReLU(), RowNorm(outputs)
    )
