"""Cross-entropy on two outputs."""

from __future__ import annotations

from torch import Tensor, nn

from dfx.losses.base import PosteriorLoss, in_float32
from dfx.tables.labels import BONAFIDE, SPOOF


class CE(PosteriorLoss):
    """Softmax cross-entropy, −log softmax(z)[label], with two linear outputs z.

    With two classes softmax depends on z[bona fide] − z[spoof] only, so the loss is binary cross-entropy of this
    difference (with twice the parameters of `BCE`). The score is the difference minus the log prior odds and the log
    class weight: a log-likelihood ratio.

    Source: the output of the AASIST, RawNet2 and Res2Net systems (weight 9 is their "[.1, .9]").
    """

    def __init__(self, embedding_dim: int, weight: float | str | None = None) -> None:
        super().__init__(embedding_dim, weight)
        self.linear = nn.Linear(embedding_dim, 2)

    def posterior_log_odds(self, embedding: Tensor) -> Tensor:
        """Difference (batch,) of the two outputs, in float32."""
        with in_float32(embedding):
            output: Tensor = self.linear(embedding.float())
        return output[:, BONAFIDE] - output[:, SPOOF]
