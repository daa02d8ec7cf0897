"""Plain convolutional network: convolutions with pooling, then linear layers on the whole map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dfx.models.blocks import HalvingPool, InputNorm, check_flat_size, check_frames, check_shape, dense_layers


class CNN(nn.Module):
    """Convolutional network whose last map is flattened and goes through linear layers.

    Each convolution is zero-padded, followed by ReLU and max-pooling 2 × 2. The linear layers see every position, so
    that the network takes segments of one length only. The input is normalised per bin, which has no parameters.

    Source: the CNNs of the projects S2 (`cnn_s2`) and S3 (`cnn_s3`).

    Args:
        channels: of each convolution.
        kernel: length of both sides of each kernel, odd.
        widths: units of each linear layer.
        dropout: share of units dropped after each linear layer: one number, or one for each layer.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        channels: Sequence[int] = (32, 64),
        kernel: int = 5,
        widths: Sequence[int] = (1024, 512, 256),
        dropout: float | Sequence[float] = 0.0,
    ) -> None:
        super().__init__()
        inputs, bins, self.frames = check_shape(input_shape, "CNN")
        self.norm = InputNorm(inputs, bins)
        layers: list[nn.Module] = []
        frames = self.frames
        for outputs in channels:
            layers += [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU(inplace=True), HalvingPool()]
            inputs, bins, frames = outputs, max(1, bins // 2), max(1, frames // 2)
        check_flat_size(inputs * bins * frames, widths[0], "CNN")
        self.embedding_dim = widths[-1]
        self.convolutions = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self.layers = dense_layers(inputs * bins * frames, widths, dropout, batch_norm=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        check_frames(x, self.frames, "CNN")
        embedding: Tensor = self.layers(self.convolutions(self.norm(x)).flatten(1))
        return embedding
