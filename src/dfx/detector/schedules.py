"""Learning-rate schedules: factors that multiply the learning rate at every optimizer step."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def constant(optimizer: Optimizer, total_steps: int, steps_per_epoch: int) -> LambdaLR:
    """Constant learning rate."""
    return LambdaLR(optimizer, lambda step: 1.0)


def step_halving(
    optimizer: Optimizer, total_steps: int, steps_per_epoch: int, every_epochs: int = 10, factor: float = 0.5
) -> LambdaLR:
    """Multiply the learning rate by `factor` after every `every_epochs` epochs.

    The factor is in (0, 1].

    Source: Wang and Yamagishi, "A comparative study on recent neural spoofing countermeasures for synthetic speech
    detection", 2021, section 3.2 (Adam, halved every ten epochs).
    """
    if every_epochs < 1 or not 0 < factor <= 1:
        raise ValueError(
            f"schedule=step_halving cannot run with every_epochs={every_epochs}, factor={factor}: "
            f"give at least 1 epoch and a factor in (0, 1]."
        )
    return LambdaLR(optimizer, lambda step: factor ** (step // (every_epochs * steps_per_epoch)))


def cosine(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    warmup_fraction: float = 0.1,
    final_fraction: float = 0.01,
) -> LambdaLR:
    """Cosine schedule with linear warm-up.

    From the full learning rate it falls over half a cosine to `final_fraction` of it at the last step.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5 (one cycle).

    Args:
        optimizer: whose learning rate changes.
        total_steps: optimizer steps of the whole training.
        steps_per_epoch: not used; every schedule takes it.
        warmup_fraction: share of total_steps for the warm-up, in [0, 1].
        final_fraction: last rate as a share of the full one, in [0, 1].
    """
    if not (0 <= warmup_fraction <= 1 and 0 <= final_fraction <= 1):
        raise ValueError(
            f"schedule=cosine cannot run with warmup_fraction={warmup_fraction}, final_fraction={final_fraction}: "
            f"give shares in [0, 1]."
        )
    warmup_steps = round(warmup_fraction * total_steps)

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        # The first step has number 0; Lightning asks once more after the last one, hence the upper bound.
        progress = min(1.0, (step - warmup_steps) / max(1, total_steps - 1 - warmup_steps))
        return final_fraction + (1.0 - final_fraction) * 0.5 * (1.0 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)


def inverse_sqrt(optimizer: Optimizer, total_steps: int, steps_per_epoch: int, warmup_steps: int = 1000) -> LambdaLR:
    """Inverse-square-root schedule with linear warm-up (the "Noam" schedule).

    The optimizer's learning rate is reached at step `warmup_steps`; later rates are proportional to 1 / √step. The
    published rate of Res2Net, 64^-½ · min(step^-½, step · 1000^-1.5), is that of lr = (64 · 1000)^-½ = 3.95e-3.

    Source: Vaswani et al., "Attention is all you need", 2017, equation 3.

    Args:
        optimizer: whose learning rate changes.
        total_steps: not used; every schedule takes it.
        steps_per_epoch: not used; every schedule takes it.
        warmup_steps: steps of the warm-up, at least 1.
    """
    if warmup_steps < 1:
        raise ValueError(
            f"schedule=inverse_sqrt cannot run with warmup_steps={warmup_steps}: give at least 1 step of warm-up."
        )
    return LambdaLR(optimizer, lambda step: min((step + 1) / warmup_steps, (warmup_steps / (step + 1)) ** 0.5))
