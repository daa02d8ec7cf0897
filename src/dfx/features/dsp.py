"""Batched signal processing in torch: filter banks, band energies, decibels, cepstra, deltas."""

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy import fft
from torch import Tensor, nn
from torch.nn import functional as F

# Samples processed together on a CPU. Beyond a few megabytes of spectrum the caches miss and the allocator returns
# every buffer to the system and faults it in again: a clip in a batch of 64 then costs several times as much.
SLICE_SAMPLES = 2**18
# Filters multiplied together: few enough to skip most of a bank's zeros, enough to make a call worth its cost.
BLOCK_FILTERS = 12


def mel_bank(num_bands: int, n_fft: int, sample_rate: int, fmin_hz: float, fmax_hz: float) -> Tensor:
    """Filter bank (bands, bins) on the mel scale: triangular filters of area 1, as in librosa.

    Raises:
        ValueError: if the band edges are no range below half the sample rate, or a band holds no FFT bin.

    Source:
        Slaney, Auditory Toolbox, 1998: linear below 1 kHz (15 mel), logarithmic above (27 mel for a factor 6.4).
    """

    def mel(hz: float) -> float:
        return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000, 6.4)

    _check_range(fmin_hz, fmax_hz, sample_rate)
    mels = torch.linspace(mel(fmin_hz), mel(fmax_hz), num_bands + 2, dtype=torch.float64)
    edges = torch.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    return (_triangles(edges, bins) * (2 / (edges[2:] - edges[:-2]))[:, None]).float()


