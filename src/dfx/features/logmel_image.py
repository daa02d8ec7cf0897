"""Log-Mel spectrogram as an image of a fixed size."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from dfx.features import dsp
from dfx.features.logmel import LogMel


class LogMelImage(LogMel):
    """Log-Mel spectrogram of a clip in decibels below its maximum, resized (batch, 1, height, width).

    Row 0 is the lowest band. The image of a longer clip is as wide as that of a shorter one, so where a `size` is given
    frames have no fixed distance and maps cannot be stored.

    Args:
        pre_emphasis: coefficient of the high-pass filter x[n] - coefficient * x[n - 1]; 0 for none.
        size: (height, width) in pixels, reached by bilinear interpolation; None for a row for each band and a column
            for each frame.
        sample_rate, n_fft and the rest: as in `LogMel`, with scale="db".
    """

    def __init__(
        self,
        sample_rate: int,
        n_fft: int = 2048,
        win_length: int = 2048,
        hop_length: int = 512,
        num_bands: int = 128,
        pre_emphasis: float = 0.97,
        size: Sequence[int] | None = (256, 256),
        eps: float = 1e-10,
        top_db: float | None = 80.0,
        mask: nn.Module | None = None,
        cache: bool = False,
    ) -> None:
        super().__init__(
            sample_rate, n_fft, win_length, hop_length, num_bands, 0.0, None, "db", eps, top_db, mask, cache
        )
        self.pre_emphasis = pre_emphasis
        self.size = None if size is None else list(size)

    def extract(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, samples) to images (batch, 1, height, width)."""
        image = super().extract(dsp.pre_emphasis(waveform, self.pre_emphasis))
        image = image - image.amax(dim=(2, 3), keepdim=True)
        return image if self.size is None else F.interpolate(image, self.size, mode="bilinear", align_corners=False)

    @property
    def hop_samples(self) -> int:
        """Distance between frames in samples; raises a ValueError if the image is resized."""
        if self.size is not None:
            raise ValueError(
                f"The frames of an image resized to {self.size} have no fixed distance, so its maps cannot be kept: "
                "use feature.cache=false, or feature.size=null."
            )
        return super().hop_samples
