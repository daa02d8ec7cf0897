"""Log-Mel spectrogram."""

import torch
from torch import Tensor, nn

from dfx.features import dsp
from dfx.features.base import FilterBankFeature


class LogMel(FilterBankFeature):
    """Log power of mel bands (batch, 1, bands, frames), with centred frames and Hann window.

    The filter bank is librosa's default: Slaney's mel scale, triangles of area 1.

    Args:
        sample_rate: of the waveforms, Hz.
        n_fft: samples of the Fourier transform.
        win_length: samples of the window.
        hop_length: samples from one frame to the next.
        num_bands: mel bands.
        fmin_hz: lower edge of the lowest band.
        fmax_hz: upper edge of the highest band; None for half the sample rate.
        scale: "log" for log(power + eps), "db" for 10 log10(max(power, eps)).
        eps: power that keeps the logarithm of silence finite.
        top_db: with "db", values further than this below the maximum of their clip are raised to it; None for no limit.
        mask, cache: see `Feature`.
    """

    def __init__(
        self,
        sample_rate: int,
        n_fft: int = 512,
        win_length: int = 400,
        hop_length: int = 160,
        num_bands: int = 80,
        fmin_hz: float = 0.0,
        fmax_hz: float | None = None,
        scale: str = "log",
        eps: float = 1e-9,
        top_db: float | None = None,
        mask: nn.Module | None = None,
        cache: bool = False,
    ) -> None:
        super().__init__(mask, cache)
        if scale not in ("log", "db") or (scale == "log" and top_db is not None):
            raise ValueError(
                f"LogMel has scale=log without top_db, or scale=db, got scale={scale!r} with top_db={top_db}: "
                "choose one of the two."
            )
        self.scale = scale
        self.eps = eps
        self.top_db = top_db
        fmax_hz = sample_rate / 2 if fmax_hz is None else fmax_hz
        bank = dsp.mel_bank(num_bands, n_fft, sample_rate, fmin_hz, fmax_hz)
        self.band_power = dsp.BandPower(torch.hann_window(win_length), n_fft, hop_length, bank)

    def extract(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, samples) to log-Mel maps (batch, 1, bands, frames)."""
        power: Tensor = self.band_power(waveform)
        if self.scale == "db":
            return dsp.power_to_db(power, self.eps, self.top_db)[:, None]
        return power.add_(self.eps).log_()[:, None]
