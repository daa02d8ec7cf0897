"""Small, fast LCNN: max-feature-map convolutions and statistics pooling, without recurrent layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfx.models.blocks import HalvingPool, MaxFeatureMap, StatisticsPool, check_shape, mfm_conv


class LCNNLight(nn.Module):
    """Small light convolutional network (LCNN) for real-time scoring.

    The layers of `LCNN` with half the channels, the input normalised per channel, the first convolution strided
    instead of pooled, and the mean and deviation over frames in place of the LSTM layers, so that its cost is linear in
    the frames; a linear layer with max-feature-map makes the embedding.

    Source: the layer pattern of Lavrentyeva et al., "STC antispoofing systems for the ASVspoof2019 challenge", 2019,
    table 3; widths, stride and pooling are ours.

    Args:
        width: channels after the first convolution; later ones have 1.5 and 2 times as many.
        embedding_dim: width of the embedding.
        dropout: share of the pooled statistics dropped before the embedding.
    """

    def __init__(
        self, input_shape: tuple[int, int, int], width: int = 16, embedding_dim: int = 64, dropout: float = 0.5
    ) -> None:
        super().__init__()
        channels, bins, _ = check_shape(input_shape, "LCNNLight")
        self.embedding_dim = embedding_dim
        middle, wide = width * 3 // 2, width * 2
        # One scale for a channel: a scale for each bin amplifies empty bins and was not better on real speech.
        self.norm = nn.BatchNorm2d(channels, affine=False)
        # fmt: off
        self.convolutions = nn.Sequential(
            *mfm_conv(channels, width, 5, stride=2),
            *mfm_conv(width, width, 1), nn.BatchNorm2d(width),
            *mfm_conv(width, middle, 3), HalvingPool(), nn.BatchNorm2d(middle),
            *mfm_conv(middle, middle, 1), nn.BatchNorm2d(middle),
            *mfm_conv(middle, wide, 3), HalvingPool(), nn.BatchNorm2d(wide),
            *mfm_conv(wide, wide, 1), nn.BatchNorm2d(wide),
            *mfm_conv(wide, wide, 3), HalvingPool(), nn.BatchNorm2d(wide),
        ).to(memory_format=torch.channels_last)  # a third faster on a CPU; same numbers
        # fmt: on
        self.pool = StatisticsPool()
        reduced = max(1, (bins + 1) // 2 // 8)
        self.embed = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(2 * wide * reduced, 2 * embedding_dim), MaxFeatureMap()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        frames = self.convolutions(self.norm(x)).flatten(1, 2)
        embedding: Tensor = self.embed(self.pool(frames))
        return embedding
