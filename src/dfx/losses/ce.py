"""Cross-entropy loss on two outputs."""

from __future__ import annotations

from dfx.losses.base import PosteriorLoss


class CE(PosteriorLoss):
    """Softmax cross-entropy with two linear outputs z.

    The loss is −log softmax(z)[label]. With two classes softmax depends on z[bona fide] − z[spoof] only, so the loss is
    binary cross-entropy of this difference (with twice the parameters of `BCE`). The score is the difference minus the
    log prior odds and the log class weight: a log-likelihood ratio.

    Source: the output of the AASIST, RawNet2 and Res2Net systems (weight 9 is their "[.1, .9]").
    """

    def __init__(self, embedding_dim: int, weight: float | str | None = None) -> None:
        super().__init__(embedding_dim, weight, num_outputs=2)
