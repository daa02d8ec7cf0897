"""Wavelet scattering of the waveform, as Kymatio's Scattering1D computes it."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from scipy import fft
from torch import Tensor, nn
from torch.nn import functional as F

from dfx.features.chunks import ChunkedFeature
from dfx.features.scattering import REACH


class Scattering1D(ChunkedFeature):
    """Log of the scattering coefficients of each chunk of the waveform (batch, 1, coefficients, frames of all chunks).

    The values are log(abs(coefficient) + eps). Rows are in Kymatio's order: the mean, first order, second order.

    Args:
        sample_rate: of the waveforms, Hz.
        chunk_seconds: length of a chunk; its map has a frame every 2^num_scales samples, one of them in the middle.
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
        scattering = WaveformScattering(num_scales, wavelets_per_octave, round(chunk_seconds * sample_rate))
        super().__init__(sample_rate, chunk_seconds, scattering.frames, mask, cache)
        self.eps = eps
        self.scattering = scattering

    def extract_chunks(self, chunks: Tensor) -> Tensor:
        """Convert chunks (batch, samples) to log scattering coefficients (batch, 1, coefficients, frames)."""
        coefficients: Tensor = self.scattering(chunks)
        return coefficients.abs().add(self.eps).log()[:, None]


class Wavelet(NamedTuple):
    """Morlet wavelet: a Gaussian around a frequency, less one around 0; both in cycles for each sample.

    Attributes:
        centre, deviation: of the Gaussian.
        octave: its transform is sampled at the rate divided by 2^octave.
    """

    centre: float
    deviation: float
    octave: int


