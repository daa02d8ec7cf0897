"""Mel-frequency cepstral coefficients (MFCC)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfx.features import dsp
from dfx.features.cepstra import CepstralFeature


class MFCC(CepstralFeature):
    """Mel-frequency cepstra with deltas (batch, 1, coefficients, frames).

    They are the orthonormal DCT-II of a log-Mel spectrogram in dB. Without deltas equal to `librosa.feature.mfcc` of
    the same settings.

    Args:
        num_coefficients: cepstral coefficients, from number 0; at most num_bands.
        deltas, normalize: see `CepstralFeature`.
        sample_rate, n_fft and the rest: as in `LogMel`, with scale="db".
    """

    dct: Tensor

    def __init__(
        self,
        sample_rate: int,
        num_coefficients: int = 20,
        deltas: bool | str = True,
        n_fft: int = 512,
        win_length: int = 400,
        hop_length: int = 160,
        num_bands: int = 80,
        fmin_hz: float = 0.0,
        fmax_hz: float | None = None,
        eps: float = 1e-10,
        top_db: float | None = 80.0,
        normalize: str | None = None,
        mask: nn.Module | None = None,
        cache: bool = False,
    ) -> None:
        super().__init__(deltas, normalize, mask, cache)
        if not 0 < num_coefficients <= num_bands:
            raise ValueError(
                f"MFCC keeps between 1 and num_bands={num_bands} coefficients, got {num_coefficients}: "
                "lower num_coefficients or raise num_bands."
            )
        self.eps = eps
        self.top_db = top_db
        fmax_hz = sample_rate / 2 if fmax_hz is None else fmax_hz
        bank = dsp.mel_bank(num_bands, n_fft, sample_rate, fmin_hz, fmax_hz)
        self.band_power = dsp.BandPower(torch.hann_window(win_length), n_fft, hop_length, bank)
        self.register_buffer("dct", dsp.dct_matrix(num_coefficients, num_bands), persistent=False)

    def extract(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, samples) to cepstra (batch, 1, coefficients, frames)."""
        decibel = dsp.power_to_db(self.band_power(waveform), self.eps, self.top_db)
        return self.complete(torch.matmul(self.dct, decibel))
