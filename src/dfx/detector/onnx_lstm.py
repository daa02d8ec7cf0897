"""LSTM layer that torch's ONNX exporter writes as one ONNX operator.

The exporter unrolls the steps of `nn.LSTM`, which fixes the number of frames and makes a large, slow graph, or stops at
a free number of frames. Here the layer is an operator of its own, and `translate_lstm` says what it is in ONNX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class ExportableLSTM(nn.Module):
    """LSTM layer for the export; its output is that of an `nn.LSTM` that starts from zeros.

    Raises a ValueError for an LSTM with a projection, which the ONNX operator does not have.
    """

    def __init__(self, of: nn.LSTM) -> None:
        super().__init__()
        if of.proj_size:
            raise ValueError("An LSTM with proj_size cannot be written as ONNX: leave out the projection.")
        self.lstm = of

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the output of every step, and the last hidden states and cells (layers, batch, hidden)."""
        of = self.lstm
        steps = x.transpose(0, 1) if of.batch_first else x
        out, hidden, cell = _run_lstm(steps, of._flat_weights, of.hidden_size, of.num_layers, of.bidirectional, of.bias)
        return (out.transpose(0, 1) if of.batch_first else out), (hidden, cell)


@torch.library.custom_op("dfx::lstm", mutates_args=())
def _run_lstm(
    x: Tensor, weights: Sequence[Tensor], hidden_size: int, num_layers: int, bidirectional: bool, bias: bool
) -> tuple[Tensor, Tensor, Tensor]:
    zeros = x.new_zeros(num_layers * (1 + bidirectional), x.shape[1], hidden_size)
    out, hidden, cell = torch.lstm(
        x, [zeros, zeros], list(weights), bias, num_layers, 0.0, False, bidirectional, batch_first=False
    )
    return out, hidden, cell


@_run_lstm.register_fake
def _lstm_shapes(
    x: Tensor, weights: Sequence[Tensor], hidden_size: int, num_layers: int, bidirectional: bool, bias: bool
) -> tuple[Tensor, Tensor, Tensor]:
    directions = 1 + bidirectional
    states = [x.new_empty(num_layers * directions, x.shape[1], hidden_size) for _ in range(2)]
    return x.new_empty(x.shape[0], x.shape[1], directions * hidden_size), states[0], states[1]


def translate_lstm(
    x: Any, weights: Sequence[Any], hidden_size: int, num_layers: int, bidirectional: bool, bias: bool
) -> tuple[Any, Any, Any]:
    """Translate the operator of `ExportableLSTM` to ONNX.

    Source: the ONNX operator LSTM, opset 14, with gates in the order i, o, f, c; torch has i, f, c, o.
    """
    from onnxscript import opset18

    op: Any = opset18

    def reordered(weight: Any) -> Any:
        i, f, c, o = op.Split(weight, axis=0, num_outputs=4)
        return op.Concat(i, o, f, c, axis=0)

    def stacked(parts: Sequence[Any]) -> Any:
        return op.Concat(*[op.Unsqueeze(part, [0]) for part in parts], axis=0)

    directions, per_direction = (2 if bidirectional else 1), (4 if bias else 2)
    last_hidden, last_cell = [], []
    for layer in range(num_layers):
        parts = [
            [reordered(weight) for weight in weights[number * per_direction : (number + 1) * per_direction]]
            for number in range(layer * directions, (layer + 1) * directions)
        ]
        steps, hidden, cell = op.LSTM(
            x,
            stacked([part[0] for part in parts]),
            stacked([part[1] for part in parts]),
            stacked([op.Concat(*part[2:], axis=0) for part in parts]) if bias else None,
            direction="bidirectional" if bidirectional else "forward",
            hidden_size=hidden_size,
        )
        # (frames, directions, batch, hidden) -> (frames, batch, directions * hidden)
        x = op.Reshape(op.Transpose(steps, perm=[0, 2, 1, 3]), [0, 0, -1])
        last_hidden.append(hidden)
        last_cell.append(cell)
    return x, op.Concat(*last_hidden, axis=0), op.Concat(*last_cell, axis=0)


TRANSLATIONS: dict[Any, Any] = {torch.ops.dfx.lstm.default: translate_lstm}
