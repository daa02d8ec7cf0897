"""Model for self-supervised features: weighted sum of layers, attentive pooling over frames, projection."""

from __future__ import annotations

from torch import Tensor, nn

from dfx.models.blocks import AttentiveStatisticsPool, InputNorm, LayerSum, check_shape


class Wav2Vec2Head(nn.Module):
    """Weighted sum of hidden layers, linear layer for each frame, attentive pooling over frames, and projection.

    On `wav2vec2` the channels are the hidden layers of the network: a softmax over one learned number for each shows
    which of them separate real from fake (`layer_weights`). On any other feature it is an attentive perceptron on
    frames.

    Source: Yang et al., "SUPERB: speech processing universal performance benchmark", 2021, section 3 (weighted sum of
    hidden states); pooling of Okabe et al., "Attentive statistics pooling for deep speaker embedding", 2018.

    Args:
        input_shape: channels (layers), bins (width of a layer) and frames of the feature map.
        hidden: units of the layer that every frame passes.
        embedding_dim: width of the embedding.
        dropout: share of the pooled statistics dropped before the projection.
    """

    def __init__(
        self, input_shape: tuple[int, int, int], hidden: int = 128, embedding_dim: int = 128, dropout: float = 0.2
    ) -> None:
        super().__init__()
        channels, bins, _ = check_shape(input_shape, "Wav2Vec2Head")
        self.embedding_dim = embedding_dim
        self.layers = LayerSum(channels)
        self.norm = InputNorm(channels, bins)
        self.frame = nn.Sequential(nn.Conv1d(bins, hidden, 1), nn.GELU())
        self.pool = AttentiveStatisticsPool(hidden, hidden=64)
        self.project = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * hidden, embedding_dim))

    def layer_weights(self) -> Tensor:
        """Weights (channels,) of the hidden layers, with sum 1."""
        return self.layers.weights()

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        embedding: Tensor = self.project(self.pool(self.frame(self.layers(self.norm(x)))))
        return embedding
