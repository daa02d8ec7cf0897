"""Res2Net50 with few channels: residual blocks with convolutions at several scales."""

from __future__ import annotations

from torch import Tensor, nn

from dfx.models.blocks import Bottleneck, Scales, check_shape, convolution
from dfx.models.resnet import BLOCKS, EXPANSION, WIDTHS


class Res2Net(nn.Module):
    """Res2Net50 with stages of 32, 64, 128 and 256 channels and global average pooling.

    Stem: three convolutions 3 × 3 without stride or pooling, so that a training step costs about twenty times that of
    ResNet18. Trainable parameters with one input channel and the two outputs of `ce`: 883,806 with base width 26 and 4
    scales (923,102 with squeeze-and-excitation), 807,441 with 14 and 8 (846,737), 1,831,326 with 26 and 8 (1,870,622).

    Source: Li et al., "Replay and synthetic speech detection with Res2Net architecture", 2021, section 3, and the
    released reference implementation; Gao et al., "Res2Net: a new multi-scale backbone architecture", 2021, figure 2.

    Args:
        base_width: channels of a scale in a stage of 64 channels; other stages have proportionally as many.
        scale: groups of channels in each block, chained by convolutions.
        se: whether each block ends in squeeze-and-excitation (reduction 16).
    """

    def __init__(
        self, input_shape: tuple[int, int, int], base_width: int = 26, scale: int = 4, se: bool = False
    ) -> None:
        super().__init__()
        channels, _, _ = check_shape(input_shape, "Res2Net")
        if scale < 2 or WIDTHS[0] * base_width < 64:
            raise ValueError(
                f"Res2Net needs at least 2 scales and a base width of at least 4, got scale={scale}, "
                f"base_width={base_width}: for a network without scales use model=resnet18."
            )
        self.embedding_dim = WIDTHS[-1] * EXPANSION
        layers: list[nn.Module] = []
        for inputs in (channels, WIDTHS[0], WIDTHS[0]):
            layers.append(convolution(inputs, WIDTHS[0]))
        inputs = WIDTHS[0]
        for planes, count in zip(WIDTHS, BLOCKS[50], strict=True):
            width, outputs = planes * base_width // 64, planes * EXPANSION
            for index in range(count):
                stride = 2 if index == 0 and planes != WIDTHS[0] else 1
                groups = [convolution(width, width, stride) for _ in range(scale - 1)]
                # In the first block of a stage the groups are not chained, and the last one is averaged.
                scales = Scales(groups) if index else Scales(groups, nn.AvgPool2d(3, stride, padding=1), chained=False)
                layers.append(Bottleneck(inputs, width * scale, scales, outputs, stride, se=se, pooled=True))
                inputs = outputs
        self.layers = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        x = self.layers(x)
        return x.mean(dim=(2, 3))
