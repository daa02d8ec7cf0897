"""Constant-Q transform in torch: power at frequencies that are a fixed ratio apart."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import signal
from torch import Tensor, nn
from torch.nn import functional as F

from dfx.features import dsp

# Shares of half the sample rate of an octave. Wavelets end at the first, the half-band filter passes all up to the
# second and nothing from 2 - the second on: their side lobes in between are below -60 dB.
HIGHEST_WAVELET = 0.7
PASSED = 0.85
ATTENUATION_DB = 100.0  # of the half-band filter: about the rounding of 16-bit samples


def relative_bandwidth(bins_per_octave: int) -> float:
    """Half the distance between the neighbours of a bin, divided by their mean: 1 / Q."""
    ratio = 2 ** (2 / bins_per_octave)
    return (ratio - 1) / (ratio + 1)


class ConstantQPower(nn.Module):
    """Module that computes the power of a constant-Q (or variable-Q) transform.

    A bin is the inner product with a wavelet, a complex tone under a Hann window as long as a fixed number of its
    periods. Frames are centred on multiples of the hop, with zeros beyond both ends: 1 + samples // hop_length of
    them. At 15 Hz and 48 bins an octave a wavelet is 4.6 s long, so in shorter clips the lowest bins see zeros too.

    Low bins are taken from the waveform at a half, a quarter ... of its rate, so that every wavelet has a few hundred
    taps. Of white noise the magnitudes are those of the definition to 1e-4 of their root mean square. Wavelets,
    lengths, scale and padding are those of `librosa.vqt`, which differs from the definition: by 3 %, as it rounds
    lengths to samples, by more next to the ends of a clip, and by up to 80 % in the top bins of each octave but the
    highest, which its resampling attenuates.

    Args:
        sample_rate: of the waveforms, Hz.
        hop_length: samples from one frame to the next; the rate is halved at most as often as it is even.
        num_bins: frequencies, from the lowest.
        bins_per_octave: frequencies in an octave.
        fmin_hz: lowest frequency.
        gamma_hz: added to the bandwidth of each bin, as in `librosa.vqt`; 0 for a constant Q.
        filter_scale: factor of the length of the wavelets.
        scale: white noise has the same power in each bin (as librosa's scale=True); else a tone has a quarter of its
            squared amplitude.

    Source:
        Schoerkhuber & Klapuri, "Constant-Q transform toolbox for music processing", SMC 2010.
    """

    half_band: Tensor

    def __init__(
        self,
        sample_rate: int,
        hop_length: int,
        num_bins: int,
        bins_per_octave: int,
        fmin_hz: float,
        gamma_hz: float = 0.0,
        filter_scale: float = 1.0,
        scale: bool = True,
    ) -> None:
        super().__init__()
        self.hop_length = hop_length
        frequencies = fmin_hz * 2 ** (np.arange(num_bins) / bins_per_octave)
        lengths = filter_scale * sample_rate / (relative_bandwidth(bins_per_octave) * frequencies + gamma_hz)
        highest = frequencies[-1] + 0.75 * sample_rate / lengths[-1]  # -3 dB of a Hann window
        if highest > sample_rate / 2:
            raise ValueError(
                f"A constant-Q transform ends below half the sample rate, got {num_bins} bins from {fmin_hz:g} Hz, "
                f"{bins_per_octave} an octave, up to {highest:.0f} Hz at {sample_rate} Hz: use fewer bins, or raise "
                "sample_rate."
            )
        edges = frequencies + 2 * sample_rate / lengths  # of the main lobe of a Hann window
        halvings = np.floor(np.log2(HIGHEST_WAVELET * sample_rate / 2 / edges)).astype(int)
        halvings = halvings.clip(0, (hop_length & -hop_length).bit_length() - 1)
        self.num_levels = int(halvings.max()) + 1
        taps, beta = signal.kaiserord(ATTENUATION_DB, 1 - PASSED)
        half_band = signal.firwin(taps | 1, 0.5, window=("kaiser", beta))
        # Not in checkpoints: computed from the options.
        self.register_buffer("half_band", torch.from_numpy(half_band).float()[None, None], persistent=False)
        for level in range(self.num_levels):
            chosen = halvings == level
            kernels = _wavelets(frequencies[chosen] * 2**level / sample_rate, lengths[chosen] / 2**level)
            kernels *= np.sqrt(lengths[chosen])[:, None] if scale else 1
            both = torch.from_numpy(np.concatenate([kernels.real, kernels.imag])).float()
            self.register_buffer(f"kernels{level}", both[:, None], persistent=False)

    @property
    def min_samples(self) -> int:
        """Length in samples of the shortest waveform that is taken: a hop."""
        return self.hop_length

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the power (batch, bins, frames) of waveforms (batch, samples)."""
        if waveform.shape[1] < self.hop_length:
            raise ValueError(
                f"A waveform must hold at least one hop of {self.hop_length} samples, got {waveform.shape[1]}: "
                "use longer segments or a shorter hop_length."
            )
        return dsp.in_slices(self._power, waveform)

    def _power(self, waveform: Tensor) -> Tensor:
        frames = 1 + waveform.shape[1] // self.hop_length
        x, first = waveform[:, None], 0  # first: index of the sample at time 0; the filter rings before it
        octaves = []
        for level in range(self.num_levels):
            if level:
                middle = self.half_band.shape[2] // 2
                padding = 2 * middle + (middle + first) % 2
                x, first = F.conv1d(x, self.half_band, stride=2, padding=padding), (padding - middle + first) // 2
            kernels: Tensor = getattr(self, f"kernels{level}")
            if len(kernels):
                padded = F.pad(x, (kernels.shape[2] // 2 - first, kernels.shape[2] // 2))
                parts = F.conv1d(padded, kernels, stride=self.hop_length >> level)[..., :frames]
                real, imaginary = parts.square().chunk(2, dim=1)
                octaves.append(real + imaginary)
        return torch.cat(octaves[::-1], dim=1)


def _wavelets(frequencies: NDArray[np.float64], lengths: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return wavelets (bins, taps) whose absolute values add up to 1, centred on tap `taps // 2`.

    Frequencies are in cycles a sample, lengths in samples.
    """
    half = int(lengths.max(initial=0) / 2) + 1
    time = np.arange(-half, half)
    inside = np.abs(time) < lengths[:, None] / 2
    window = np.where(inside, np.cos(np.pi * time / lengths[:, None]) ** 2, 0)
    wavelets: NDArray[np.complex128] = (
        window / window.sum(axis=1, keepdims=True) * np.exp(2j * np.pi * frequencies[:, None] * time)
    )
    return wavelets
