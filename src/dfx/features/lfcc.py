"""Linear-frequency cepstral coefficients (LFCC), as in the ASVspoof LFCC-LCNN baselines."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfx.features import dsp
from dfx.features.cepstra import CepstralFeature

EPS = torch.finfo(torch.float32).eps


class LFCC(CepstralFeature):
    """Linear-frequency cepstra with log energy and deltas (batch, 1, 60, frames).

    This is the NII variant of 2019. Pre-emphasis .97, periodic Hamming window, zero-padded centred frames, triangles of
    height 1 on the power spectrum, log10(x + float32 epsilon), orthonormal DCT-II; coefficient 0 is replaced by the
    log10 of the power summed over the kept bins / n_fft; first and second differences x[t + 1] - x[t - 1] are appended.
    Other features called LFCC (MATLAB 2019, GMM 2021, torchaudio) differ in window, band, energy and deltas.

    Args:
        sample_rate, n_fft, win_length, hop_length, mask, cache: as in `LogMel`.
        num_filters: triangular filters.
        fmax_hz: upper edge of the highest filter; None for half the sample rate.
        deltas, normalize: see `CepstralFeature`.
        num_coefficients: cepstral coefficients, from number 0; None for as many as filters.
        pre_emphasis: coefficient of the high-pass filter x[n] - coefficient * x[n - 1]; 0 for none.
        log_energy: replace coefficient 0 by the log energy of the frame.
        eps: power that keeps the logarithm of silence finite.

    Source:
        Wang & Yamagishi, "A comparative study on recent neural spoofing countermeasures", Interspeech 2021; its code.
    """

    transform: Tensor

    def __init__(
        self,
        sample_rate: int,
        n_fft: int = 512,
        win_length: int = 320,
        hop_length: int = 160,
        num_filters: int = 20,
        fmax_hz: float | None = None,
        deltas: bool | str = True,
        normalize: str | None = None,
        num_coefficients: int | None = None,
        pre_emphasis: float = 0.97,
        log_energy: bool = True,
        eps: float = EPS,
        mask: nn.Module | None = None,
        cache: bool = False,
    ) -> None:
        super().__init__(deltas, normalize, mask, cache)
        num_coefficients = num_filters if num_coefficients is None else num_coefficients
        if not 0 < num_coefficients <= num_filters:
            raise ValueError(
                f"LFCC keeps between 1 and num_filters={num_filters} coefficients, got {num_coefficients}: "
                "lower num_coefficients or raise num_filters."
            )
        self.pre_emphasis = pre_emphasis
        self.eps = eps
        bank = dsp.linear_bank(num_filters, n_fft, sample_rate, sample_rate / 2 if fmax_hz is None else fmax_hz)
        transform = dsp.dct_matrix(num_coefficients, num_filters)
        if log_energy:
            # The energy is an additional filter, which row 0 of the transform selects: one product and one log10 for
            # all.
            bank = torch.cat([bank, torch.full((1, bank.shape[1]), 1 / n_fft)])
            transform = F.pad(transform, (0, 1))
            transform[0] = F.one_hot(torch.tensor(num_filters))
        self.band_power = dsp.BandPower(torch.hamming_window(win_length), n_fft, hop_length, bank)
        self.register_buffer("transform", transform, persistent=False)

    def extract(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, samples) to cepstra (batch, 1, coefficients, frames)."""
        power: Tensor = self.band_power(dsp.pre_emphasis(waveform, self.pre_emphasis))
        return self.complete(torch.matmul(self.transform, power.add_(self.eps).log10_()))
