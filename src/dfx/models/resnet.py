"""ResNet18, ResNet34 and ResNet50 with few channels, optionally with squeeze-and-excitation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfx.models.blocks import Bottleneck, ResidualBlock, check_shape, convolution

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
WIDTHS = (16, 32, 64, 128)
EXPANSION = 2  # channels of a bottleneck's output for each of its 3 × 3 convolution


class ResNet(nn.Module):
    """Residual network with stages of 16, 32, 64 and 128 channels and global average pooling.

    Stem: convolution 7 × 7 with stride 2, max-pooling 3 × 3 with stride 2. ResNet50 has bottleneck blocks with twice as
    many output channels. Trainable parameters with one input channel and the two outputs of `ce`: ResNet18 700,786
    (706,226 with squeeze-and-excitation), ResNet34 1,333,938 (1,343,762), ResNet50 1,053,298 (1,092,594).

    Source: He et al., "Deep residual learning for image recognition", 2016, table 1, with the widths of Li et al.,
    "Replay and synthetic speech detection with Res2Net architecture", 2021, section 3.

    Args:
        depth: 18, 34 or 50 layers.
        se: whether each block ends in squeeze-and-excitation (reduction 16).
    """

    def __init__(self, input_shape: tuple[int, int, int], depth: int = 18, se: bool = False) -> None:
        super().__init__()
        channels, _, _ = check_shape(input_shape, "ResNet")
        if depth not in BLOCKS:
            raise ValueError(f"There is no ResNet of depth {depth} here: use one of {sorted(BLOCKS)}.")
        bottleneck = depth == 50
        self.embedding_dim = WIDTHS[-1] * (EXPANSION if bottleneck else 1)
        layers: list[nn.Module] = [
            nn.Conv2d(channels, WIDTHS[0], 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(WIDTHS[0]),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        ]
        inputs = WIDTHS[0]
        for width, count in zip(WIDTHS, BLOCKS[depth], strict=True):
            for index in range(count):
                stride = 2 if index == 0 and width != WIDTHS[0] else 1
                if bottleneck:
                    middle = convolution(width, width, stride)
                    layers.append(Bottleneck(inputs, width, middle, width * EXPANSION, stride, se=se))
                    inputs = width * EXPANSION
                else:
                    layers.append(ResidualBlock(inputs, width, stride, se=se))
                    inputs = width
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        x = self.layers(x)
        return x.mean(dim=(2, 3))
