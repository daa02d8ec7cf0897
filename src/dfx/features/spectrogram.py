"""Log-power spectrogram."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfx.features import dsp
from dfx.features.base import FilterBankFeature


class Spectrogram(FilterBankFeature):
    """Log power of all bins of the Fourier transform (batch, 1, n_fft // 2 + 1, frames): log(power + eps).

    Frames are centred and the window is Hann's, as in `LogMel`.

    Args:
        n_fft: samples of the Fourier transform.
        win_length: samples of the window.
        hop_length: samples from one frame to the next.
        eps: power that keeps the logarithm of silence finite.
        mask, cache: see `Feature`.
    """

    def __init__(
        self,
        n_fft: int = 512,
        win_length: int = 400,
        hop_length: int = 160,
        eps: float = 1e-9,
        mask: nn.Module | None = None,
        cache: bool = False,
    ) -> None:
        super().__init__(mask, cache)
        self.eps = eps
        self.band_power = dsp.BandPower(torch.hann_window(win_length), n_fft, hop_length, None)

    def extract(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, samples) to log-power spectrograms (batch, 1, bins, frames)."""
        power: Tensor = self.band_power(waveform)
        return power.add_(self.eps).log_()[:, None]
