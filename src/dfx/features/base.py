"""Base classes of features: convert a batch of waveforms to a map (batch, channels, bins, frames)."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from dfx.features.constant_q import ConstantQPower
from dfx.features.dsp import BandPower


class FeatureShape(NamedTuple):
    """Shape of the feature map of one clip: channels, bins and frames."""

    channels: int
    bins: int
    frames: int


class Feature(nn.Module):
    """Base class of features: converts waveforms to feature maps; a subclass only defines `extract`.

    Maps of a feature that is not trained can be computed once for each utterance and stored (`cache`), if the
    class defines `hop_samples`. Stored maps are found by configuration and weights: after a change of the code use
    another folder of maps (`$DFX_CACHE`) or delete the old one.

    Args:
        mask: module that hides parts of the map, such as `dfx.augment.SpecAverage`; used in train mode only.
        cache: whether `dfx.detector` stores the maps (`feature_maps`).

    Attributes:
        weight_sources: arguments that name weights outside of a checkpoint; None in the configuration of a checkpoint.
    """

    weight_sources: ClassVar[tuple[str, ...]] = ()

    def __init__(self, mask: nn.Module | None = None, cache: bool = False) -> None:
        super().__init__()
        self.mask = mask
        self.cache = cache

    @abstractmethod
    def extract(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, samples), float32, to a map (batch, channels, bins, frames)."""

    def forward(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, samples) to a map (batch, channels, bins, frames), always in float32.

        Raises:
            ValueError: if the input is not a batch of floating-point waveforms.
        """
        if waveform.ndim != 2:
            raise ValueError(
                f"A feature takes waveforms of shape (batch, samples), got {tuple(waveform.shape)}: "
                "add a batch dimension to a single clip with waveform[None]."
            )
        if not waveform.is_floating_point():
            raise ValueError(
                f"A feature takes floating-point waveforms in [-1, 1], got {waveform.dtype}: "
                "divide integer samples by their full scale (32768 for int16) first."
            )
        # log and power of half-precision numbers overflow, so mixed precision starts after the feature.
        with torch.autocast(waveform.device.type, enabled=False):
            feature: Tensor = self.extract(waveform.float())
        return self.masked(feature)

    def masked(self, feature: Tensor) -> Tensor:
        """Apply the mask to a map (batch, channels, bins, frames), in train mode only."""
        if self.mask is not None and self.training:
            feature = self.mask(feature)
        return feature

    def output_shape(self, num_samples: int) -> FeatureShape:
        """Return the shape of the map of a clip of `num_samples` samples, measured on silence."""
        tensors = [*self.parameters(), *self.buffers()]
        device = tensors[0].device if tensors else torch.device("cpu")
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                feature = self(torch.zeros(1, num_samples, device=device))
        finally:
            self.train(was_training)
        return FeatureShape(*feature.shape[1:])

    @property
    def hop_samples(self) -> int:
        """Distance between frames in samples; raises a ValueError if the class does not define it."""
        raise ValueError(
            f"{type(self).__name__} has no hop_samples (distance between frames), so its maps cannot be kept: "
            "define hop_samples in the class, or use feature.cache=false."
        )

    @property
    def min_samples(self) -> int:
        """Length in samples of the shortest waveform that gives a frame."""
        return 1

    @property
    def chunk_frames(self) -> int:
        """Frames that belong together: a stored map may be cut between them only."""
        return 1

    @property
    def unfreezes_later(self) -> bool:
        """Whether frozen weights become trainable at a later epoch."""
        return False

    def start_epoch(self, epoch: int) -> None:
        """Prepare the feature for training epoch `epoch`, counted from 0; most features have nothing to do."""

    def rebuild_arguments(self) -> dict[str, Any]:
        """Return the constructor arguments that rebuild this feature without its weight files."""
        return {}


class FilterBankFeature(Feature):
    """Base class of features that use the energies of a filter bank; a subclass sets `band_power`."""

    band_power: BandPower | ConstantQPower

    @property
    def hop_samples(self) -> int:
        """Distance between frames in samples."""
        return self.band_power.hop_length

    @property
    def min_samples(self) -> int:
        """Length in samples of the shortest waveform that gives a frame."""
        return self.band_power.min_samples