class WaveformScattering(nn.Module):
    """Module that computes the scattering coefficients of waveforms of one length, up to the second order.

    An order is the modulus of wavelet transforms of the order before, and a coefficient its local mean under a Gaussian
    window, every 2^num_scales samples. Wavelets are products with a part of a spectrum: that where they are not 0 to
    float32, folded to the rate of the wavelet. Wavelets, window and their scale are those of Kymatio's Scattering1D;
    the padding, a reflection, is as long as they need and not a power of two.

    Args:
        num_scales: octaves of the wavelets.
        wavelets_per_octave: of the first order; the second has one.
        samples: of a waveform.
    """

    def __init__(self, num_scales: int, wavelets_per_octave: int, samples: int) -> None:
        super().__init__()
        step = 2**num_scales
        # A frame is in the middle, sample `half`, and every step on both sides of it.
        half = -(-samples // 2)
        self.frames = half // step + -(-(samples - half) // step)
        # Two wavelets and a window reach 9 steps each, and a half. A reflection is shorter than what it reflects.
        blocks = 2 * min(fft.next_fast_len(-(-(self.frames + 56) // 2)), max((3 * samples - 2) // (2 * step), 1))
        self.padded = max(blocks * step, samples)
        self.left = (self.padded - samples) // 2
        self.step = step
        self.first = wavelet_bank(num_scales, wavelets_per_octave)
        self.second = wavelet_bank(num_scales, 1)
        self.starts: dict[str, int] = {}
        for name, (start, tensor) in _tables(num_scales, wavelets_per_octave, self.padded).items():
            self.starts[name] = start
            self.register_buffer(name, tensor, persistent=False)  # not in checkpoints: computed from the options

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the coefficients (batch, coefficients, frames) of waveforms (batch, samples)."""
        right = self.padded - waveform.shape[1] - self.left
        padded = F.pad(waveform[:, None], (self.left, right), mode="reflect")
        spectrum = torch.fft.fft(padded)
        orders, second = [self._local_mean(padded, 0)], []
        for octave in sorted({wavelet.octave for wavelet in self.first}):
            chosen = [number for number, wavelet in enumerate(self.first) if wavelet.octave == octave]
            moduli = torch.cat([self._modulus(spectrum, f"first{i}", octave) for i in chosen], dim=1)
            orders.append(self._local_mean(moduli, octave))
            higher = [(number, wavelet.octave) for number, wavelet in enumerate(self.second) if wavelet.octave > octave]
            if higher:
                spectra = torch.fft.fft(moduli)
                means = [
                    self._local_mean(self._modulus(spectra, f"second{i}_{octave}", next_octave), next_octave)
                    for i, next_octave in higher
                ]
                second.append(torch.stack(means, dim=2).flatten(1, 2))
        return torch.cat([*orders, *second], dim=1)

    def _modulus(self, spectrum: Tensor, name: str, octave: int) -> Tensor:
        """Return the modulus (..., samples) of a wavelet transform at the rate of an octave."""
        wavelet: Tensor = getattr(self, name)
        start, stop = self.starts[name], self.starts[name] + wavelet[..., 0].numel()
        part = spectrum[..., start:stop]
        if stop > spectrum.shape[-1]:
            part = torch.cat([part, spectrum[..., : stop - spectrum.shape[-1]]], dim=-1)
        # Real and imaginary parts in turn: real products are faster than complex ones.
        pairs = torch.view_as_real(part).reshape(*part.shape[:-1], -1, self.padded >> octave, 2)
        folded = pairs[..., 0, :, :] * wavelet[0]
        for block in range(1, len(wavelet)):
            folded = folded.addcmul_(pairs[..., block, :, :], wavelet[block])
        # The first frequency is not 0: that changes the phase only.
        modulus: Tensor = torch.fft.ifft(torch.view_as_complex(folded)).abs()
        return modulus

    def _local_mean(self, x: Tensor, octave: int) -> Tensor:
        """Return the mean (batch, rows, frames) of x (batch, rows, samples) under the window, once in a step."""
        window: Tensor = getattr(self, f"window{octave}")
        blocks = x.reshape(*x.shape[:2], -1, self.step >> octave)
        reach = window.shape[1] // 2
        first = -(-self.left // self.step) - reach
        wanted = torch.arange(first, first + self.frames + 2 * reach, device=x.device) % blocks.shape[2]
        products = blocks[:, :, wanted] @ window  # of each block with each part of the window
        parts = [products[:, :, i : i + self.frames, i] for i in range(window.shape[1])]
        return torch.stack(parts).sum(dim=0)


def wavelet_bank(num_scales: int, per_octave: int) -> list[Wavelet]:
    """Return the wavelets of a bank, from the highest: a constant Q, then a constant bandwidth of the window's."""
    lowest = 0.1 / 2**num_scales
    factor = 2 ** (-1 / per_octave)
    centre = max(1 / (1 + factor**-3), 0.35)
    quality = (1 - factor) / (1 + factor) / math.sqrt(math.log(2))  # neighbours meet at -3 dB
    pairs = [(centre, centre * quality)]
    while pairs[-1][1] > lowest / factor:
        pairs.append((pairs[-1][0] * factor, pairs[-1][1] * factor))
    last = pairs[-1][0]
    pairs += [(last * (1 - i / per_octave), lowest) for i in range(1, per_octave)]
    return [Wavelet(xi, sigma, math.floor(-math.log2(min(xi + 5 * sigma, 0.5))) - 1) for xi, sigma in pairs]


@functools.lru_cache(maxsize=2)
def _tables(num_scales: int, wavelets_per_octave: int, padded: int) -> dict[str, tuple[int, Tensor]]:
    """Compute the parts of the spectra of wavelets that are not 0, with the index of their start, and the windows."""
    first, second = wavelet_bank(num_scales, wavelets_per_octave), wavelet_bank(num_scales, 1)
    tables = {}
    for number, wavelet in enumerate(first):
        tables[f"first{number}"] = _part(_spectrum(wavelet, padded), wavelet.octave)
    for number, wavelet in enumerate(second):
        spectrum = _spectrum(wavelet, padded)
        for octave in {before.octave for before in first if before.octave < wavelet.octave}:
            sampled = spectrum.reshape(2**octave, -1).mean(dim=0)
            tables[f"second{number}_{octave}"] = _part(sampled, wavelet.octave - octave)
    deviation = 2**num_scales / (0.2 * math.pi)  # of the window, in samples
    for octave in sorted({0} | {wavelet.octave for wavelet in first + second}):
        step = 2 ** (num_scales - octave)
        reach = math.ceil(REACH / (0.2 * math.pi))
        times = (torch.arange(-reach, reach + 1, dtype=torch.float64)[:, None] * step + torch.arange(step)) * 2**octave
        window = torch.exp(-((times / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))
        tables[f"window{octave}"] = (0, window.T.float().contiguous())
    return tables


def _spectrum(wavelet: Wavelet, size: int) -> Tensor:
    """Return the spectrum of a wavelet (size,), scaled for absolute values in time that add up to 1."""
    frequencies = torch.arange(size, dtype=torch.float64) / size
    periods = max(0, math.ceil(REACH * wavelet.deviation - 0.5))  # that it reaches into on each side

    def gaussian(centre: float) -> Tensor:
        distance = (frequencies - centre + 0.5) % 1 - 0.5
        shifted = torch.arange(-periods, periods + 1)[:, None] + distance
        return torch.exp(-((shifted / wavelet.deviation) ** 2) / 2).sum(dim=0)

    spectrum = gaussian(wavelet.centre)
    if wavelet.centre > 6.5 * wavelet.deviation:  # the Gaussian around 0 is 0 to float32, and the scale 1
        return spectrum
    around_zero = gaussian(0.0)
    spectrum -= spectrum[0] / around_zero[0] * around_zero
    wave: Tensor = torch.fft.ifft(spectrum)
    return spectrum / wave.abs().sum()


def _part(spectrum: Tensor, halvings: int) -> tuple[int, Tensor]:
    """Return start and values of the part of a spectrum that is not 0, in whole lengths of the lower rate."""
    size, folded = len(spectrum), len(spectrum) >> halvings
    peak = int(spectrum.argmax())
    used = (spectrum.roll(size // 2 - peak).abs() > 1e-8 * spectrum.max()).nonzero()
    count = min(-(-int(used[-1] + 1 - used[0]) // folded) * folded, size)
    start = (int(used[0]) + peak - size // 2) % size
    part = spectrum.roll(-start)[:count] * (folded / size)
    part = part.where(part.abs() > 1e-8 * part.max(), 0.0)  # else denormal numbers, which are slow
    return start, part.float().reshape(-1, folded, 1).repeat(1, 1, 2)
