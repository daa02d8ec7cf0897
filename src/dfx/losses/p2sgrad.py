"""P2SGrad loss, computed as a mean squared error on cosines."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from dfx.losses.base import CosineLoss
from dfx.tables.labels import BONAFIDE


class P2SGrad(CosineLoss):
    """Mean squared error between class cosines and one-hot labels, without hyperparameters.

    Each class has one learned direction. With K = 2 classes and c_j the cosine between embedding and direction j, L =
    1/K Σ_j (c_j − [j = y])², averaged over the batch. Its gradient is the one that P2SGrad prescribes (cosine minus
    indicator, up to a constant), free of scale and margin.

    The score is c_bonafide, in [-1, 1]: near 1 for bona fide, near 0 for spoof; it is not a log-likelihood ratio.

    Source: Zhang et al., "P2SGrad: refined gradients for optimizing deep face models", 2019, equation 11; as a mean
    squared error in Wang and Yamagishi, "A comparative study on recent neural spoofing countermeasures for synthetic
    speech detection", 2021, section 2.3.
    """

    def __init__(self, embedding_dim: int) -> None:
        super().__init__(embedding_dim, num_directions=2)

    def forward(self, embedding: Tensor, label: Tensor) -> Tensor:
        """Return the squared error, averaged over batch and classes, as a scalar ()."""
        cosines = self.cosines(embedding)
        return F.mse_loss(cosines, F.one_hot(label, num_classes=2).to(cosines.dtype))

    def score(self, embedding: Tensor) -> Tensor:
        """Return the cosine (batch,) between embedding and bona fide direction."""
        return self.cosines(embedding)[:, BONAFIDE]
