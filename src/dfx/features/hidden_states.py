"""Base class of features that are hidden states of a self-supervised speech encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from torch import nn

from dfx.features.base import Feature

SAMPLE_RATE = 16000


class HiddenStates(Feature):
    """Base class of features that are the hidden states of a speech encoder (batch, layers + 1, dim, frames).

    A subclass calls `use_encoder` in its constructor, and defines `extract` and `conv_layers`. While frozen, the
    weights of the encoder take no gradient and it stays in eval mode.

    Args:
        sample_rate: of the waveforms: 16000, which all these encoders were trained on.
        finetune_from_epoch: first epoch (counted from 0) that trains the encoder too; None keeps it frozen.
        mask, cache: see `Feature`; stored states of a base model take 1 MB for each second of audio.

    Raises:
        ValueError: if the sample rate is another, or states are to be stored that training changes.
    """

    encoder: Any
    architecture: dict[str, Any]

    def __init__(
        self, sample_rate: int, finetune_from_epoch: int | None, mask: nn.Module | None = None, cache: bool = False
    ) -> None:
        super().__init__(mask, cache)
        if sample_rate != SAMPLE_RATE:
            raise ValueError(
                f"Wav2Vec2 and its relatives take audio at {SAMPLE_RATE} Hz, got sample_rate={sample_rate}: "
                f"set sample_rate={SAMPLE_RATE}."
            )
        if cache and finetune_from_epoch is not None:
            raise ValueError(
                f"Hidden states cannot be kept while their encoder is trained, got cache=true and finetune_from_epoch="
                f"{finetune_from_epoch}: use cache=false, or finetune_from_epoch=null."
            )
        self.finetune_from_epoch = finetune_from_epoch
        self.frozen = True

    def use_encoder(self, encoder: nn.Module, architecture: dict[str, Any]) -> None:
        """Take the encoder, and the arguments that build it again with random weights."""
        self.encoder = encoder
        self.architecture = architecture
        self.start_epoch(0)

    @property
    def conv_layers(self) -> Sequence[tuple[int, int]]:
        """Kernel and stride of each convolution before the Transformer."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> Self:
        """Set train or eval mode; a frozen encoder always stays in eval mode, without dropout."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    @property
    def unfreezes_later(self) -> bool:
        """Whether the encoder is frozen at first and becomes trainable at a later epoch."""
        return bool(self.finetune_from_epoch)

    def start_epoch(self, epoch: int) -> None:
        """Freeze or unfreeze the encoder for an epoch, according to `finetune_from_epoch`."""
        self.frozen = self.finetune_from_epoch is None or epoch < self.finetune_from_epoch
        self.encoder.requires_grad_(not self.frozen)
        self.train(self.training)

    def rebuild_arguments(self) -> dict[str, Any]:
        """Return the arguments that rebuild this encoder, with random weights, without its weight files."""
        return {**dict.fromkeys(self.weight_sources), "architecture": self.architecture}

    def require_one_frame(self, samples: int) -> None:
        """Raise a ValueError if a waveform is too short for one frame."""
        if samples < self.min_samples:
            raise ValueError(
                f"{type(self).__name__} needs at least {self.min_samples} samples for one frame, got {samples}: "
                "use longer segments."
            )

    @property
    def hop_samples(self) -> int:
        """Distance between frames in samples: 320 (20 ms) for all published models."""
        hop = 1
        for _, stride in self.conv_layers:
            hop *= stride
        return hop

    @property
    def min_samples(self) -> int:
        """Length in samples of the shortest waveform that gives a frame."""
        samples = 1
        for kernel, stride in reversed(self.conv_layers):
            samples = (samples - 1) * stride + kernel
        return samples
