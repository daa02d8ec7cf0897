"""Detectors as ONNX files: input waveforms (batch, samples), output scores (batch,).

The file has one float32 input and one float32 output, both with a batch of any size. Its metadata hold under
`dfx_config`, as JSON, the configuration that a checkpoint holds. The length of a segment, the sample rate and the crop
come from there, and whether the scores are log-likelihood ratios.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dfx.detector.dataset import Batch
from dfx.detector.network import CONFIG_KEY
from dfx.detector.operating_card import CARD_KEY

SUFFIX = ".onnx"


class OnnxNetwork:
    """Detector in an ONNX file with one input and one output, which scores batches of waveforms."""

    feature = None  # it is part of the graph

    def __init__(self, file: Path) -> None:
        self._session = _session(file)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ValueError(
                f"{file} has {len(inputs)} inputs and {len(outputs)} outputs: a detector takes waveforms (batch, "
                "samples) and gives scores (batch,)."
            )
        self._input, self._output = inputs[0].name, outputs[0].name

    def score_batch(self, batch: Batch) -> Tensor:
        """Return the scores (batch,) of a batch of waveforms."""
        (scores,) = self._session.run([self._output], {self._input: batch["waveform"].cpu().numpy()})
        return torch.from_numpy(scores)

    def score_and_embed(self, batch: Batch) -> tuple[Tensor, None]:
        """Return the scores (batch,) of a batch of waveforms, and no embeddings."""
        return self.score_batch(batch), None


def read_onnx_metadata(file: Path) -> tuple[dict[str, Any], str | None]:
    """Read the configuration of the detector and its operating card (JSON) from the metadata of an ONNX file."""
    metadata = _session(file).get_modelmeta().custom_metadata_map
    text = metadata.get(CONFIG_KEY)
    if text is None:
        raise ValueError(
            f"{file} does not say which segments it takes: dfx reads this from the metadata key {CONFIG_KEY!r}, the "
            "JSON of the configuration in a checkpoint. Write it there, or score with other software and give the "
            "file as scores=FILE."
        )
    try:
        config: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} has metadata {CONFIG_KEY!r} that are no JSON: export it again.") from error
    return config, metadata.get(CARD_KEY)


def _session(file: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(f"{file} needs ONNX Runtime, which is not installed: pip install 'dfx[onnx]'.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # its advice on optimisation is not for users
    try:
        return onnxruntime.InferenceSession(file, options, providers=onnxruntime.get_available_providers())
    except Exception as error:  # its exception types are not public
        raise ValueError(f"{file} cannot be loaded as ONNX ({str(error).splitlines()[0]}): export it again.") from error
