"""SpecAverage augmentation: replace regions of a feature map by the mean of the map."""

import torch
from torch import Tensor, nn


class SpecAverage(nn.Module):
    """Replace random time and frequency regions of a feature map by its mean, in train mode only.

    Every example has its own regions, the same in all its channels, and every channel its own mean, taken before
    anything is replaced. A region covers a whole number of frames or bins between 0 and the given fraction, all equally
    likely, and starts anywhere it fits; regions may overlap. Positions are drawn from torch's global generator on
    the CPU, so that a seed gives the same regions on every device.

    Args:
        num_time_masks: regions of consecutive frames for each example, 0 or more.
        max_time_fraction: widest time region, as a fraction of the frames in [0, 1].
        num_freq_masks: regions of consecutive bins for each example.
        max_freq_fraction: widest frequency region, as a fraction of the bins.

    Source:
        Cohen et al., "A study on data augmentation in voice anti-spoofing", Speech Communication, 2022.
    """

    def __init__(
        self,
        num_time_masks: int = 2,
        max_time_fraction: float = 0.1,
        num_freq_masks: int = 2,
        max_freq_fraction: float = 0.15,
    ) -> None:
        super().__init__()
        for name, number in (("num_time_masks", num_time_masks), ("num_freq_masks", num_freq_masks)):
            if number < 0:
                raise ValueError(f"SpecAverage hides 0 or more regions, got {name}={number}: use 0 to hide none.")
        for name, part in (("max_time_fraction", max_time_fraction), ("max_freq_fraction", max_freq_fraction)):
            if not 0 <= part <= 1:
                raise ValueError(f"SpecAverage takes fractions of the map, got {name}={part}: use 0 to 1.")
        self.num_time_masks = num_time_masks
        self.max_time_fraction = max_time_fraction
        self.num_freq_masks = num_freq_masks
        self.max_freq_fraction = max_freq_fraction

    def forward(self, feature: Tensor) -> Tensor:
        """Return the map (batch, channels, bins, frames) with regions replaced; unchanged in eval mode."""
        if not self.training:
            return feature
        batch, _, bins, frames = feature.shape
        time = _regions(batch, self.num_time_masks, self.max_time_fraction, frames)
        freq = _regions(batch, self.num_freq_masks, self.max_freq_fraction, bins)
        hidden = (freq[:, None, :, None] | time[:, None, None, :]).to(feature.device, non_blocking=True)
        return torch.where(hidden, feature.mean(dim=(2, 3), keepdim=True), feature)


def _regions(batch: int, number: int, max_fraction: float, length: int) -> Tensor:
    """Draw random regions, as a mask (batch, length) that is True in the regions."""
    draw = torch.rand(2, batch, number, 1)
    width = (draw[0] * (int(max_fraction * length) + 1)).floor()
    start = (draw[1] * (length - width + 1)).floor()
    position = torch.arange(length)
    return ((position >= start) & (position < start + width)).any(dim=1)
