"""ResNet2: residual blocks with dilated convolutions and attentive-statistics pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfx.models.blocks import AttentiveStatisticsPool, InputNorm, ResidualBlock, check_shape

STAGES = ((1, 1), (1, 1), (2, 1), (2, 2), (1, 4), (1, 8))  # stride, dilation along frames


class ResNet2(nn.Module):
    """Residual network with dilations 1 to 8 over frames and attentive-statistics pooling.

    The dilations give a long receptive field. The input is normalised per bin. The stem halves bins and frames, two of
    the six blocks do so again, and the last three are dilated by 2, 4 and 8, so that the receptive field is 463 frames,
    4.6 s at a hop of 10 ms. Bins stay separate until the pooling, where attention weighs the frames and mean and
    deviation are projected to the embedding.

    Source: "ResNet2" of project S1, described as residual, dilated, attention pooling; the numbers are ours.

    Args:
        width: channels of the first two blocks; the later ones have twice as many.
        embedding_dim: width of the embedding.
        dropout: share of the pooled statistics dropped before the projection.
    """

    def __init__(
        self, input_shape: tuple[int, int, int], width: int = 16, embedding_dim: int = 128, dropout: float = 0.3
    ) -> None:
        super().__init__()
        channels, bins, _ = check_shape(input_shape, "ResNet2")
        self.embedding_dim = embedding_dim
        self.norm = InputNorm(channels, bins)
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        inputs, bins = width, (bins + 1) // 2
        for index, (stride, dilation) in enumerate(STAGES):
            outputs = width if index < 2 else 2 * width
            layers.append(ResidualBlock(inputs, outputs, stride, dilation=dilation))
            inputs, bins = outputs, (bins + stride - 1) // stride
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self.pool = AttentiveStatisticsPool(inputs * bins, hidden=64)
        self.project = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * inputs * bins, embedding_dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        frames = self.layers(self.norm(x)).flatten(1, 2)
        embedding: Tensor = self.project(self.pool(frames))
        return embedding
