"""TCM: Conformer with temporal-channel modelling on the last layer of a speech encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfx.models.blocks import RowNorm, check_frame_features

FEED_FORWARD = 4  # width of the feed-forward layers, relative to that of a token
EXPANSION = 2  # width of the convolution, likewise


class TCM(nn.Module):
    """Conformer whose attention also has tokens for its heads, the channels; the class token is the embedding.

    Frames pass a linear layer, and get a sinusoidal position and a learned class token before them. In each block every
    head contributes a token that is made of the mean of its channels over time; after attention, the means of the head
    tokens and of the frames are added to the class token. Of several channels (layers of an encoder) it takes the last.

    Source: Truong et al., "Temporal-channel modeling in multi-head self-attention for synthetic speech detection",
    2024, section 2; the Conformer of Rosello et al., "A conformer-based classifier for variable-length utterance
    processing in anti-spoofing", 2023.

    Args:
        input_shape: channels (layers), bins (width of a layer) and frames of the feature map.
        width: of a token, a multiple of the heads.
        heads: number of attention heads.
        blocks: number of Conformer blocks.
        kernel: frames that the convolution of a block sees.
    """

    def __init__(
        self, input_shape: tuple[int, int, int], width: int = 144, heads: int = 4, blocks: int = 4, kernel: int = 31
    ) -> None:
        super().__init__()
        _, bins, _ = check_frame_features(input_shape, "TCM")
        if width % heads:
            raise ValueError(
                f"TCM divides its width among its heads, got width={width} and heads={heads}: use a multiple."
            )
        self.embedding_dim = width
        self.reduce = nn.Linear(bins, width)
        self.norm = nn.BatchNorm2d(1)
        self.class_token = nn.Parameter(torch.rand(1, 1, width))
        self.blocks = nn.Sequential(*(_ConformerBlock(width, heads, kernel) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        frames = F.selu(self.norm(self.reduce(x[:, -1].transpose(1, 2)).unsqueeze(1))).squeeze(1)
        frames = frames + _positions(frames)
        tokens: Tensor = self.blocks(torch.cat([self.class_token.expand(len(x), -1, -1), frames], dim=1))
        return tokens[:, 0]


class _ConformerBlock(nn.Module):
    """Conformer block: half a feed-forward layer, attention, convolution, half a feed-forward layer, layer norm."""

    def __init__(self, width: int, heads: int, kernel: int) -> None:
        super().__init__()
        self.before = _feed_forward(width)
        self.attention = _ChannelAttention(width, heads)
        self.convolution = _Convolution(width, kernel)
        self.after = _feed_forward(width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + 0.5 * self.before(x)
        x = x + self.attention(x)
        x = x + self.convolution(x)
        x = x + 0.5 * self.after(x)
        normed: Tensor = self.norm(x)
        return normed


class _ChannelAttention(nn.Module):
    """Multi-head attention over class token, frames and a token for each head (temporal-channel modelling)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.token = nn.Linear(width // heads, width)
        self.token_norm = nn.LayerNorm(width // heads)
        self.token_position = nn.Parameter(torch.zeros(1, heads, width))
        self.queries_keys_values = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        batch, count, heads = *x.shape[:2], self.heads
        means = self.token(x.mean(dim=1).reshape(batch, heads, -1)).reshape(batch, heads, heads, -1)
        channel_tokens = F.gelu(self.token_norm(means)).flatten(2) + self.token_position
        tokens = torch.cat([x, channel_tokens], dim=1)
        split = self.queries_keys_values(tokens).reshape(batch, count + heads, 3, heads, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*split.unbind(0)).transpose(1, 2).flatten(2)
        first, frames, channels = torch.split(self.project(attended), [1, count - 1, heads], dim=1)
        first = first + channels.mean(dim=1, keepdim=True) + frames.mean(dim=1, keepdim=True)
        return torch.cat([first, frames], dim=1)


class _Convolution(nn.Module):
    """Convolution module of the Conformer: gated linear unit, depthwise convolution over tokens, Swish."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        inner = EXPANSION * width
        self.norm = nn.LayerNorm(width)
        self.layers = nn.Sequential(
            nn.Conv1d(width, 2 * inner, 1),
            nn.GLU(dim=1),
            nn.Conv1d(inner, inner, kernel, padding="same", groups=inner),
            RowNorm(inner),
            nn.SiLU(),
            nn.Conv1d(inner, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        convolved: Tensor = self.layers(self.norm(x).transpose(1, 2))
        return convolved.transpose(1, 2)


def _feed_forward(width: int) -> nn.Sequential:
    inner = FEED_FORWARD * width
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, inner), nn.SiLU(), nn.Linear(inner, width))


def _positions(frames: Tensor) -> Tensor:
    """Return the sinusoidal embedding (frames, width) of the positions in a batch of frames.

    Source: Vaswani et al., "Attention is all you need", 2017, section 3.5.
    """
    count, width = frames.shape[1:]
    pair = torch.arange(width, device=frames.device) // 2 * 2
    angle = torch.arange(count, device=frames.device)[:, None] / 10000 ** (pair / width)
    return torch.where(torch.arange(width, device=frames.device) % 2 == 0, angle.sin(), angle.cos())
