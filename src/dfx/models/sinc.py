"""Fixed bank of sinc filters on the mel scale, the first layer of RawNet2 and AASIST."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SincBank(nn.Module):
    """Fixed band-pass filters whose bands divide the mel scale from 0 Hz to half the sample rate; nothing is learned.

    Each filter is the difference of two ideal low-pass filters, cut by a Hamming window.

    Source: Ravanelli and Bengio, "Speaker recognition from raw waveform with SincNet", 2018, equations 4-6; bands and
    window of Tak et al., "End-to-end anti-spoofing with RawNet2", 2021, section 3.1.

    Args:
        filters: number of filters.
        taps: length of each in samples, an odd number.
        sample_rate: of the waveforms in Hz.
    """

    bank: Tensor

    def __init__(self, filters: int, taps: int, sample_rate: int) -> None:
        super().__init__()
        edges_hz = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + sample_rate / 2 / 700), filters + 1) / 2595) - 1)
        width = 2 * edges_hz[:, None] / sample_rate
        low_pass = width * np.sinc(width * np.arange(-(taps // 2), taps // 2 + 1))
        bank = np.hamming(taps) * np.diff(low_pass, axis=0)
        self.register_buffer("bank", torch.tensor(bank[:, None], dtype=torch.float32), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, 1, samples) to bands (batch, filters, samples - taps + 1)."""
        return F.conv1d(waveform, self.bank)
