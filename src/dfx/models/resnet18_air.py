"""ResNet18 of the OC-softmax paper (AIR laboratory): wide stages and attentive pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfx.models.blocks import IncompatiblePairError, check_shape

STEM, STEM_KERNEL = 16, (9, 3)
STAGES, BLOCKS = 4, 2  # blocks in each stage
ROWS = 256  # channels before the pooling
NOISE_VARIANCE = 1e-10  # the reference adds noise of this variance before the deviation


class ResNet18AIR(nn.Module):
    """ResNet18 with 64 to 512 channels and attentive-statistics pooling, for 60 × 750 LFCC.

    The stem divides the bins by 3; a convolution over all bins that are left makes 256 rows, whose frames are weighted
    by one attention vector. 12,450,290 trainable parameters with 60 bins and the two outputs of `ce`, as published; the
    model alone has 12,449,776, and with `oc_softmax`, whose one direction takes the place of those outputs, 12,450,032.

    Source: Zhang et al., "One-class learning towards synthetic voice spoofing detection", 2021, section 3, and the
    released reference implementation, after Monteiro et al., "Generalized end-to-end detection of spoofing attacks to
    automatic speaker recognizers", 2020.

    Args:
        embedding_dim: width of the embedding.
        width: channels of the first stage; the three others double it.
    """

    def __init__(self, input_shape: tuple[int, int, int], embedding_dim: int = 256, width: int = 64) -> None:
        super().__init__()
        channels, bins, _ = check_shape(input_shape, "ResNet18AIR")
        if bins < STEM_KERNEL[0] - 2:
            raise IncompatiblePairError(
                f"ResNet18AIR takes maps of at least {STEM_KERNEL[0] - 2} bins, got {bins}: use a feature with more."
            )
        self.embedding_dim = embedding_dim
        layers: list[nn.Module] = [
            nn.Conv2d(channels, STEM, STEM_KERNEL, stride=(3, 1), padding=1, bias=False),
            nn.BatchNorm2d(STEM),
            nn.ReLU(inplace=True),
        ]
        inputs, bins = STEM, (bins + 2 - STEM_KERNEL[0]) // 3 + 1
        for stage in range(STAGES):
            for index in range(BLOCKS):
                stride = 2 if stage and not index else 1
                layers.append(PreActivationBlock(inputs, width * 2**stage, stride))
                inputs, bins = width * 2**stage, (bins + stride - 1) // stride
        layers += [
            nn.Conv2d(inputs, ROWS, (bins, 3), padding=(0, 1), bias=False),
            nn.BatchNorm2d(ROWS),
            nn.ReLU(inplace=True),
        ]
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self.attention = nn.Linear(ROWS, 1, bias=False)
        self.project = nn.Linear(2 * ROWS, embedding_dim)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        rows = self.layers(x).squeeze(2).transpose(1, 2).float()
        weighted = rows * self.attention(rows).tanh().softmax(dim=1)
        # The deviation is that of the weighted frames, not the weighted deviation of the frames, as in the reference.
        centred = weighted - weighted.mean(dim=1, keepdim=True)
        variance = centred.square().sum(dim=1) / max(1, rows.shape[1] - 1)
        statistics = torch.cat([weighted.sum(dim=1), (variance + NOISE_VARIANCE).sqrt()], dim=1)
        embedding: Tensor = self.project(statistics)
        return embedding


class PreActivationBlock(nn.Module):
    """Residual block with batch normalisation and ReLU before each of its two 3 × 3 convolutions.

    Source: He et al., "Identity mappings in deep residual networks", 2016, figure 4e.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: step of the first convolution on both axes.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first_norm = nn.BatchNorm2d(inputs)
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """Convert (batch, inputs, bins, frames) to (batch, outputs, bins / stride, frames / stride), rounded up."""
        active = F.relu(self.first_norm(x))
        shortcut = x if self.shortcut is None else self.shortcut(active)
        branch: Tensor = self.branch(active)
        return branch + shortcut
