"""Layers of AASIST: residual encoder, graph attention, graph pooling; for waveforms and for hidden states.

Source of all: Jung et al., "AASIST: audio anti-spoofing using integrated spectro-temporal graph attention networks",
2022; sections in each class.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfx.models.blocks import RowNorm

INPUT_DROPOUT = 0.2  # of the nodes that enter a graph attention layer
POOL_DROPOUT = 0.3  # of the nodes from which graph pooling computes its scores
BRANCH_DROPOUT = 0.2  # of the two branches before their maximum
READOUT_DROPOUT = 0.5
TEMPERATURE, JOINT_TEMPERATURE = 2.0, 100.0  # of attention within one graph, and in the joint graph


class OneChannelConv(nn.Conv2d):
    """Convolution of a single channel as one matrix product: a third of the time of the usual one on a CPU.

    Args:
        outputs: channels that go out.
        kernel: bins and frames.
        padding: zeros on each side of both axes.
    """

    padding: tuple[int, int]
    bias: Tensor

    def __init__(self, outputs: int, kernel: tuple[int, int], padding: tuple[int, int]) -> None:
        super().__init__(1, outputs, kernel, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        """Convert (batch, 1, height, width) to (batch, outputs, height, width) as `nn.Conv2d` does."""
        columns = F.unfold(x, self.weight.shape[2:], padding=self.padding)
        y = torch.baddbmm(self.bias[:, None], self.weight.flatten(1).expand(len(x), -1, -1), columns)
        height = x.shape[2] + 2 * self.padding[0] - self.weight.shape[2] + 1
        return y.reshape(len(x), -1, height, y.shape[2] // height)


class EncoderBlock(nn.Module):
    """Residual block of two convolutions of 2 bins × 3 frames, with max-pooling over frames.

    Source: section 2.1; the block of RawNet2 with two-dimensional convolutions.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        pool: frames that max-pooling merges; 1: none.
    """

    def __init__(self, inputs: int, outputs: int, pool: int) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, (2, 3), (1, 1))
        self.norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, (2, 3), padding=(0, 1))
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = _convolution(inputs, outputs, (1, 3), (0, 1))
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Convert (batch, inputs, bins, frames) to (batch, outputs, bins, frames // pool)."""
        y = self.second(F.selu(self.norm(self.first(x)), inplace=True))
        y += self.shortcut(x)  # in place: these maps are the largest of the network
        return F.max_pool2d(y, (1, self.pool)) if self.pool > 1 else y


def residual_encoder(channels: int, pool: int) -> nn.Sequential:
    """Create the encoder: six residual blocks with 32, 32 and four times `channels` output channels."""
    widths = (1, 32, 32, channels, channels, channels, channels)
    return nn.Sequential(*(EncoderBlock(*pair, pool) for pair in itertools.pairwise(widths)))


