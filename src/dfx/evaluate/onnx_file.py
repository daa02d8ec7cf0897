"""Detectors as ONNX files: waveforms (batch, samples) in, scores (batch,) out, and what rebuilds them inside.

The file has one float32 input and one float32 output, both with a batch of any size. Its metadata hold under
`dfx_config` as JSON what a checkpoint holds: feature, model, loss, data, seed, sample_rate, segment_seconds. From there
come the length of a segment, the rate and the crop, and whether the scores are log-likelihood ratios.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dfx.detector.detector import CONFIG_KEY

SUFFIX = ".onnx"


def config(file: Path) -> dict[str, Any]:
    """The configuration of the detector.

    Raises:
        ValueError: if the file is no ONNX file, or has none.
    """
    text = _session(file).get_modelmeta().custom_metadata_map.get(CONFIG_KEY)
    if text is None:
        raise ValueError(
            f"{file} says nothing of the segments that it takes: dfx reads them from the metadata key {CONFIG_KEY!r}, "
            "the JSON of the configuration in a checkpoint. Write it there, or score with other software and give the "
            "file as scores=FILE."
        )
    kept: dict[str, Any] = json.loads(text)
    return kept


def load(file: Path) -> Callable[[Tensor], Tensor]:
    """The function from waveforms (batch, samples) to scores (batch,).

    Raises:
        ValueError: if the file has not one input and one output.
    """
    session = _session(file)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            f"{file} has {len(inputs)} inputs and {len(outputs)} outputs: a detector takes waveforms (batch, samples) "
            "and gives scores (batch,)."
        )

    def score(waveform: Tensor) -> Tensor:
        (scores,) = session.run([outputs[0].name], {inputs[0].name: waveform.cpu().numpy()})
        return torch.from_numpy(scores)

    return score


def _session(file: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(
            f"{file} needs ONNX Runtime, which is not installed: pip install 'dfx[onnx]'."
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # its advice on optimisation is not for users
    try:
        return onnxruntime.InferenceSession(file, options, providers=onnxruntime.get_available_providers())
    except Exception as error:  # of a type that only its compiled part knows
        raise ValueError(
            f"{file} cannot be loaded as ONNX ({str(error).splitlines()[0]}): export it anew."
        ) from error
