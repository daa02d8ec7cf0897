"""Log-power constant-Q transform (CQT)."""

from __future__ import annotations

from torch import Tensor, nn

from dfx.features import dsp
from dfx.features.base import FilterBankFeature
from dfx.features.constant_q import ConstantQPower


class CQT(FilterBankFeature):
    """Log power of a constant-Q transform (batch, 1, bins, frames): log(power + eps), lowest frequency first.

    The transform is that of `librosa.cqt` with tuning=0; see `ConstantQPower` for its ends and its scale.

    Args:
        sample_rate: of the waveforms, Hz.
        num_bins: frequencies, from the lowest.
        bins_per_octave: frequencies in an octave.
        fmin_hz: lowest frequency.
        hop_length: samples from one frame to the next.
        pre_emphasis: coefficient of the high-pass filter x[n] - coefficient * x[n - 1]; 0 for none.
        eps: power that keeps the logarithm of silence finite.
        mask, cache: see `Feature`.

    Source:
        Li et al., "Replay and synthetic speech detection with Res2Net architecture", ICASSP 2021; its settings.
    """

    def __init__(
        self,
        sample_rate: int,
        num_bins: int = 432,
        bins_per_octave: int = 48,
        fmin_hz: float = 15.0,
        hop_length: int = 256,
        pre_emphasis: float = 0.97,
        eps: float = 1e-10,
        mask: nn.Module | None = None,
        cache: bool = False,
    ) -> None:
        super().__init__(mask, cache)
        self.pre_emphasis = pre_emphasis
        self.eps = eps
        self.band_power = ConstantQPower(sample_rate, hop_length, num_bins, bins_per_octave, fmin_hz)

    def extract(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, samples) to log-power constant-Q maps (batch, 1, bins, frames)."""
        power: Tensor = self.band_power(dsp.pre_emphasis(waveform, self.pre_emphasis))
        return power.add(self.eps).log()[:, None]
