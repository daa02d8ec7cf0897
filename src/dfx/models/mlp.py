"""Multi-layer perceptron on the statistics of a feature map."""

from __future__ import annotations

from torch import Tensor, nn

from dfx.models.blocks import InputNorm, RowNorm, StatisticsPool, check_shape


class MLP(nn.Module):
    """Multi-layer perceptron: two layers of 128 units on mean and deviation of every bin over time.

    A control experiment: it sees the long-term spectrum and its variation, but no order in time. If it does as well as
    a network for sequences, the feature shows the channel (microphone, codec, bandwidth) and not speech. S3 averages
    over time only; the deviation is ours.

    Source: the MLP of project S3: 128-128, batch normalisation, dropout .5.

    Args:
        width: units of each of the two layers.
        dropout: share of units dropped after each layer.
    """

    def __init__(self, input_shape: tuple[int, int, int], width: int = 128, dropout: float = 0.5) -> None:
        super().__init__()
        channels, bins, _ = check_shape(input_shape, "MLP")
        self.embedding_dim = width
        self.norm = InputNorm(channels, bins)
        self.pool = StatisticsPool()
        self.layers = nn.Sequential(*_layer(2 * channels * bins, width, dropout), *_layer(width, width, dropout))

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        embedding: Tensor = self.layers(self.pool(self.norm(x).flatten(1, 2)))
        return embedding


def _layer(inputs: int, outputs: int, dropout: float) -> tuple[nn.Module, ...]:
    return (nn.Linear(inputs, outputs, bias=False), RowNorm(outputs), nn.ReLU(inplace=True), nn.Dropout(dropout))
