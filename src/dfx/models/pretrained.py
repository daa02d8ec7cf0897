"""Base class of models that can start from published weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

MOST_LISTED = 3


class PretrainedModel(nn.Module):
    """Base class of models that can start from published weights, which an argument of their constructor names.

    Attributes:
        weight_sources: such arguments; they are None in the configuration of a checkpoint of dfx.
        pretrained_output: weight (outputs, embedding_dim) and bias (outputs,) of the last layer in the published
            weights, which in dfx belongs to the loss (`Loss.load_output`); None if no weights were loaded.
    """

    weight_sources: ClassVar[tuple[str, ...]] = ("checkpoint",)
    pretrained_output: tuple[Tensor, Tensor] | None = None

    def rebuild_arguments(self) -> dict[str, Any]:
        """Return the constructor arguments that rebuild this model without its weight files."""
        return dict.fromkeys(self.weight_sources)

    def load_published(self, file: str | Path, renames: Mapping[str, str], unused: str, output: str) -> None:
        """Load published weights, and keep their last layer for the loss.

        Args:
            file: written by `torch.save`; read as data.
            renames: regular expressions of published names and their replacements, applied one after another.
            unused: regular expression of published names that have no effect on the output.
            output: published name of the last layer.

        Raises:
            ValueError: if there is no such file, or it holds other weights.
        """
        weights = {name: value for name, value in read_weights(file).items() if not re.fullmatch(unused, name)}
        weight, bias = (weights.pop(f"{output}.{part}", None) for part in ("weight", "bias"))
        for pattern, replacement in renames.items():
            weights = {re.sub(pattern, replacement, name): value for name, value in weights.items()}
        own = self.state_dict()
        found = list_problems(
            missing={*own} - {*weights},
            unknown={*weights} - {*own},
            of_another_size={name for name in {*own} & {*weights} if own[name].shape != weights[name].shape},
        )
        if weight is None or bias is None:
            found.append(f"no last layer {output}")
        if found or weight is None or bias is None:
            raise ValueError(
                f"The weights in {str(file)!r} are not those of {type(self).__name__} with these settings: "
                f"{'; '.join(found)}. Give the authors' file for this option of model."
            )
        self.load_state_dict(weights)
        self.pretrained_output = weight, bias


def list_problems(**problems: set[str]) -> list[str]:
    """List each kind of problem with the number of weights that have it and their first names."""
    return [
        f"{len(names)} {what.replace('_', ' ')} ({', '.join(sorted(names)[:MOST_LISTED])})"
        for what, names in problems.items()
        if names
    ]


def read_weights(file: str | Path) -> dict[str, Tensor]:
    """Read weights by name from a file of `torch.save`, as data.

    Raises:
        ValueError: if there is no such file, or it holds something else.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise ValueError(f"There is no file of weights {str(file)!r}: correct model.checkpoint.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch may raise anything for a file that is none of its own
        raise ValueError(
            f"{str(file)!r} cannot be read as weights ({type(error).__name__}): give a file of the authors that "
            "torch.save wrote."
        ) from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(
            f"{str(file)!r} holds no weights by name: give a file of the authors (a state_dict), or start from a "
            "checkpoint of dfx with init=FILE."
        )
    return {str(name): value for name, value in content.items()}
