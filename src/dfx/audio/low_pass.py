"""A low-pass that filters any slice of a clip as it filters the whole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

STOPBAND_DB = 80.5  # of the design, 80 as measured; what is left is below the rounding of most recordings
TRANSITION = 1 / 80  # of the sample rate: 200 Hz at 16 kHz, 407 taps
N_FFT = 2048  # the fastest for these taps: 0.2 ms for 4 s
PIECE_BLOCKS = 512  # filtered at once, about 50 s: bounds the memory that a clip of hours takes

Waveform = NDArray[np.float32]
Read = Callable[[int, int], Waveform]  # (start, num_samples) -> samples of a clip


class LowPass:
    """Linear-phase low-pass without delay; a clip has zeros before and after it.

    The response is computed on blocks of a grid that is fixed to the clip, so every slice of a filtered clip is made
    by the same arithmetic as the whole.

    Args:
        bandwidth_hz: where the stopband begins; the transition ends here, so nothing above is left.
        sample_rate: in Hz.
    """

    def __init__(self, bandwidth_hz: float, sample_rate: float) -> None:
        width = TRANSITION * sample_rate
        num_taps, beta = scipy.signal.kaiserord(STOPBAND_DB, width / (sample_rate / 2))
        num_taps |= 1  # odd: the delay is a whole number of samples
        taps = scipy.signal.firwin(
            num_taps, bandwidth_hz - width / 2, window=("kaiser", beta), fs=sample_rate
        )
        self.margin = num_taps // 2
        self.block = N_FFT - 2 * self.margin
        centred = np.roll(np.pad(taps, (0, N_FFT - num_taps)), -self.margin)
        # Symmetric about 0, hence real: one factor for the real and the imaginary part of each bin.
        self._response = scipy.fft.rfft(centred).real.astype(np.float32).repeat(2)

    def read(self, read: Read, length: int, start: int, stop: int) -> Waveform:
        """Samples `start` to `stop` of the filtered clip of `length` samples."""
        filtered = np.empty(stop - start, np.float32)
        last = -(-stop // self.block)
        for block in range(start // self.block, last, PIECE_BLOCKS):
            piece = self._blocks(read, length, block, min(block + PIECE_BLOCKS, last))
            begin = block * self.block
            low, high = max(start, begin), min(stop, begin + len(piece))
            filtered[low - start : high - start] = piece[low - begin : high - begin]
        return filtered

    def _blocks(self, read: Read, length: int, first: int, last: int) -> Waveform:
        begin, end = first * self.block - self.margin, last * self.block + self.margin
        inside = read(max(begin, 0), min(end, length) - max(begin, 0))
        padded = np.zeros(end - begin, np.float32)
        padded[max(-begin, 0) :][: len(inside)] = inside
        blocks = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[:: self.block]
        spectrum: NDArray[np.complex64] = scipy.fft.rfft(blocks)
        parts = spectrum.view(np.float32)
        parts *= self._response
        filtered: Waveform = scipy.fft.irfft(spectrum, N_FFT, overwrite_x=True)
        return filtered[:, self.margin : self.margin + self.block].reshape(-1)
