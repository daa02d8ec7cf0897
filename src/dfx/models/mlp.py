"""Multi-layer perceptron on a feature map."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from dfx.models.blocks import InputNorm, StatisticsPool, check_flat_size, check_frames, check_shape, dense_layers

POOLINGS = ("statistics", "mean", "flatten")


class MLP(nn.Module):
    """Multi-layer perceptron on every bin's mean and deviation over time, on its mean, or on the whole map.

    With statistics it is a control experiment: it sees the long-term spectrum and its variation, but no order in time.
    If it does as well as a network for sequences, the feature shows the channel (microphone, codec, bandwidth) and not
    speech. With `flatten` each value of the map is an input, so that it takes segments of one length only. The input is
    normalised per bin, which has no parameters.

    Source: the perceptrons of the projects S2 (`ann_s2`), S3 (`mlp_s3`; the deviation in `mlp` is ours) and S4
    (`mlp_s4`).

    Args:
        widths: units of each layer.
        dropout: share of units dropped after each layer: one number, or one for each layer.
        pooling: statistics (mean and deviation over frames) | mean (over frames) | flatten (all frames side by side).
        batch_norm: whether each layer ends in batch normalisation before its ReLU.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        widths: Sequence[int] = (128, 128),
        dropout: float | Sequence[float] = 0.5,
        pooling: str = "statistics",
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        channels, bins, frames = check_shape(input_shape, "MLP")
        if pooling not in POOLINGS:
            raise ValueError(f"MLP has no pooling={pooling!r}: use one of {', '.join(POOLINGS)}.")
        inputs = channels * bins * {"statistics": 2, "mean": 1, "flatten": frames}[pooling]
        if pooling == "flatten":
            check_flat_size(inputs, widths[0], "MLP with pooling=flatten")
        self.embedding_dim = widths[-1]
        self.pooling = pooling
        self.frames = frames
        self.norm = InputNorm(channels, bins)
        self.pool = StatisticsPool()
        self.layers = dense_layers(inputs, widths, dropout, batch_norm)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        if self.pooling == "flatten":
            check_frames(x, self.frames, "MLP with pooling=flatten")
        x = self.norm(x).flatten(1, 2)
        if self.pooling == "statistics":
            x = self.pool(x)
        elif self.pooling == "mean":
            x = x.mean(dim=2)
        embedding: Tensor = self.layers(x.flatten(1))
        return embedding
