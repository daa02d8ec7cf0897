"""AASIST on the last layer of a speech encoder, as with XLS-R."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from dfx.models.aasist_blocks import SpectroTemporalGraph, residual_encoder
from dfx.models.blocks import IncompatiblePairError, check_frame_features

WIDTH = 128  # values of a frame after the first linear layer
POOL = 3  # of values and frames after it
CHANNELS, NODES, HIDDEN = 64, 64, 32  # as in AASIST
SHARE = 0.5  # of the nodes that each graph pooling keeps


class AASISTSSL(nn.Module):
    """AASIST on hidden states: a linear layer to 128 values, residual encoder, graph attention.

    A learned attention over time makes the spectral nodes, one over values the temporal nodes, where AASIST on the
    waveform takes maxima. Of several channels (layers of an encoder) it takes the last. 446,730 trainable parameters
    with 1024 bins and the two outputs of `ce`; the published 447,242 contain 512 of normalisations in the encoder whose
    result the reference discards, which are left out here.

    Source: Tak et al., "Automatic speaker verification spoofing and deepfake detection using wav2vec 2.0 and data
    augmentation", 2022, section 3.

    Args:
        input_shape: channels (layers), bins (width of a layer) and frames of the feature map.
    """

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        _, bins, frames = check_frame_features(input_shape, "AASISTSSL")
        if frames < POOL:
            raise IncompatiblePairError(f"AASISTSSL needs at least {POOL} frames, got {frames}: use longer segments.")
        self.embedding_dim = 5 * HIDDEN
        self.reduce = nn.Linear(bins, WIDTH)
        self.norm = nn.BatchNorm2d(1)
        self.encoder = residual_encoder(CHANNELS, pool=1)
        self.encoder_norm = nn.BatchNorm2d(CHANNELS)
        self.attention = nn.Sequential(
            nn.Conv2d(CHANNELS, 2 * CHANNELS, 1),
            nn.SELU(inplace=True),
            nn.BatchNorm2d(2 * CHANNELS),
            nn.Conv2d(2 * CHANNELS, CHANNELS, 1),
        )
        self.graph = SpectroTemporalGraph(CHANNELS, NODES, HIDDEN, WIDTH // POOL, SHARE, SHARE, SHARE)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        reduced = self.reduce(x[:, -1].transpose(1, 2)).transpose(1, 2).unsqueeze(1)
        encoded = self.encoder(F.selu(self.norm(F.max_pool2d(reduced, POOL)), inplace=True))
        encoded = F.selu(self.encoder_norm(encoded), inplace=True)
        weight = self.attention(encoded)
        spectral, temporal = ((encoded * weight.softmax(dim)).sum(dim).transpose(1, 2) for dim in (3, 2))
        embedding: Tensor = self.graph(spectral, temporal)
        return embedding
