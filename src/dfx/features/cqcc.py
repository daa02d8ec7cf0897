"""Constant-Q cepstral coefficients (CQCC), as in the GMM baselines of ASVspoof."""

from __future__ import annotations

import numpy as np
import torch
from scipy import fft, interpolate
from torch import Tensor, nn

from dfx.features.cepstra import CepstralFeature
from dfx.features.constant_q import ConstantQPower, relative_bandwidth

ERB_HZ = 228.7  # bandwidths of hearing grow with f + 228.7 Hz (Glasberg & Moore, 1990: 24.7 / 0.108)
WAVELET_SCALE = 2.0  # a Hann window over the band has half the width (-3 dB) of one over this band's time


class CQCC(CepstralFeature):
    """Constant-Q cepstra with deltas (batch, 1, coefficients, frames).

    Log power of a variable-Q transform, resampled from its geometric to a linear grid of frequencies by a cubic spline,
    then the orthonormal DCT-II. The bandwidth of a bin is (2^(1/B) - 2^(-1/B)) (f + 228.7 Hz) for B bins an octave.

    Written from the definition. The baselines' own transform has windows over frequency (Hann, as wide as the band) and
    is computed on the whole clip; here windows are over time (Hann, with the same width at -3 dB), see
    `ConstantQPower`, so values are close to theirs and not equal.

    Args:
        sample_rate: of the waveforms, Hz.
        bins_per_octave: frequencies of the transform in an octave.
        fmin_hz: lowest frequency.
        fmax_hz: highest frequency; None for half the sample rate, where the last bin is the last whose band fits below.
        hop_length: samples from one frame to the next.
        num_coefficients: cepstral coefficients, from number 0.
        first_octave_samples: frequencies of the linear grid in the lowest octave, whose distance the whole grid has.
        eps: power that keeps the logarithm of silence finite.
        deltas, normalize: see `CepstralFeature`.
        mask, cache: see `Feature`.

    Source:
        Todisco, Delgado & Evans, "Constant Q cepstral coefficients: A spoofing countermeasure for automatic speaker
        verification", Computer Speech & Language 45, 2017, section 3.
    """

    transform: Tensor

    def __init__(
        self,
        sample_rate: int,
        bins_per_octave: int = 12,
        fmin_hz: float = 62.5,
        fmax_hz: float | None = 4000.0,
        hop_length: int = 32,
        num_coefficients: int = 20,
        first_octave_samples: int = 16,
        eps: float = 2.0**-52,
        deltas: bool | str = "regression",
        normalize: str | None = None,
        mask: nn.Module | None = None,
        cache: bool = False,
    ) -> None:
        super().__init__(deltas, normalize, mask, cache)
        self.eps = eps
        alpha = relative_bandwidth(bins_per_octave)
        limit = sample_rate / 2 if fmax_hz is None else fmax_hz
        num_bins = int(bins_per_octave * np.log2(limit / fmin_hz) + 1e-6) + 1
        frequencies = fmin_hz * 2 ** (np.arange(num_bins) / bins_per_octave)
        frequencies = frequencies[frequencies + alpha * (frequencies + ERB_HZ) <= sample_rate / 2]
        grid = np.arange(fmin_hz, frequencies[-1] + 1e-6, fmin_hz / first_octave_samples)
        if not 0 < num_coefficients <= len(grid):
            raise ValueError(
                f"CQCC keeps between 1 and {len(grid)} coefficients, got {num_coefficients}: lower num_coefficients."
            )
        self.band_power = ConstantQPower(
            sample_rate,
            hop_length,
            len(frequencies),
            bins_per_octave,
            fmin_hz,
            gamma_hz=alpha * ERB_HZ,
            filter_scale=WAVELET_SCALE,
            scale=False,
        )
        # Spline and DCT are linear, so one matrix does both.
        spline = interpolate.CubicSpline(frequencies, np.eye(len(frequencies)))(grid)
        transform = fft.idct(np.eye(num_coefficients, len(grid)), norm="ortho") @ spline
        self.register_buffer("transform", torch.from_numpy(transform).float(), persistent=False)

    def extract(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, samples) to cepstra (batch, 1, coefficients, frames)."""
        power: Tensor = self.band_power(waveform)
        return self.complete(torch.matmul(self.transform, power.add(self.eps).log()))
