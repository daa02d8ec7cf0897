"""SLS: sensitive layer selection, which weighs the layers of a speech encoder clip by clip."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfx.models.blocks import IncompatiblePairError, check_frame_features, check_frames

POOL = 3  # of bins and of frames


class SLS(nn.Module):
    """Sensitive layer selection: a gate for each layer from its mean over time, then two linear layers.

    The gated layers are summed, pooled 3 × 3 and flattened, so that it takes segments of the length it was built for
    only. Of several channels the first is left out: it is the input of the first Transformer layer. 23,399,429
    trainable parameters with layers of 1024 values, 201 frames (64,600 samples) and the two outputs of `ce`.

    Differences from the authors' code: no SELU after the last layer, which belongs to the loss, and the last channel is
    the output of the encoder's final layer norm where the encoder has one.

    Source: Zhang et al., "Audio deepfake detection with self-supervised XLS-R and SLS classifier", 2024, section 3.

    Args:
        input_shape: channels (layers), bins (width of a layer) and frames of the feature map.
        embedding_dim: width of the embedding.
    """

    def __init__(self, input_shape: tuple[int, int, int], embedding_dim: int = 1024) -> None:
        super().__init__()
        _, bins, self.frames = check_frame_features(input_shape, "SLS")
        if min(bins, self.frames) < POOL:
            raise IncompatiblePairError(
                f"SLS pools 3 bins and 3 frames, got a map of {bins} bins and {self.frames} frames: use a longer "
                "segment, or a feature of more bins."
            )
        self.embedding_dim = embedding_dim
        self.gate = nn.Linear(bins, 1)
        self.norm = nn.BatchNorm2d(1)
        self.embed = nn.Linear(bins // POOL * (self.frames // POOL), embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        check_frames(x, self.frames, "SLS")
        layers = x if x.shape[1] == 1 else x[:, 1:]
        gate = torch.sigmoid(self.gate(layers.mean(dim=3))).unsqueeze(3)
        chosen = (layers * gate).sum(dim=1, keepdim=True).transpose(2, 3)  # the reference has frames first
        pooled = F.max_pool2d(F.selu(self.norm(chosen)), POOL)
        return F.selu(self.embed(pooled.flatten(1)))
