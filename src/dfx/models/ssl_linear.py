"""Linear layers on the hidden states of a frozen speech encoder."""

from __future__ import annotations

from torch import Tensor, nn

from dfx.models.blocks import LayerSum, check_frame_features


class SSLLinear(nn.Module):
    """Weighted sum of layers, a linear layer for each frame, and the mean over frames.

    The least that separates real from fake in hidden states: without the last layer it has no non-linear part. On a
    feature of one channel it is a linear layer on the mean over time. Trainable parameters with the two outputs of
    `ce`: 262,939 with 25 layers of 1024 values, 197,391 with 13 of 768.

    Source: the spoofing task of SUPERB; Yang et al., "SUPERB: speech processing universal performance benchmark", 2021,
    section 3, utterance-level tasks.

    Args:
        input_shape: channels (layers), bins (width of a layer) and frames of the feature map.
        embedding_dim: units of the linear layer.
    """

    def __init__(self, input_shape: tuple[int, int, int], embedding_dim: int = 256) -> None:
        super().__init__()
        channels, bins, _ = check_frame_features(input_shape, "SSLLinear")
        self.embedding_dim = embedding_dim
        self.layers = LayerSum(channels)
        self.linear = nn.Linear(bins, embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        embedding: Tensor = self.linear(self.layers(x).mean(dim=2))  # linear: the mean may come first
        return embedding
