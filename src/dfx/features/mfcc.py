"""Mel-frequency cepstral coefficients (MFCC)."""

import torch
from torch import Tensor, nn

from dfx.features import dsp
from dfx.features.logmel import LogMel


class MFCC(LogMel):
    """Mel-frequency cepstra with deltas (batch, 1, coefficients, frames).

    They are the orthonormal DCT-II of a log-Mel spectrogram in dB. Without deltas equal to `librosa.feature.mfcc` of
    the same settings.

    Args:
        num_coefficients: cepstral coefficients, from number 0; at most num_bands.
        deltas: append the first and second difference over time, x[t + 1] - x[t - 1], as `LFCC` does.
        sample_rate, n_fft and the rest: as in `LogMel`, with scale="db".
    """

    dct: Tensor

    def __init__(
        self,
        sample_rate: int,
        num_coefficients: int = 20,
        deltas: bool = True,
        n_fft: int = 512,
        win_length: int = 400,
        hop_length: int = 160,
        num_bands: int = 80,
        fmin_hz: float = 0.0,
        fmax_hz: float | None = None,
        eps: float = 1e-10,
        top_db: float | None = 80.0,
        mask: nn.Module | None = None,
        cache: bool = False,
    ) -> None:
        super().__init__(
            sample_rate, n_fft, win_length, hop_length, num_bands, fmin_hz, fmax_hz, "db", eps, top_db, mask, cache
        )
        if not 0 < num_coefficients <= num_bands:
            raise ValueError(
                f"MFCC keeps between 1 and num_bands={num_bands} coefficients, got {num_coefficients}: "
                "lower num_coefficients or raise num_bands."
            )
        self.deltas = deltas
        self.register_buffer("dct", dsp.dct_matrix(num_coefficients, num_bands), persistent=False)

    def extract(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, samples) to cepstra (batch, 1, coefficients, frames)."""
        cepstra = torch.matmul(self.dct, super().extract(waveform))
        return dsp.with_deltas(cepstra) if self.deltas else cepstra
