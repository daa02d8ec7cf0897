"""Binary cross-entropy loss on one logit."""

from __future__ import annotations

from dfx.losses.base import PosteriorLoss


class BCE(PosteriorLoss):
    """Binary cross-entropy with one linear output z.

    The loss is −log σ(z) for bona fide and −log σ(−z) for spoof. The score is z minus the log prior odds and the log
    class weight: a log-likelihood ratio.

    Source: the output of the ASVspoof 2021 baseline LFCC-LCNN (one linear unit, sigmoid).
    """

    def __init__(self, embedding_dim: int, weight: float | str | None = None) -> None:
        super().__init__(embedding_dim, weight, num_outputs=1)
