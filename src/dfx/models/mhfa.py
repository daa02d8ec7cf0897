"""MHFA: multi-head factorised attentive pooling of the hidden states of a speech encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfx.models.blocks import LayerSum, check_frame_features


class MHFA(nn.Module):
    """Multi-head factorised attention: two weighted sums of layers, one for attention over frames, one for values.

    Each head weighs the frames by a softmax of its linear function of the keys; the weighted means of the values of all
    heads are projected to the embedding. 1,315,410 trainable parameters with 25 layers of 1024 values, 1,249,850 with
    13 of 768; the last layer of the loss is not among them.

    Source: Peng et al., "An attention-based backend allowing efficient fine-tuning of transformer models for speaker
    verification", 2022, section 3; numbers of WeDefense.

    Args:
        input_shape: channels (layers), bins (width of a layer) and frames of the feature map.
        heads: number of attention heads.
        width: of keys and values.
        embedding_dim: width of the embedding.
    """

    def __init__(
        self, input_shape: tuple[int, int, int], heads: int = 32, width: int = 128, embedding_dim: int = 256
    ) -> None:
        super().__init__()
        channels, bins, _ = check_frame_features(input_shape, "MHFA")
        self.embedding_dim = embedding_dim
        self.key_layers = LayerSum(channels)
        self.value_layers = LayerSum(channels)
        self.key = nn.Linear(bins, width)
        self.value = nn.Linear(bins, width)
        self.attention = nn.Linear(width, heads)
        self.project = nn.Linear(heads * width, embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        key = self.key(self.key_layers(x).transpose(1, 2))
        value = self.value(self.value_layers(x).transpose(1, 2))
        weight = self.attention(key).softmax(dim=1)
        embedding: Tensor = self.project(torch.einsum("bth,btd->bhd", weight, value).flatten(1))
        return embedding
