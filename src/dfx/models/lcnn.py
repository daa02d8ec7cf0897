"""LCNN of the ASVspoof baseline: light convolutional network with two bidirectional LSTM layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfx.models.blocks import HalvingPool, check_shape, mfm_conv


class LCNN(nn.Module):
    """LFCC-LCNN of the ASVspoof 2021 baseline, without its last layer.

    That layer is part of the loss. Nine convolutions with max-feature-map reduce (frames, bins) by 16; two
    bidirectional LSTM layers run over the remaining frames, their input is added to their output, and the mean over
    frames is the embedding. 269,729 trainable parameters with 60 bins, one channel and the one output of `bce`;
    275,968 with the linear layer of 64 outputs that the reference has before `p2sgrad`. An axis shorter than 16 is
    pooled to length 1.

    Source: Wang and Yamagishi, "A comparative study on recent neural spoofing countermeasures for synthetic speech
    detection", 2021, table 1; layers as in the released reference implementation.

    Args:
        dropout: share of activations dropped before the LSTM layers.
        embedding_dim: outputs of a linear layer after the mean; None: no such layer, as in the reference with `bce`.
    """

    def __init__(
        self, input_shape: tuple[int, int, int], dropout: float = 0.7, embedding_dim: int | None = None
    ) -> None:
        super().__init__()
        channels, bins, _ = check_shape(input_shape, "LCNN")
        # fmt: off
        self.convolutions = nn.Sequential(
            *mfm_conv(channels, 32, 5), HalvingPool(),
            *mfm_conv(32, 32, 1), _norm(32),
            *mfm_conv(32, 48, 3), HalvingPool(), _norm(48),
            *mfm_conv(48, 48, 1), _norm(48),
            *mfm_conv(48, 64, 3), HalvingPool(),
            *mfm_conv(64, 64, 1), _norm(64),
            *mfm_conv(64, 32, 3), _norm(32),
            *mfm_conv(32, 32, 1), _norm(32),
            *mfm_conv(32, 32, 3), HalvingPool(),
            nn.Dropout(dropout),
        ).to(memory_format=torch.channels_last)  # a quarter faster on a CPU; same numbers
        # fmt: on
        width = 32 * max(1, bins // 16)
        self.embedding_dim = embedding_dim or width
        self.lstm = nn.LSTM(width, width // 2, num_layers=2, bidirectional=True, batch_first=True)
        self.embed: nn.Module = nn.Linear(width, embedding_dim) if embedding_dim else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        # The reference has time on the first axis of its kernels; kept, so that its weights can be loaded.
        frames: Tensor = self.convolutions(x.transpose(2, 3)).transpose(1, 2).flatten(2)
        recurrent: Tensor = self.lstm(frames)[0]
        embedding: Tensor = self.embed((recurrent + frames).mean(dim=1))
        return embedding


def _norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, affine=False)
