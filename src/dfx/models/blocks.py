"""Layers shared by several models: max-feature-map, pooling over time, input normalisation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Added to a variance before its root: the slope of the root is infinite at 0, and a silent clip has variance 0.
VARIANCE_FLOOR = 1e-5
MOST_WEIGHTS = 2**28  # of a linear layer on a whole map: 1 GiB in float32, and as much for each moment of Adam


class IncompatiblePairError(ValueError):
    """Error for a feature map that a model cannot use; a sweep skips this pair of feature and model."""


def check_shape(input_shape: tuple[int, int, int], model: str) -> tuple[int, int, int]:
    """Check that a model can use feature maps of this shape, and return channels, bins and frames.

    Raises:
        IncompatiblePairError: if an axis is empty.
    """
    channels, bins, frames = input_shape
    if min(input_shape) < 1:
        raise IncompatiblePairError(
            f"{model} needs a feature map with at least 1 channel, 1 bin and 1 frame, got "
            f"(channels, bins, frames) = ({channels}, {bins}, {frames}): use a longer segment or a shorter hop."
        )
    return channels, bins, frames


def check_waveform(input_shape: tuple[int, int, int], model: str) -> int:
    """Check that a model that takes the waveform gets one, and return its length in samples.

    Raises:
        IncompatiblePairError: if the map is that of another feature.
    """
    channels, bins, samples = check_shape(input_shape, model)
    if (channels, bins) != (1, 1):
        raise IncompatiblePairError(
            f"{model} takes the waveform, got a map of {channels} channels and {bins} bins: use feature=waveform."
        )
    return samples


def check_frames(x: Tensor, frames: int, model: str) -> None:
    """Check that a map (batch, channels, bins, frames) has the number of frames that a model was built for.

    Raises:
        ValueError: if it has another.
    """
    if x.shape[3] != frames:
        raise ValueError(
            f"{model} takes maps of the {frames} frames that it was built for, got {x.shape[3]}: cut the audio into "
            "segments of the length used in training."
        )


def check_flat_size(values: int, units: int, model: str) -> None:
    """Check that the linear layer on all `values` of a map, with `units` outputs, is not too large to train.

    Raises:
        IncompatiblePairError: if it has more than 2^28 weights.
    """
    if values * units > MOST_WEIGHTS:
        raise IncompatiblePairError(
            f"{model} has a weight for each value and each of {units} units, got {values:,} values, more than "
            f"{MOST_WEIGHTS:,} weights: use a feature with a smaller map, a shorter segment or fewer units."
        )


def check_frame_features(input_shape: tuple[int, int, int], model: str) -> tuple[int, int, int]:
    """Check that a model of frames gets no waveform, and return channels, bins and frames of its map.

    Raises:
        IncompatiblePairError: if a frame has one value only: each sample would be a frame.
    """
    channels, bins, frames = check_shape(input_shape, model)
    if channels == bins == 1:
        raise IncompatiblePairError(
            f"{model} takes features of frames, got {frames} samples of a waveform: use feature=ssl, feature=wav2vec2 "
            "or another one with several bins."
        )
    return channels, bins, frames


class LayerSum(nn.Module):
    """Weighted sum of the channels of a map, the layers of an encoder: a softmax over one learned number for each.

    Source: Yang et al., "SUPERB: speech processing universal performance benchmark", 2021, section 3.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        # A softmax over a single layer has nothing to learn.
        self.logits = nn.Parameter(torch.zeros(layers)) if layers > 1 else None

    def weights(self) -> Tensor:
        """Weights (layers,) of the layers, with sum 1."""
        return torch.ones(1) if self.logits is None else self.logits.softmax(dim=0)

    def forward(self, x: Tensor) -> Tensor:
        """Sum a map (batch, layers, bins, frames) over its layers, to (batch, bins, frames)."""
        return x[:, 0] if self.logits is None else torch.einsum("c,bcft->bft", self.weights(), x)


class MaxFeatureMap(nn.Module):
    """Max-feature-map: the elementwise maximum of the two halves of the channels.

    Source: Wu et al., "A light CNN for deep face representation with noisy labels", 2018, section III-A.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the maximum (batch, channels, …) of the two halves of `x` (batch, 2 × channels, …)."""
        if self.training:
            larger: Tensor = _LargerHalf.apply(x)
            return larger
        first, second = x.chunk(2, dim=1)
        return torch.maximum(first, second)