class GraphAttention(nn.Module):
    """Graph attention layer: every node takes a weighted mean of all nodes.

    The weight of a pair follows from the product of the two nodes.

    Source: section 2.2; Tak et al., "End-to-end spectro-temporal graph attention networks for speaker verification
    anti-spoofing and speech deepfake detection", 2021, equations 1-4.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.drop = nn.Dropout(INPUT_DROPOUT)
        self.pair = nn.Linear(inputs, outputs)
        self.pair_weight = _attention_vector(outputs)
        self.attended = nn.Linear(inputs, outputs)
        self.own = nn.Linear(inputs, outputs)
        self.norm = RowNorm(outputs)

    def forward(self, nodes: Tensor) -> Tensor:
        """Convert nodes (batch, nodes, inputs) to (batch, nodes, outputs)."""
        nodes = self.drop(nodes)
        score = torch.tanh(self.pair(nodes[:, :, None] * nodes[:, None])) @ self.pair_weight
        weight = (score.squeeze(3) / TEMPERATURE).softmax(dim=2)
        return _normalise(self.attended(weight @ nodes) + self.own(nodes), self.norm)


class JointGraphAttention(nn.Module):
    """Graph attention over the nodes of two graphs, of which pairs in one graph and across have own weights.

    A master node takes a weighted mean of all nodes; they do not take anything of it.

    Source: section 3.2, the heterogeneous stacking graph attention layer (HS-GAL).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.temporal = nn.Linear(inputs, inputs)
        self.spectral = nn.Linear(inputs, inputs)
        self.drop = nn.Dropout(INPUT_DROPOUT)
        self.pair = nn.Linear(inputs, outputs)
        self.temporal_weight = _attention_vector(outputs)
        self.spectral_weight = _attention_vector(outputs)
        self.across_weight = _attention_vector(outputs)
        self.attended = nn.Linear(inputs, outputs)
        self.own = nn.Linear(inputs, outputs)
        self.norm = RowNorm(outputs)
        self.master_pair = nn.Linear(inputs, outputs)
        self.master_weight = _attention_vector(outputs)
        self.master_attended = nn.Linear(inputs, outputs)
        self.master_own = nn.Linear(inputs, outputs)

    def forward(self, temporal: Tensor, spectral: Tensor, master: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Convert nodes of both graphs and the master node (batch, nodes, inputs) to outputs of `outputs` values."""
        count = temporal.shape[1]
        nodes = self.drop(torch.cat([self.temporal(temporal), self.spectral(spectral)], dim=1))
        pairs = torch.tanh(self.pair(nodes[:, :, None] * nodes[:, None]))
        weights = torch.cat([self.temporal_weight, self.across_weight, self.spectral_weight], dim=1)
        within_temporal, across, within_spectral = (pairs @ weights).unbind(dim=3)
        score = torch.cat(
            [
                torch.cat([within_temporal[:, :count, :count], across[:, :count, count:]], dim=2),
                torch.cat([across[:, count:, :count], within_spectral[:, count:, count:]], dim=2),
            ],
            dim=1,
        )
        weight = (score / JOINT_TEMPERATURE).softmax(dim=2)
        score = torch.tanh(self.master_pair(nodes * master)) @ self.master_weight
        master_weight = (score / JOINT_TEMPERATURE).softmax(dim=1)
        master = self.master_attended(master_weight.transpose(1, 2) @ nodes) + self.master_own(master)
        nodes = _normalise(self.attended(weight @ nodes) + self.own(nodes), self.norm)
        return nodes[:, :count], nodes[:, count:], master


class GraphPool(nn.Module):
    """Graph pooling: keeps the nodes with the highest learned scores, each multiplied by its score.

    Source: section 2.3; Gao and Ji, "Graph U-nets", 2019, section 3.1.

    Args:
        features: width of a node.
        share: of the nodes that are kept, at least one.
    """

    def __init__(self, features: int, share: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(POOL_DROPOUT)
        self.score = nn.Linear(features, 1)
        self.share = share

    def forward(self, nodes: Tensor) -> Tensor:
        """Return the kept nodes (batch, fewer nodes, features), the highest score first."""
        score = torch.sigmoid(self.score(self.drop(nodes)))
        kept = score.topk(max(int(nodes.shape[1] * self.share), 1), dim=1).indices
        return (nodes * score).gather(1, kept.expand(-1, -1, nodes.shape[2]))


class JointBranch(nn.Module):
    """One of the two parallel branches: two joint graph attention layers around graph pooling, and a master node.

    Source: section 3.3, one branch of max graph operation (MGO).
    """

    def __init__(self, inputs: int, outputs: int, pool: float) -> None:
        super().__init__()
        self.master = nn.Parameter(torch.randn(1, 1, inputs))
        self.first = JointGraphAttention(inputs, outputs)
        self.pool_temporal = GraphPool(outputs, pool)
        self.pool_spectral = GraphPool(outputs, pool)
        self.second = JointGraphAttention(outputs, outputs)

    def forward(self, temporal: Tensor, spectral: Tensor) -> list[Tensor]:
        """Return temporal nodes, spectral nodes and the master node (batch, nodes, outputs)."""
        temporal, spectral, master = self.first(temporal, spectral, self.master)
        before = (self.pool_temporal(temporal), self.pool_spectral(spectral), master)
        return [x + y for x, y in zip(before, self.second(*before), strict=True)]


class SpectroTemporalGraph(nn.Module):
    """Graph part of AASIST: attention within each graph, two branches over both graphs, readout.

    Source: section 3 and figure 1.

    Args:
        channels: width of the nodes that come in.
        width: width of the nodes of each graph.
        hidden: width of the nodes of the joint graph; the readout has five times as many values.
        spectral_nodes: number of spectral nodes, each of which has a learned embedding of its position.
        pool_spectral: share of the spectral nodes that graph pooling keeps.
        pool_temporal: share of the temporal nodes.
        pool_joint: share of each in the joint graph.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        hidden: int,
        spectral_nodes: int,
        pool_spectral: float,
        pool_temporal: float,
        pool_joint: float,
    ) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(1, spectral_nodes, channels))
        self.spectral = nn.Sequential(GraphAttention(channels, width), GraphPool(width, pool_spectral))
        self.temporal = nn.Sequential(GraphAttention(channels, width), GraphPool(width, pool_temporal))
        self.branches = nn.ModuleList(JointBranch(width, hidden, pool_joint) for _ in range(2))
        self.drop_branch = nn.Dropout(BRANCH_DROPOUT)
        self.drop = nn.Dropout(READOUT_DROPOUT)

    def forward(self, spectral: Tensor, temporal: Tensor) -> Tensor:
        """Return the readout (batch, 5 × hidden) of both kinds of nodes (batch, nodes, channels)."""
        spectral = self.spectral(spectral + self.position)
        temporal = self.temporal(temporal)
        first, second = ([self.drop_branch(nodes) for nodes in branch(temporal, spectral)] for branch in self.branches)
        temporal, spectral, master = (torch.maximum(*pair) for pair in zip(first, second, strict=True))
        statistics = [f for nodes in (temporal, spectral) for f in (nodes.abs().amax(dim=1), nodes.mean(dim=1))]
        readout: Tensor = self.drop(torch.cat([*statistics, master.squeeze(1)], dim=1))
        return readout


def _convolution(inputs: int, outputs: int, kernel: tuple[int, int], padding: tuple[int, int]) -> nn.Conv2d:
    if inputs == 1:
        return OneChannelConv(outputs, kernel, padding)
    return nn.Conv2d(inputs, outputs, kernel, padding=padding)


def _attention_vector(features: int) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(features, 1)))


def _normalise(nodes: Tensor, norm: nn.Module) -> Tensor:
    return F.selu(norm(nodes.flatten(0, 1)).reshape(nodes.shape))
