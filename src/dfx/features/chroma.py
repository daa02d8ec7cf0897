"""Chroma: energy of the twelve pitch classes, from the short-time Fourier transform."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfx.features import dsp
from dfx.features.base import FilterBankFeature


class Chroma(FilterBankFeature):
    """Energy of pitch classes (batch, 1, classes, frames): each frame divided by its maximum.

    Equal to `librosa.feature.chroma_stft` with tuning=0: the pitch A4 is 440 Hz for every clip. librosa estimates the
    tuning of each clip by default, which a voice has not.

    Args:
        sample_rate: of the waveforms, Hz.
        n_fft: samples of the Fourier transform.
        win_length: samples of the window.
        hop_length: samples from one frame to the next.
        num_classes: pitch classes in an octave, from C.
        mask, cache: see `Feature`.
    """

    def __init__(
        self,
        sample_rate: int,
        n_fft: int = 2048,
        win_length: int = 2048,
        hop_length: int = 512,
        num_classes: int = 12,
        mask: nn.Module | None = None,
        cache: bool = False,
    ) -> None:
        from librosa.filters import chroma  # slow to import: only where it is used

        super().__init__(mask, cache)
        bank = torch.from_numpy(chroma(sr=sample_rate, n_fft=n_fft, n_chroma=num_classes, tuning=0.0))
        self.band_power = dsp.BandPower(torch.hann_window(win_length), n_fft, hop_length, bank)

    def extract(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, samples) to chroma (batch, 1, classes, frames)."""
        return dsp.scale_to_peak(self.band_power(waveform))[:, None]
