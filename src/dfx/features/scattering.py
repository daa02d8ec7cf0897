"""Wavelet scattering of log-Mel images (Kymatio's Scattering2D)."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from dfx.features.chunks import ChunkedFeature
from dfx.features.logmel_image import LogMelImage


class Scattering(ChunkedFeature):
    """Two-dimensional scattering of the log-Mel image of each chunk (batch, coefficients, rows, columns of all chunks).

    The coefficients are the channels: 1 + J L + J (J - 1) / 2 L^2 for J scales and L angles, 417 for 4 and 8. The image
    of 256 x 256 becomes 16 x 16. The filters take 10 to 20 s to compute, once in a process.

    Args:
        sample_rate: of the waveforms, Hz.
        chunk_seconds: length of a chunk; its map has size[1] / 2^num_scales frames.
        num_scales: octaves of the wavelets (Kymatio's J).
        num_angles: directions of the wavelets (Kymatio's L).
        n_fft and the rest: of the image, see `LogMelImage`.
        mask, cache: see `Feature`; `ChunkedFeature` says when maps may be stored.

    Source:
        Bruna & Mallat, "Invariant scattering convolution networks", IEEE TPAMI 35(8), 2013.
    """

    def __init__(
        self,
        sample_rate: int,
        chunk_seconds: float = 3.0,
        num_scales: int = 4,
        num_angles: int = 8,
        n_fft: int = 2048,
        win_length: int = 2048,
        hop_length: int = 512,
        num_bands: int = 128,
        pre_emphasis: float = 0.97,
        size: Sequence[int] = (256, 256),
        eps: float = 1e-10,
        top_db: float | None = 80.0,
        mask: nn.Module | None = None,
        cache: bool = False,
    ) -> None:
        height, width = size
        if height % 2**num_scales or width % 2**num_scales:
            raise ValueError(
                f"An image for scattering has sides that are multiples of 2^{num_scales}, got size=[{height}, {width}] "
                f"with num_scales={num_scales}: change one of them."
            )
        super().__init__(sample_rate, chunk_seconds, width // 2**num_scales, mask, cache)
        self.image = LogMelImage(
            sample_rate, n_fft, win_length, hop_length, num_bands, pre_emphasis, (height, width), eps, top_db
        )
        self.scattering = copy.deepcopy(_scattering(num_scales, num_angles, height, width))

    def extract_chunks(self, chunks: Tensor) -> Tensor:
        """Convert chunks (batch, samples) to scattering coefficients (batch, coefficients, rows, columns)."""
        coefficients: Tensor = self.scattering(self.image.extract(chunks)[:, 0].contiguous())
        return coefficients


def without_saved_filters(scattering: Any) -> nn.Module:
    """Return a scattering module of Kymatio whose filters are not in checkpoints: they follow from the options."""
    module: nn.Module = scattering
    for name, tensor in list(module.named_buffers()):
        module.register_buffer(name, tensor, persistent=False)
    return module


@functools.lru_cache(maxsize=2)
def _scattering(num_scales: int, num_angles: int, height: int, width: int) -> nn.Module:
    # The package's own `kymatio.torch` fails to import with SciPy from 1.15 on; this submodule does not.
    from kymatio.scattering2d.frontend.torch_frontend import ScatteringTorch2D

    return without_saved_filters(ScatteringTorch2D(J=num_scales, L=num_angles, shape=(height, width)))
