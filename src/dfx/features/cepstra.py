"""Base class of cepstral features: deltas, and normalisation of each clip."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfx.features import dsp
from dfx.features.base import FilterBankFeature

VARIANCE_FLOOR = 1e-5  # keeps the division and its gradient finite where a coefficient is constant, as in silence


class CepstralFeature(FilterBankFeature):
    """Base class of cepstra; a subclass passes its cepstra through `complete`.

    With stored maps (`cache`), the statistics are those of the whole utterance instead of the segment.

    Args:
        deltas: append the first and second difference over time: true for x[t + 1] - x[t - 1], "regression" for the
            slope of the line through 5 frames, false for none.
        normalize: over the frames of each clip and for each row: "mean" subtracts the mean, "mean_variance" divides by
            the standard deviation as well, null does neither.
        mask, cache: see `Feature`.
    """

    def __init__(
        self, deltas: bool | str, normalize: str | None, mask: nn.Module | None = None, cache: bool = False
    ) -> None:
        super().__init__(mask, cache)
        if deltas not in (True, False, "regression"):
            raise ValueError(
                f"{type(self).__name__} has deltas=true, false or regression, got {deltas!r}: choose one of them."
            )
        if normalize not in (None, "mean", "mean_variance"):
            raise ValueError(
                f"{type(self).__name__} has normalize=null, mean or mean_variance, got {normalize!r}: choose one."
            )
        self.deltas = deltas
        self.normalize = normalize

    def complete(self, cepstra: Tensor) -> Tensor:
        """Append deltas to cepstra (batch, coefficients, frames) and normalise: (batch, 1, rows, frames)."""
        if self.deltas:
            slope = dsp.regression_deltas if self.deltas == "regression" else dsp.deltas
            cepstra = dsp.with_deltas(cepstra, slope)
        if self.normalize:
            cepstra = cepstra - cepstra.mean(dim=-1, keepdim=True)
        if self.normalize == "mean_variance":
            variance = cepstra.square().mean(dim=-1, keepdim=True)
            cepstra = cepstra / torch.sqrt(variance + VARIANCE_FLOOR)
        return cepstra[:, None]
