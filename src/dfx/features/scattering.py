"""Wavelet scattering of log-Mel images, as Kymatio's Scattering2D computes it."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfx.features.chunks import ChunkedFeature
from dfx.features.logmel_image import LogMelImage

REACH = 5.65  # deviations beyond which a Gaussian is below 1e-7 of its maximum, the rounding of float32
HEIGHT = math.pi / 3.1415  # of Kymatio's Gaussians in frequency, for its value of pi


class Scattering(ChunkedFeature):
    """Two-dimensional scattering of the log-Mel image of each chunk (batch, coefficients, rows, columns of all chunks).

    The coefficients are the channels: 1 + J L + J (J - 1) / 2 L^2 for J scales and L angles, 417 for 4 and 8. The image
    of 256 x 256 becomes 16 x 16.

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
        step = 2**num_scales
        if height % step or width % step or min(height, width) <= step:
            raise ValueError(
                f"An image for scattering has sides that are multiples of 2^{num_scales} and larger, got "
                f"size=[{height}, {width}] with num_scales={num_scales}: change one of them."
            )
        super().__init__(sample_rate, chunk_seconds, width // step, mask, cache)
        self.image = LogMelImage(
            sample_rate, n_fft, win_length, hop_length, num_bands, pre_emphasis, (height, width), eps, top_db
        )
        self.scattering = ImageScattering(num_scales, num_angles, height, width)

    def extract_chunks(self, chunks: Tensor) -> Tensor:
        """Convert chunks (batch, samples) to scattering coefficients (batch, coefficients, rows, columns)."""
        coefficients: Tensor = self.scattering(self.image.extract(chunks)[:, 0])
        return coefficients


class ImageScattering(nn.Module):
    """Module that computes the scattering coefficients of images, up to the second order.

    An order is the modulus of wavelet transforms of the order before, and a coefficient its local mean under a Gaussian
    window, every 2^num_scales pixels. Wavelets are products with a spectrum. Frequencies where a wavelet is 0 to
    float32 are left out, and the others are folded to the rate of its scale before the transform back. The window is
    separable, so local means are two matrix products. Wavelets, window and padding are those of Kymatio's Scattering2D.

    Args:
        num_scales, num_angles: of the wavelets.
        height, width: of the images, multiples of 2^num_scales and larger.
    """

    def __init__(self, num_scales: int, num_angles: int, height: int, width: int) -> None:
        super().__init__()
        self.num_scales, self.num_angles = num_scales, num_angles
        for name, tensor in _tables(num_scales, num_angles, height, width).items():
            self.register_buffer(name, tensor, persistent=False)  # not in checkpoints: computed from the options

    def forward(self, images: Tensor) -> Tensor:
        """Return the coefficients (batch, coefficients, rows, columns) of images (batch, height, width)."""
        pad = 2**self.num_scales
        padded = F.pad(images[:, None], (pad, pad, pad, pad), mode="reflect")
        orders = [self._local_mean(padded, 0)]
        second = []
        spectrum = _spectrum(padded[:, 0])
        for scale in range(self.num_scales):
            moduli = self._moduli(spectrum, 0, scale)
            orders.append(self._local_mean(moduli, scale))
            if scale < self.num_scales - 1:
                spectra = _spectrum(moduli)
                means = [
                    self._local_mean(self._moduli(spectra, scale, next_scale), next_scale)
                    for next_scale in range(scale + 1, self.num_scales)
                ]
                second.append(torch.cat(means, dim=2).flatten(1, 2))
        return torch.cat([*orders, *second], dim=1)

    def _moduli(self, spectrum: Tensor, scale: int, next_scale: int) -> Tensor:
        """Return moduli (..., angles, rows, columns) at the rate of a scale, of a spectrum (..., rows, columns)."""
        wavelets: Tensor = getattr(self, f"wavelets{scale}_{next_scale}")
        rows, columns = (size >> (next_scale - scale) for size in spectrum.shape[-2:])
        columns *= 2  # real and imaginary parts in turn, as in the weights: real products are faster than complex ones
        crop = torch.view_as_real(_middle(spectrum, wavelets.shape[-2], wavelets.shape[-1] // 2)).flatten(-2)
        moduli = []
        for wavelet in wavelets:
            folded = torch.zeros_like(crop[..., :rows, :columns])
            for top in range(0, crop.shape[-2], rows):
                for left in range(0, crop.shape[-1], columns):
                    at = (..., slice(top, top + rows), slice(left, left + columns))
                    folded = folded.addcmul_(crop[at], wavelet[at])
            # The lowest frequency comes first instead of 0: that changes the phase only.
            moduli.append(torch.fft.ifft2(torch.view_as_complex(folded.reshape(*folded.shape[:-1], -1, 2))).abs())
        return torch.stack(moduli, dim=-3)

    def _local_mean(self, x: Tensor, scale: int) -> Tensor:
        rows: Tensor = getattr(self, f"rows{scale}")
        columns: Tensor = getattr(self, f"columns{scale}")
        means: Tensor = rows @ x @ columns
        return means


def _spectrum(x: Tensor) -> Tensor:
    """Return the Fourier transform of the last two axes, its lowest frequency first."""
    spectrum: Tensor = torch.fft.fftshift(torch.fft.fft2(x), dim=(-2, -1))
    return spectrum


def _middle(x: Tensor, rows: int, columns: int) -> Tensor:
    top, left = (x.shape[-2] - rows) // 2, (x.shape[-1] - columns) // 2
    return x[..., top : top + rows, left : left + columns]


@functools.lru_cache(maxsize=2)
def _tables(num_scales: int, num_angles: int, height: int, width: int) -> dict[str, Tensor]:
    """Compute the spectra of the wavelets and the matrices of the local means."""
    rows, columns = (size + 2 * 2**num_scales for size in (height, width))
    tables = {}
    for next_scale in range(num_scales):
        wavelets = _wavelet_spectra(next_scale, num_angles, rows, columns)
        wavelets = wavelets.where(wavelets.abs() > 1e-8, 0.0)  # else denormal numbers, which are slow
        periods = 1 + 2 * _half_periods(0, num_angles)
        for scale in range(max(next_scale, 1)):
            # Kymatio cuts the spectrum of a wavelet to that of its input, whose rate is lower.
            kept = [min(size >> scale, periods * (size >> next_scale)) for size in (rows, columns)]
            kept_wavelets = _middle(wavelets, *kept) / 4 ** (next_scale - scale)
            tables[f"wavelets{scale}_{next_scale}"] = kept_wavelets.repeat_interleave(2, dim=2)
    for scale in range(num_scales):
        tables[f"rows{scale}"] = _local_mean_matrix(num_scales, scale, rows)
        tables[f"columns{scale}"] = _local_mean_matrix(num_scales, scale, columns).T.contiguous()
    return tables


def _half_periods(scale: int, num_angles: int) -> int:
    """Return the periods of the sampled spectrum, on each side, that a wavelet reaches into."""
    reach = (0.75 * math.pi + REACH * max(1, 4 / num_angles) / 0.8) / (1 << scale)
    return max(0, math.ceil(reach / (2 * math.pi) - 0.5))


def _frequencies(size: int) -> Tensor:
    return (torch.arange(size) - size // 2) * (2 * math.pi / size)


def _wavelet_spectra(scale: int, num_angles: int, rows: int, columns: int) -> Tensor:
    """Return the spectra (angles, rows, columns) of the Morlet wavelets of a scale, lowest frequency first.

    A wavelet is a Gaussian along and across its direction, minus one around 0 that makes its mean 0.
    """
    deviation, centre, slant = 0.8 * 2**scale, 0.75 * math.pi / 2**scale, 4 / num_angles
    periods = _half_periods(scale, num_angles)
    shifts = [2 * math.pi * shift for shift in range(-periods, periods + 1)]
    angles = (int(num_angles / 2 - 1) - torch.arange(num_angles)) * math.pi / num_angles
    cos, sin = angles.cos()[:, None, None], angles.sin()[:, None, None]
    tones = torch.zeros(num_angles, rows, columns)
    bumps = torch.zeros_like(tones)
    for down in shifts:
        for right in shifts:
            vertical, horizontal = _frequencies(rows)[:, None] + down, _frequencies(columns) + right
            along, across = vertical * cos + horizontal * sin, (horizontal * cos - vertical * sin) / slant
            tones += torch.exp(-(deviation**2) / 2 * ((along - centre) ** 2 + across**2))
            bumps += torch.exp(-(deviation**2) / 2 * (along**2 + across**2))
    zero = (slice(None), slice(rows // 2, rows // 2 + 1), slice(columns // 2, columns // 2 + 1))
    return HEIGHT * (tones - tones[zero] / bumps[zero] * bumps)


def _local_mean_matrix(num_scales: int, scale: int, size: int) -> Tensor:
    """Return the matrix (coefficients, size >> scale) of local means along an axis of `size` padded pixels."""
    count, step = size >> scale, 2 ** (num_scales - scale)
    frequencies = _frequencies(size)[(size - count) // 2 :][:count]
    shifts = 2 * math.pi * torch.tensor([[-1], [0], [1]])  # of the periods that the window reaches into
    window = torch.exp(-((0.8 * 2 ** (num_scales - 1) * (frequencies + shifts)) ** 2) / 2).sum(dim=0)
    times = torch.arange(1, size // 2**num_scales - 1) * step  # the padding of 2^num_scales has no coefficients
    distance = times[:, None] - torch.arange(count)
    harmonics = torch.arange(count, dtype=torch.float64) - count // 2
    waves = torch.cos(2 * math.pi / count * harmonics * distance[..., None])
    return (math.sqrt(HEIGHT) / count * (waves @ window.double())).float()