def mfm_conv(channels: int, outputs: int, kernel: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    """Create a zero-padded convolution and a max-feature-map with `outputs` output channels."""
    return nn.Conv2d(channels, 2 * outputs, kernel, stride=stride, padding=kernel // 2), MaxFeatureMap()


class _LargerHalf(torch.autograd.Function):
    """Maximum of the two halves of the channels, with a faster gradient than `torch.maximum`.

    The gradient of `torch.maximum` divides ties equally, which takes eight times as long: half of a training step of
    an LCNN. Here the second half takes the whole gradient of a tie.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        first, second = x.chunk(2, dim=1)
        return torch.maximum(first, second)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        (x,) = ctx.saved_tensors
        first, second = x.chunk(2, dim=1)
        result = torch.empty_like(x)
        to_first, to_second = result.chunk(2, dim=1)
        torch.sub(first, second, out=to_second)  # a scratch value: positive where the first half is larger
        torch.ops.aten.threshold_backward.grad_input(gradient, to_second, 0, grad_input=to_first)
        torch.sub(gradient, to_first, out=to_second)
        return result


class HalvingPool(nn.Module):
    """Max-pooling 2 × 2 that leaves an axis of length 1 unchanged (a raw waveform, a very short clip)."""

    def forward(self, x: Tensor) -> Tensor:
        """Halve height and width of a map (batch, channels, height, width), rounded down but at least 1."""
        return F.max_pool2d(x, (min(2, x.shape[2]), min(2, x.shape[3])))


class RowNorm(nn.BatchNorm1d):
    """Batch normalisation that also works for a batch of one row.

    Input is (batch, features[, frames]); a single row is normalised by the running statistics. PyTorch raises an error
    there, since the statistics of one value do not exist.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` after normalisation, in the same shape."""
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


class InputNorm(nn.Module):
    """Batch normalisation of every bin of every channel, without learned parameters.

    Brings log-mel energies (near -10), cepstra (tens) and hidden states (anything) to one range, so that one learning
    rate serves every feature.
    """

    def __init__(self, channels: int, bins: int) -> None:
        super().__init__()
        self.norm = RowNorm(channels * bins, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map `x` (batch, channels, bins, frames) after normalisation, in the same shape."""
        rows: Tensor = self.norm(x.flatten(1, 2))
        return rows.reshape(x.shape)


def dense_layers(
    inputs: int, widths: Sequence[int], dropout: float | Sequence[float], batch_norm: bool
) -> nn.Sequential:
    """Create linear layers of these widths, each with ReLU and dropout, and before it batch normalisation if wanted.

    Raises:
        ValueError: if there is no layer, or `dropout` is a list of another length than `widths`.
    """
    shares = [dropout] * len(widths) if isinstance(dropout, int | float) else list(dropout)
    if not widths or len(shares) != len(widths):
        raise ValueError(
            f"A perceptron needs at least one layer, and one dropout for all or one for each, got widths="
            f"{list(widths)} and dropout={dropout}: give lists of the same length."
        )
    layers: list[nn.Module] = []
    for width, share in zip(widths, shares, strict=True):
        # Batch normalisation has a bias of its own.
        layers += [nn.Linear(inputs, width, bias=not batch_norm), *([RowNorm(width)] if batch_norm else [])]
        layers += [nn.ReLU(inplace=True), nn.Dropout(share)]
        inputs = width
    return nn.Sequential(*layers)


class StatisticsPool(nn.Module):
    """Statistics pooling: mean and standard deviation over frames.

    Source: Snyder et al., "X-vectors: robust DNN embeddings for speaker recognition", 2018, section 2.1.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return mean and deviation (batch, 2 × features) of `x` (batch, features, frames), always in float32."""
        return _mean_and_deviation(x.float(), lambda values: values.mean(dim=2))


class AttentiveStatisticsPool(nn.Module):
    """Attentive statistics pooling: mean and standard deviation over frames, weighted by attention.

    Source: Okabe et al., "Attentive statistics pooling for deep speaker embedding", 2018, equations 1-6; for each
    feature: Desplanques et al., "ECAPA-TDNN", 2020, equations 1-3.

    Args:
        features: rows of the map.
        hidden: units of the attention's first layer.
        for_each: whether each feature has weights of its own, instead of one weight for a frame.
    """

    def __init__(self, features: int, hidden: int, for_each: bool = False) -> None:
        super().__init__()
        # Softmax over frames cancels a bias of the second layer; the references of the second kind have one.
        second = nn.Conv1d(hidden, features if for_each else 1, 1, bias=for_each)
        self.attention = nn.Sequential(nn.Conv1d(features, hidden, 1), nn.Tanh(), second)

    def forward(self, x: Tensor) -> Tensor:
        """Return weighted mean and deviation (batch, 2 × features) of `x` (batch, features, frames), in float32."""
        weight = self.attention(x).float().softmax(dim=2)
        return _mean_and_deviation(x.float(), lambda values: (values * weight).sum(dim=2))


def _mean_and_deviation(x: Tensor, average: Callable[[Tensor], Tensor]) -> Tensor:
    mean = average(x)
    variance = average((x - mean.unsqueeze(2)).square())
    return torch.cat([mean, (variance + VARIANCE_FLOOR).sqrt()], dim=1)


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation: multiplies each channel by a gate computed from the means of all channels.

    Source: Hu et al., "Squeeze-and-excitation networks", 2018, equations 2-4.

    Args:
        channels: of the map.
        reduction: channels for each unit of the hidden layer.
        bias: whether the two linear layers have one.
    """

    def __init__(self, channels: int, reduction: int = 16, bias: bool = False) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.gate = nn.Sequential(
            nn.Linear(channels, hidden, bias=bias),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, channels, bias=bias),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map (batch, channels, frames) or (batch, channels, height, width), each channel times its gate."""
        gate: Tensor = self.gate(x.mean(dim=tuple(range(2, x.ndim))))
        return x * gate.reshape(*gate.shape, *[1] * (x.ndim - 2))


class ResidualBlock(nn.Module):
    """Residual block: two 3 × 3 convolutions with a shortcut, followed by ReLU.

    Source: He et al., "Deep residual learning for image recognition", 2016, section 3 (shortcut B).

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: step of the first convolution on both axes.
        dilation: spacing of both kernels along frames.
        se: whether the branch ends in squeeze-and-excitation.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dilation: int = 1, se: bool = False) -> None:
        super().__init__()
        spread = (1, dilation)
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=spread, dilation=spread, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=spread, dilation=spread, bias=False),
            nn.BatchNorm2d(outputs),
            SqueezeExcite(outputs) if se else nn.Identity(),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Convert (batch, inputs, bins, frames) to (batch, outputs, bins / stride, frames / stride), rounded up."""
        return F.relu(self.branch(x) + self.shortcut(x), inplace=True)


class Bottleneck(nn.Module):
    """Bottleneck block: convolution 1 × 1, a part between, convolution 1 × 1, with a shortcut, followed by ReLU.

    Source: He et al., "Deep residual learning for image recognition", 2016, figure 5; the pooled shortcut is that of
    He et al., "Bag of tricks for image classification with convolutional neural networks", 2019, section 4.1.

    Args:
        inputs: channels that come in.
        width: channels of the part between.
        between: module from (batch, width, bins, frames) to the same with bins and frames divided by `stride`.
        outputs: channels that go out.
        stride: step of the shortcut on both axes.
        se: whether the branch ends in squeeze-and-excitation.
        pooled: whether the shortcut takes means over its steps instead of every second value.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        between: nn.Module,
        outputs: int,
        stride: int,
        se: bool = False,
        pooled: bool = False,
    ) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            between,
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            SqueezeExcite(outputs) if se else nn.Identity(),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
            self.shortcut = nn.Sequential(
                pool if pooled else nn.Identity(),
                nn.Conv2d(inputs, outputs, 1, stride=1 if pooled else stride, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Convert (batch, inputs, bins, frames) to (batch, outputs, bins / stride, frames / stride), rounded up."""
        return F.relu(self.branch(x) + self.shortcut(x), inplace=True)


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Create a 3 × 3 convolution with batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Scales(nn.Module):
    """Chain of layers over groups of channels, so that each group has its own receptive field.

    Each group but the last has a layer, whose input is the group, and in a chain the sum of the group and the output of
    the layer before. The last group has no layer.

    Source: Gao et al., "Res2Net: a new multi-scale backbone architecture", 2021, equation 1.

    Args:
        layers: one for each group but the last.
        last: what the last group goes through instead; None: it passes unchanged.
        chained: whether a group gets the output of the group before it.
    """

    def __init__(self, layers: Iterable[nn.Module], last: nn.Module | None = None, chained: bool = True) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.last = last or nn.Identity()
        self.chained = chained

    def forward(self, x: Tensor) -> Tensor:
        """Convert a map (batch, groups × width, …) to one of the layers' outputs side by side."""
        *inputs, last = x.chunk(len(self.layers) + 1, dim=1)
        outputs: list[Tensor] = []
        for layer, group in zip(self.layers, inputs, strict=True):
            outputs.append(layer(group + outputs[-1] if self.chained and outputs else group))
        return torch.cat([*outputs, self.last(last)], dim=1)