def linear_bank(num_filters: int, n_fft: int, sample_rate: int, fmax_hz: float) -> Tensor:
    """Filter bank on a linear frequency scale: triangular filters of height 1 from 0 Hz to `fmax_hz`.

    Its shape is (filters, lowest bins). The bins are the lowest int(fmax / Nyquist * (n_fft // 2 + 1)), taken as evenly
    spaced up to `fmax_hz` itself; below the Nyquist frequency this is wrong by up to one bin, as in the ASVspoof 2021
    baseline.

    Raises:
        ValueError: if `fmax_hz` is not above 0 and at most half the sample rate, or a filter holds no FFT bin.
    """
    _check_range(0, fmax_hz, sample_rate)
    kept = int(fmax_hz / (sample_rate / 2) * (n_fft // 2 + 1))
    edges = torch.linspace(0, fmax_hz, num_filters + 2, dtype=torch.float64)
    return _triangles(edges, torch.linspace(0, fmax_hz, kept, dtype=torch.float64)).float()


def _triangles(edges: Tensor, bins: Tensor) -> Tensor:
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    bank = torch.minimum(rising, falling).clamp(min=0)
    empty = int((~bank.any(dim=1)).sum())
    if empty:
        raise ValueError(
            f"Every filter of a bank must hold an FFT bin, got {empty} of {len(bank)} that hold none of {len(bins)} "
            "bins: use fewer bands or a larger n_fft."
        )
    return bank


def _check_range(fmin_hz: float, fmax_hz: float, sample_rate: int) -> None:
    if not 0 <= fmin_hz < fmax_hz <= sample_rate / 2:
        raise ValueError(
            f"A filter bank spans a range between 0 Hz and half the sample rate, got {fmin_hz:g} to {fmax_hz:g} Hz "
            f"at {sample_rate} Hz: lower the upper edge, or raise sample_rate."
        )


def dct_matrix(num_coefficients: int, size: int) -> Tensor:
    """Matrix (coefficients, size) of the orthonormal DCT-II, which converts log energies to cepstra."""
    matrix = fft.dct(np.eye(size), axis=0, norm="ortho")[:num_coefficients]
    return torch.from_numpy(matrix).float()


def deltas(x: Tensor) -> Tensor:
    """Differences x[t + 1] - x[t - 1] over the last axis, in the same shape; the end values are repeated."""
    return torch.cat([x[..., 1:], x[..., -1:]], -1) - torch.cat([x[..., :1], x[..., :-1]], -1)


def regression_deltas(x: Tensor) -> Tensor:
    """Slope of the line through 5 neighbours over the last axis, in the same shape; the end values are repeated.

    These are the deltas of HTK with a window of 2 and of `torchaudio.functional.compute_deltas` with win_length=5.
    """
    first, last = x[..., :1], x[..., -1:]
    padded = torch.cat([first, first, x, last, last], dim=-1)
    return (padded[..., 3:-1] - padded[..., 1:-3] + 2 * (padded[..., 4:] - padded[..., :-4])) / 10


def with_deltas(cepstra: Tensor, slope: Callable[[Tensor], Tensor] = deltas) -> Tensor:
    """Append first and second deltas to cepstra: (..., coefficients, frames) -> (..., 3 * coefficients, frames)."""
    first = slope(cepstra)
    return torch.cat([cepstra, first, slope(first)], dim=-2)


def pre_emphasis(waveform: Tensor, coefficient: float) -> Tensor:
    """Emphasise high frequencies of waveforms (batch, samples): y[n] = x[n] - coefficient * x[n - 1], y[0] = x[0]."""
    return torch.cat([waveform[:, :1], waveform[:, 1:] - coefficient * waveform[:, :-1]], dim=1)


def power_to_db(power: Tensor, amin: float = 1e-10, top_db: float | None = None) -> Tensor:
    """Convert power (batch, bands, frames) to decibels, at most `top_db` below the maximum of each example."""
    decibel = power.clamp(min=amin).log10_().mul_(10)
    if top_db is None:
        return decibel
    return torch.maximum(decibel, decibel.amax(dim=(1, 2), keepdim=True) - top_db)


def scale_to_peak(x: Tensor, floor: float = 1e-10) -> Tensor:
    """Divide non-negative maps (batch, bins, frames) by the maximum of each frame; maxima below `floor` count as it."""
    return x / x.amax(dim=1, keepdim=True).clamp(min=floor)


def in_slices(function: Callable[[Tensor], Tensor], waveform: Tensor) -> Tensor:
    """Call a function of waveforms (batch, samples), on a CPU with `SLICE_SAMPLES` at a time, and join its results."""
    if not waveform.is_cpu or torch.compiler.is_compiling():
        return function(waveform)
    size = max(1, SLICE_SAMPLES // waveform.shape[1])
    if len(waveform) <= size:
        return function(waveform)
    return torch.cat([function(part) for part in torch.split(waveform, size)])


class BandPower(nn.Module):
    """Module that computes filter-bank energies from the power spectra of overlapping frames.

    Frames are centred on multiples of the hop, with zeros beyond both ends: 1 + samples // hop_length of them.

    Args:
        window: analysis window, put in the middle of a frame; not longer than one.
        n_fft: samples of a frame.
        hop_length: samples from one frame to the next.
        bank: non-negative weights of the lowest FFT bins (filters, at most n_fft // 2 + 1); None for the power of each
            bin.
    """

    window: Tensor

    def __init__(self, window: Tensor, n_fft: int, hop_length: int, bank: Tensor | None) -> None:
        super().__init__()
        if len(window) > n_fft:
            raise ValueError(
                f"A window must fit into a frame, got win_length={len(window)} with n_fft={n_fft}: "
                "lower win_length or raise n_fft."
            )
        self.n_fft = n_fft
        self.hop_length = hop_length
        # Not in checkpoints: computed from the options.
        self.register_buffer("window", window, persistent=False)
        self.ranges: list[tuple[int, int]] = []
        for i, block in enumerate([] if bank is None else torch.split(bank, BLOCK_FILTERS)):
            used = block.any(dim=0).nonzero()
            start, stop = int(used[0]), int(used[-1]) + 1
            self.ranges.append((2 * start, 2 * stop))
            # Each weight twice, for the squared real and imaginary part, which the matrix product adds up.
            weights = block[:, start:stop].repeat_interleave(2, dim=1)
            self.register_buffer(f"block{i}", weights, persistent=False)

    @property
    def min_samples(self) -> int:
        """Length in samples of the shortest waveform that gives a frame: the FFT size."""
        return self.n_fft

    @property
    def bank(self) -> Tensor:
        """Weights of all FFT bins (filters, n_fft // 2 + 1)."""
        if not self.ranges:
            return torch.eye(self.n_fft // 2 + 1, device=self.window.device)
        rows = []
        for i, (start, stop) in enumerate(self.ranges):
            weights: Tensor = getattr(self, f"block{i}")[:, ::2]
            rows.append(F.pad(weights, (start // 2, self.n_fft // 2 + 1 - stop // 2)))
        return torch.cat(rows)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the energies (batch, filters, frames) of waveforms (batch, samples); at least one frame."""
        if waveform.shape[1] < self.n_fft:
            raise ValueError(
                f"A waveform must hold at least one frame of n_fft={self.n_fft} samples, got {waveform.shape[1]}: "
                "use longer segments or a smaller n_fft."
            )
        return in_slices(self._energies, waveform)

    def _energies(self, waveform: Tensor) -> Tensor:
        spectrum = torch.stft(
            waveform,
            self.n_fft,
            self.hop_length,
            len(self.window),
            self.window,
            pad_mode="constant",
            return_complex=True,
        )
        if not self.ranges:
            parts = torch.view_as_real(spectrum).square_()
            return parts[..., 0] + parts[..., 1]
        # (batch, 2 * bins, frames): squared real and imaginary parts in turn. stft lays the bins of a frame side by
        # side in memory, so neither the transposition nor the square, in place, moves anything.
        squares = torch.view_as_real(spectrum.transpose(1, 2)).square_().flatten(2).transpose(1, 2)
        energies = []
        for i, (start, stop) in enumerate(self.ranges):
            weights: Tensor = getattr(self, f"block{i}")
            energies.append(torch.bmm(weights.expand(waveform.shape[0], -1, -1), squares[:, start:stop]))
        return torch.cat(energies, dim=1)


class MatrixBandPower(nn.Module):
    """Module with the output of a `BandPower`, computed by matrix products instead of an FFT.

    In ONNX Runtime this takes less than half the time of its STFT operator (`benchmarks/onnx_front_end.py`). Of the
    spectrum only bins with a weight are computed. A windowed frame is folded at its middle: the cosines of a bin are
    even there and the sines odd, so each takes the sum or the difference of two samples, and half as many products.
    """

    window: Tensor
    cosines: Tensor
    sines: Tensor
    weights: Tensor

    def __init__(self, of: BandPower) -> None:
        super().__init__()
        self.hop_length, self.n_fft = of.hop_length, of.n_fft
        used = of.bank.any(dim=0).nonzero()
        start, stop = int(used[0]), int(used[-1]) + 1
        size = len(of.window)
        # Distance of a sample from the middle; sample 0 has no mirror image, nor has the one in the middle.
        distance = torch.arange((size + 1) // 2, dtype=torch.float64) - size / 2
        angles = 2 * math.pi / of.n_fft * distance[:, None] * torch.arange(start, stop)
        middle = torch.ones(1 - size % 2, stop - start)
        self.first_sample = of.n_fft // 2 - (of.n_fft - size) // 2  # before the centre of a frame
        self.register_buffer("window", of.window, persistent=False)
        self.register_buffer("cosines", torch.cat([angles.cos().float(), middle]), persistent=False)
        self.register_buffer("sines", angles.sin().float(), persistent=False)
        self.register_buffer("weights", of.bank[:, start:stop].T.contiguous(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the energies (batch, filters, frames) of waveforms (batch, samples)."""
        frames = self._frames(waveform) * self.window
        size, half = len(self.window), len(self.sines)
        first, left, right = frames[..., :1], frames[..., 1:half], frames[..., size - half + 1 :].flip(-1)
        middle = frames[..., half : size - half + 1]
        even = torch.cat([first, left + right, middle], dim=-1) @ self.cosines
        odd = torch.cat([first, left - right], dim=-1) @ self.sines
        return ((even.square() + odd.square()) @ self.weights).transpose(1, 2)

    def _frames(self, waveform: Tensor) -> Tensor:
        """Return the overlapping frames (batch, frames, window) of waveforms, put together from pieces of a hop."""
        hop, size = self.hop_length, len(self.window)
        count = 1 + waveform.shape[1] // hop
        overlap = -(-size // hop)
        padded = F.pad(waveform, (self.first_sample, overlap * hop))[:, : (count + overlap - 1) * hop]
        pieces = padded.reshape(-1, count + overlap - 1, hop)
        return torch.cat([pieces[:, shift : shift + count] for shift in range(overlap)], dim=-1)[..., :size]
