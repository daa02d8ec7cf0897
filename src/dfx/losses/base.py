"""Base classes of losses: the last layer of the detector, with the training loss and the score."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfx.tables.labels import BONAFIDE, SPOOF


def _in_float32(tensor: Tensor) -> torch.autocast:
    """Context that disables autocast: scores in the 8 bits of bfloat16 would have ties."""
    return torch.autocast(tensor.device.type, enabled=False)


class Loss(nn.Module):
    """Base class of losses: the last layer of the detector, with the training loss and the score.

    A subclass defines `forward(embedding, label)` and `score(embedding)`; embedding is (batch, embedding_dim), label
    is (batch,) int64 with 1 = bona fide.

    Args:
        embedding_dim: width of the embeddings, at least 1.

    Attributes:
        llr: whether the score is a log-likelihood ratio, as Cllr and actDCF require.
    """

    llr = False
    log_prior_odds: Tensor

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        if embedding_dim < 1:
            raise ValueError(f"A loss needs embeddings of at least 1 value, got {embedding_dim}: check the model.")
        self.register_buffer("log_prior_odds", torch.tensor(0.0))

    def set_prior(self, num_bonafide: float, num_spoof: float) -> None:
        """Store the log odds of bona fide versus spoof in the training data.

        A loss of posterior odds subtracts them from its score. Give the class counts of the training set, all positive,
        or (1, 1) where a sampler balances the classes.
        """
        if num_bonafide <= 0 or num_spoof <= 0:
            raise ValueError(
                f"The prior needs both classes, got {num_bonafide} bona fide and {num_spoof} spoof: "
                f"check the labels of the train split."
            )
        self.log_prior_odds.fill_(math.log(num_bonafide / num_spoof))

    def load_output(self, weight: Tensor, bias: Tensor) -> None:
        """Take the last layer of published weights: weight (outputs, embedding_dim) and bias (outputs,).

        Raises:
            ValueError: if this loss has no such layer.
        """
        raise ValueError(
            f"The published weights end in a linear layer of {len(bias)} outputs, which {type(self).__name__} does not "
            "have: use loss=ce, the authors' loss."
        )

    def forward(self, embedding: Tensor, label: Tensor) -> Tensor:
        """Return the loss of a batch as a scalar ()."""
        raise NotImplementedError

    def score(self, embedding: Tensor) -> Tensor:
        """Return the scores (batch,); a higher score means more bona fide."""
        raise NotImplementedError


class PosteriorLoss(Loss):
    """Base class of cross-entropy losses with linear outputs that estimate the posterior log odds of bona fide.

    Trained with class weight w on data with odds p(bona fide) / p(spoof) they converge to
    log LR + log prior odds + log w; `score` subtracts the last two terms.

    Args:
        embedding_dim: width of the embeddings.
        weight: a positive number: how much a bona fide example counts relative to a spoofed one; "balanced" takes the
            inverse of the odds given to `set_prior`; null counts every example once.
        num_outputs: 1, the log odds, or 2, one for each class.
    """

    llr = True

    def __init__(self, embedding_dim: int, weight: float | str | None, num_outputs: int) -> None:
        super().__init__(embedding_dim)
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not (weight is None or weight == "balanced" or (number and 0 < cast(float, weight) < math.inf)):
            raise ValueError(
                f"Unknown class weight {weight!r}: use null, balanced, or a positive number "
                f"(how much a bona fide example counts relative to a spoofed one)."
            )
        self.weight = weight
        self.linear = nn.Linear(embedding_dim, num_outputs)
        self._prior_is_known = False

    def set_prior(self, num_bonafide: float, num_spoof: float) -> None:
        """Store the prior log odds, and derive the class weight from them if `weight` is "balanced"."""
        super().set_prior(num_bonafide, num_spoof)
        self._prior_is_known = True

    def load_output(self, weight: Tensor, bias: Tensor) -> None:
        """Take the last layer of published weights: weight (outputs, embedding_dim) and bias (outputs,).

        Until `set_prior` is called, the score is the log odds of this layer and nothing is subtracted: the prior of the
        authors' data is not in their file, and their class weights balance it.
        """
        if (weight.shape, bias.shape) != (self.linear.weight.shape, self.linear.bias.shape):
            super().load_output(weight, bias)
        self.linear.load_state_dict({"weight": weight, "bias": bias})
        self.log_prior_odds.fill_(-math.log(self.weight) if isinstance(self.weight, int | float) else 0.0)

    def log_weight(self) -> Tensor:
        """Return the log of the class weight of bona fide, relative to spoof, as a scalar ()."""
        if self.weight is None:
            return torch.zeros_like(self.log_prior_odds)
        if self.weight == "balanced":
            # A loss from a checkpoint has the prior in its buffer; only training needs the call.
            if self.training and not self._prior_is_known:
                raise ValueError(
                    "The class weight is balanced but the class counts are not known: "
                    "call set_prior(num_bonafide, num_spoof) before training."
                )
            return -self.log_prior_odds
        return torch.full_like(self.log_prior_odds, math.log(float(self.weight)))

    def posterior_log_odds(self, embedding: Tensor) -> Tensor:
        """Return the posterior log odds (batch,) of bona fide in float32; the class weight is included."""
        with _in_float32(embedding):
            outputs: Tensor = self.linear(embedding.float())
        return outputs.squeeze(1) if outputs.shape[1] == 1 else outputs[:, BONAFIDE] - outputs[:, SPOOF]

    def forward(self, embedding: Tensor, label: Tensor) -> Tensor:
        """Return the weighted mean cross-entropy of a batch as a scalar ()."""
        log_odds = self.posterior_log_odds(embedding)
        sign = torch.where(label == BONAFIDE, 1.0, -1.0)
        example = F.softplus(-sign * log_odds)
        if self.weight is None:
            return example.mean()
        weight = torch.where(label == BONAFIDE, self.log_weight().exp(), 1.0)
        return (weight * example).sum() / weight.sum()

    def score(self, embedding: Tensor) -> Tensor:
        """Return the log-likelihood ratios (batch,)."""
        return self.posterior_log_odds(embedding) - self.log_prior_odds - self.log_weight()


class CosineLoss(Loss):
    """Base class of losses on cosines between the embedding and learned directions."""

    def __init__(self, embedding_dim: int, num_directions: int) -> None:
        super().__init__(embedding_dim)
        self.directions = nn.Parameter(F.normalize(torch.randn(num_directions, embedding_dim)))

    def cosines(self, embedding: Tensor) -> Tensor:
        """Return the cosines (batch, num_directions) in float32; they are 0 for an embedding of zeros."""
        # The lower limit of the length bounds the gradient of an embedding close to 0.
        with _in_float32(embedding):
            return F.normalize(embedding.float(), eps=1e-4) @ F.normalize(self.directions).T
