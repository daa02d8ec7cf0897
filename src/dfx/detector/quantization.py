"""Static quantization of an exported detector to 8-bit integers.

Convolutions and matrix products of model and loss take 8-bit integers; the front end stays in float, and so does what
ONNX Runtime does not quantize (LSTM). A Wav2Vec2 encoder is the feature, thus front end.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfx import files

SCOPES = "pkg.torch.onnx.name_scopes"  # in which modules of the network a node of the exported graph was
FRONT_END = "'feature'"
QUANTIZED = ["Conv", "MatMul", "Gemm"]
BATCH_SIZE = 8


def quantize_onnx(file: Path, target: Path, segments: NDArray[np.float32], metadata: Mapping[str, str]) -> None:
    """Quantize the ONNX file of a detector.

    Args:
        file: in float, from `exporting.export_detector`.
        target: to write.
        segments: (segments, samples) of training clips, which give the range of every activation.
        metadata: of the new file.

    Raises:
        ValueError: if the model has no layer that can be quantized.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._batches: Iterator[NDArray] = iter(
                segments[first : first + BATCH_SIZE] for first in range(0, len(segments), BATCH_SIZE)
            )

        def get_next(self) -> dict[str, NDArray] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"waveform": batch}

    nodes = onnx.load(file).graph.node
    inside = {node.name for node in nodes if FRONT_END in _scopes(node.metadata_props)}
    if not any(node.op_type in QUANTIZED and node.name not in inside for node in nodes):
        raise ValueError(
            f"{file.name} has no convolution and no matrix product behind its front end: nothing to quantize."
        )
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # advice of ONNX Runtime that is not for users
    try:
        with tempfile.TemporaryDirectory() as folder, files.atomic_write(target) as temporary:
            prepared = Path(folder, "prepared.onnx")
            quant_pre_process(str(file), str(prepared), skip_symbolic_shape=True)
            quantization.quantize_static(
                str(prepared),
                str(temporary),
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                op_types_to_quantize=QUANTIZED,
                nodes_to_exclude=sorted(inside),
            )
            model = onnx.load(temporary)
            del model.metadata_props[:]
            onnx.helper.set_model_props(model, dict(metadata))
            onnx.save(model, temporary)
    finally:
        logging.root.setLevel(level)


def _scopes(properties: Sequence[object]) -> str:
    return next((str(entry.value) for entry in properties if entry.key == SCOPES), "")  # type: ignore[attr-defined]
