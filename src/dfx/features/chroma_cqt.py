"""Chroma from a constant-Q transform."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfx.features import dsp
from dfx.features.base import FilterBankFeature
from dfx.features.constant_q import ConstantQPower

POWER_FLOOR = 1e-12  # keeps the slope of the root finite in silence
PEAK_FLOOR = 1e-5  # about the magnitude of the rounding of 16-bit samples: quieter frames are not scaled up


class ChromaCQT(FilterBankFeature):
    """Magnitude of pitch classes (batch, 1, classes, frames): each frame divided by its maximum.

    Equal to `librosa.feature.chroma_cqt` with tuning=0: the pitch A4 is 440 Hz for every clip.

    Args:
        sample_rate: of the waveforms, Hz.
        hop_length: samples from one frame to the next.
        num_classes: pitch classes in an octave, from C.
        bins_per_octave: frequencies of the constant-Q transform in an octave; a multiple of `num_classes`.
        num_octaves: octaves of the transform, from C1 (32.7 Hz).
        mask, cache: see `Feature`.
    """

    weights: Tensor

    def __init__(
        self,
        sample_rate: int,
        hop_length: int = 512,
        num_classes: int = 12,
        bins_per_octave: int = 36,
        num_octaves: int = 7,
        mask: nn.Module | None = None,
        cache: bool = False,
    ) -> None:
        from librosa.filters import cq_to_chroma  # slow to import: only where it is used

        super().__init__(mask, cache)
        if bins_per_octave % num_classes:
            raise ValueError(
                f"Each pitch class takes the same number of bins, got {bins_per_octave} bins an octave for "
                f"{num_classes} classes: use a multiple."
            )
        num_bins, fmin_hz = num_octaves * bins_per_octave, 440 * 2 ** (-45 / 12)  # C1, 45 semitones below A4
        weights = cq_to_chroma(num_bins, bins_per_octave=bins_per_octave, n_chroma=num_classes, fmin=fmin_hz)
        self.band_power = ConstantQPower(sample_rate, hop_length, num_bins, bins_per_octave, fmin_hz)
        self.register_buffer("weights", torch.from_numpy(weights).float(), persistent=False)

    def extract(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, samples) to chroma (batch, 1, classes, frames)."""
        magnitude = torch.sqrt(self.band_power(waveform) + POWER_FLOOR) - POWER_FLOOR**0.5
        return dsp.scale_to_peak(torch.matmul(self.weights, magnitude), PEAK_FLOOR)[:, None]
