"""Wavelet scattering of the waveform (Kymatio's Scattering1D)."""

from __future__ import annotations

import copy
import functools

from torch import Tensor, nn

from dfx.features.chunks import ChunkedFeature
from dfx.features.scattering import without_saved_filters


class Scattering1D(ChunkedFeature):
    """Log of the scattering coefficients of each chunk of the waveform (batch, 1, coefficients, frames of all chunks).

    The values are log(abs(coefficient) + eps). Rows are in Kymatio's order: the mean, first order, second order.

    Args:
        sample_rate: of the waveforms, Hz.
        chunk_seconds: length of a chunk; its map has a frame for every 2^num_scales samples, the last may be a part.
        num_scales: octaves of the wavelets (Kymatio's J).
        wavelets_per_octave: of the first order (Kymatio's Q).
        eps: keeps the logarithm of silence finite.
        mask, cache: see `Feature`; `ChunkedFeature` says when maps may be stored.

    Source:
        Anden & Mallat, "Deep scattering spectrum", IEEE Transactions on Signal Processing 62(16), 2014.
    """

    def __init__(
        self,
        sample_rate: int,
        chunk_seconds: float = 4.0,
        num_scales: int = 8,
        wavelets_per_octave: int = 8,
        eps: float = 1e-6,
        mask: nn.Module | None = None,
        cache: bool = False,
    ) -> None:
        samples = round(chunk_seconds * sample_rate)
        super().__init__(sample_rate, chunk_seconds, -(-samples // 2**num_scales), mask, cache)
        self.eps = eps
        self.scattering = copy.deepcopy(_scattering(num_scales, wavelets_per_octave, samples))

    def extract_chunks(self, chunks: Tensor) -> Tensor:
        """Convert chunks (batch, samples) to log scattering coefficients (batch, 1, coefficients, frames)."""
        coefficients: Tensor = self.scattering(chunks.contiguous())
        return coefficients.abs().add(self.eps).log()[:, None]


@functools.lru_cache(maxsize=2)
def _scattering(num_scales: int, wavelets_per_octave: int, samples: int) -> nn.Module:
    # The package's own `kymatio.torch` fails to import with SciPy from 1.15 on; this submodule does not.
    from kymatio.scattering1d.frontend.torch_frontend import ScatteringTorch1D

    return without_saved_filters(ScatteringTorch1D(J=num_scales, Q=wavelets_per_octave, shape=(samples,)))
