"""Additive-margin softmax loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from dfx.losses.base import CosineLoss
from dfx.tables.labels import BONAFIDE, SPOOF


class AMSoftmax(CosineLoss):
    """Additive-margin softmax: cross-entropy on scaled cosines, with a margin for the true class.

    The margin is subtracted from the cosine of the true class. With one direction per class and c_j the cosine between
    embedding and direction j, L = −log( e^{s (c_y − m)} / (e^{s (c_y − m)} + Σ_{j≠y} e^{s c_j}) ).

    The score is s (c_bonafide − c_spoof), the log odds of the softmax without margin: 0 lies half-way between the
    directions, its size is not calibrated, |score| <= 2 s.

    Source: Wang et al., "Additive margin softmax for face verification", 2018, equation 6; s and m of Zhang et al.,
    "One-class learning towards synthetic voice spoofing detection", 2021, section 4.

    Args:
        embedding_dim: width of the embeddings.
        scale: s, above 0.
        margin: m, 0 or more.
    """

    def __init__(self, embedding_dim: int, scale: float = 20.0, margin: float = 0.9) -> None:
        super().__init__(embedding_dim, num_directions=2)
        if scale <= 0 or margin < 0:
            raise ValueError(
                f"AM-softmax cannot use scale={scale}, margin={margin}: give a scale above 0 and a margin of 0 or more."
            )
        self.scale = scale
        self.margin = margin

    def forward(self, embedding: Tensor, label: Tensor) -> Tensor:
        """Return the mean loss of a batch as a scalar ()."""
        cosines = self.cosines(embedding)
        margins = self.margin * F.one_hot(label, num_classes=2)
        return F.cross_entropy(self.scale * (cosines - margins), label)

    def score(self, embedding: Tensor) -> Tensor:
        """Return the scaled difference (batch,) between the bona fide cosine and the spoof cosine."""
        cosines = self.cosines(embedding)
        return self.scale * (cosines[:, BONAFIDE] - cosines[:, SPOOF])
