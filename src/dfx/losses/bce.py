"""Binary cross-entropy on one logit."""

from __future__ import annotations

from torch import Tensor, nn

from dfx.losses.base import PosteriorLoss, in_float32


class BCE(PosteriorLoss):
    """Binary cross-entropy, −log σ(z) for bona fide and −log σ(−z) for spoof, with one linear output z.

    The score is z minus the log prior odds and the log class weight: a log-likelihood ratio.

    Source: the output of the ASVspoof 2021 baseline LFCC-LCNN (one linear unit, sigmoid).
    """

    def __init__(self, embedding_dim: int, weight: float | str | None = None) -> None:
        super().__init__(embedding_dim, weight)
        self.linear = nn.Linear(embedding_dim, 1)

    def posterior_log_odds(self, embedding: Tensor) -> Tensor:
        """Logit (batch,) in float32."""
        with in_float32(embedding):
            logit: Tensor = self.linear(embedding.float())
        return logit.squeeze(1)
