"""Small convolutional network of project S1, which called it LCNN."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfx.models.blocks import check_shape


class LCNNS1(nn.Module):
    """Small network of two convolutions, each with ReLU and batch normalisation, and global average pooling.

    The write-ups of S1 describe an LCNN with max-feature-map, but the trained model has two convolutions, ReLU, batch
    normalisation, adaptive average pooling, one linear layer with a sigmoid (the last two are the loss `bce`). They do
    not give the widths; 16 and 32 are ours. The averaging discards positions in time and frequency.

    Source: the write-ups of project S1 ("LCNN" on log-mel with SpecAverage).

    Args:
        width: channels after the first convolution; the second has twice as many, which is the embedding's width.
    """

    def __init__(self, input_shape: tuple[int, int, int], width: int = 16) -> None:
        super().__init__()
        channels, _, _ = check_shape(input_shape, "LCNNS1")
        self.embedding_dim = 2 * width
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(2 * width),
        ).to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        x = self.convolutions(x)
        return x.mean(dim=(2, 3))
