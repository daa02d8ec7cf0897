"""One-class softmax loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dfx.losses.base import CosineLoss
from dfx.tables.labels import BONAFIDE


class OCSoftmax(CosineLoss):
    """One-class softmax: bona fide close to one learned direction, spoof at a larger angle.

    With c the cosine between embedding and direction,
    L = log(1 + e^{α (r_real − c)}) for bona fide and log(1 + e^{α (c − r_fake)}) for spoof.

    Spoofed speech is separated from the direction but not clustered, since new attacks may differ from known ones.

    The score is c, in [-1, 1]: 1 is the most bona fide; it is not a log-likelihood ratio (0 has no meaning).

    Source: Zhang et al., "One-class learning towards synthetic voice spoofing detection", 2021, equation 4, and their
    settings r_real .9, r_fake .2, α 20.

    Args:
        embedding_dim: width of the embeddings.
        r_real: cosine that bona fide speech should exceed; above r_fake.
        r_fake: cosine that spoofed speech should stay below.
        alpha: steepness α, above 0.
    """

    def __init__(self, embedding_dim: int, r_real: float = 0.9, r_fake: float = 0.2, alpha: float = 20.0) -> None:
        super().__init__(embedding_dim, num_directions=1)
        if not -1 <= r_fake < r_real <= 1 or alpha <= 0:
            raise ValueError(
                f"OC-softmax cannot use r_real={r_real}, r_fake={r_fake}, alpha={alpha}: "
                f"give cosines with -1 <= r_fake < r_real <= 1 and a positive alpha."
            )
        self.r_real = r_real
        self.r_fake = r_fake
        self.alpha = alpha

    def forward(self, embedding: Tensor, label: Tensor) -> Tensor:
        """Return the mean loss of a batch as a scalar ()."""
        cosine = self.score(embedding)
        distance = torch.where(label == BONAFIDE, self.r_real - cosine, cosine - self.r_fake)
        return F.softplus(self.alpha * distance).mean()

    def score(self, embedding: Tensor) -> Tensor:
        """Return the cosine (batch,) between embedding and bona fide direction."""
        return self.cosines(embedding)[:, 0]
