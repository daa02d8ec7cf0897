"""Image networks of the library timm on feature maps."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dfx import console
from dfx.models.blocks import IncompatiblePairError, InputNorm, check_frames, check_shape
from dfx.models.pretrained import PretrainedModel, list_problems, read_weights

MOST_REASON = 200  # letters of an error of PyTorch, which lists every tensor
COUNTER = ".num_batches_tracked"  # of a normalisation, which has no effect and older files lack


class TimmBackbone(PretrainedModel):
    """Any image network of timm without its classifier; the map is an image of one or more channels.

    Published weights expect three colours: timm adds up the first convolution's weights for one channel, and repeats
    and scales them for others. The input is normalised per bin, which brings any feature to the range of normalised
    images and has no parameters. A network of a fixed image size (a vision transformer) gets that of the map, and then
    takes segments of one length only. A dfx checkpoint holds all weights, so that nothing is downloaded to load it.

    Args:
        architecture: name in timm, with the tag of its weights if there are several: `resnet101.tv_in1k`.
        pretrained: whether to download the published weights once; None as false.
        checkpoint: file of weights by name instead, from `torch.save`; its classifier is left out.
        frozen_tensors: how many of the network's parameter tensors, counted from the input, keep these weights; the
            batch normalisation of frozen layers still follows the statistics of the training data. Without published
            weights nothing is frozen.

    Raises:
        ValueError: if timm is not installed or has no such network, or the weights cannot be had.
    """

    weight_sources = ("pretrained", "checkpoint")

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        architecture: str,
        pretrained: bool | None = False,
        checkpoint: str | Path | None = None,
        frozen_tensors: int = 0,
    ) -> None:
        super().__init__()
        channels, bins, self.frames = check_shape(input_shape, "TimmBackbone")
        self.architecture = architecture
        self.norm = InputNorm(channels, bins)
        self.network = _create(architecture, channels, bool(pretrained), checkpoint)
        self.one_length = hasattr(self.network, "set_input_size")
        try:
            if self.one_length:
                self.network.set_input_size(img_size=(bins, self.frames))
            was_training = self.network.training
            with torch.no_grad():
                self.embedding_dim = self.network.eval()(torch.zeros(1, *input_shape)).shape[1]
            self.network.train(was_training)
        except (AssertionError, RuntimeError, ValueError) as error:
            # Errors of a device are subclasses; a CPU without room names its allocator.
            if type(error) not in (AssertionError, RuntimeError, ValueError) or "allocate memory" in str(error):
                raise
            raise IncompatiblePairError(
                f"{architecture} cannot take a map of {channels} channels, {bins} bins and {self.frames} frames "
                f"({error}): use a feature or a segment that makes another size, or a network of any size such as "
                "resnet101."
            ) from error
        if pretrained or checkpoint is not None:
            for parameter in list(self.network.parameters())[:frozen_tensors]:
                parameter.requires_grad_(False)
        elif frozen_tensors and pretrained is not None:  # which is None in a checkpoint of dfx
            _say_nothing_is_frozen(frozen_tensors)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of a feature map (batch, channels, bins, frames)."""
        if self.one_length:
            check_frames(x, self.frames, self.architecture)
        embedding: Tensor = self.network(self.norm(x))
        return embedding


@functools.cache  # once in a process
def _say_nothing_is_frozen(frozen_tensors: int) -> None:
    console.say(
        f"Warning: model.frozen_tensors={frozen_tensors} has no effect on random weights, every layer is trained: "
        "give model.pretrained=true or model.checkpoint=FILE to start from published ones."
    )


def _create(architecture: str, channels: int, pretrained: bool, checkpoint: str | Path | None) -> Any:
    try:
        import timm
    except ImportError as error:
        raise ValueError(
            f"A network of timm needs the package timm, which cannot be imported ({error}): pip install 'dfx[timm]'."
        ) from error
    if not timm.is_model(architecture):  # no names of hubs or folders, which timm would also take
        raise ValueError(
            f"timm has no network {architecture!r}: choose one that timm.list_models() lists, such as resnet101, for "
            "model.architecture."
        )
    if pretrained and checkpoint is not None:
        raise ValueError(
            "model.pretrained=true and model.checkpoint both give the weights to start from, got "
            f"{str(checkpoint)!r}: leave one out."
        )
    source: dict[str, Any] = {"pretrained": pretrained}
    names: set[str] = set()
    if checkpoint is not None:
        weights = read_weights(checkpoint)
        names = {*weights}
        source = {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": weights, "source": ""}}
    try:
        network: nn.Module = timm.create_model(architecture, in_chans=channels, num_classes=0, **source)
    except Exception as error:  # timm, its hub and PyTorch raise errors of many kinds
        reason = " ".join(str(error).split())[:MOST_REASON]
        if checkpoint is not None:
            raise _foreign_weights(checkpoint, architecture, reason) from error
        if pretrained:
            raise ValueError(
                f"The weights of {architecture} could not be downloaded ({reason}): connect to the internet once, give "
                "a file (model.checkpoint=FILE), or train from random weights (model.pretrained=false)."
            ) from error
        raise
    if checkpoint is not None and (found := _problems(network, names)):
        raise _foreign_weights(checkpoint, architecture, "; ".join(found))
    return network


def _problems(network: Any, names: set[str]) -> list[str]:
    """Compare names of weights with those of a network, which timm does not; sizes are checked by PyTorch."""
    own = {*network.state_dict()}
    classifiers = network.default_cfg.get("classifier") or ()
    left_out = {name.split(".")[0] for name in ([classifiers] if isinstance(classifiers, str) else classifiers)}
    return list_problems(
        missing={name for name in own - names if not name.endswith(COUNTER)},
        unknown={name for name in names - own if name.split(".")[0] not in left_out},
    )


def _foreign_weights(checkpoint: str | Path, architecture: str, reason: str) -> ValueError:
    return ValueError(
        f"The weights in {str(checkpoint)!r} are not those of {architecture} ({reason}): correct model.checkpoint or "
        "model.architecture."
    )
