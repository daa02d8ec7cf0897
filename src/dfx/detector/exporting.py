"""Write a detector as one file from waveform to score: ONNX, TorchScript, or the pt2 archive of torch.export.

Input are waveforms (batch, samples) at the rate of the detector, output are scores (batch,); higher means more bona
fide. The batch is free, and the length too where the network takes others. The metadata of the file say the rest
(`export_metadata`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import dfx
from dfx import files
from dfx.detector import onnx, onnx_lstm, quantization, torch_archive
from dfx.detector.network import CONFIG_KEY, DetectorNetwork
from dfx.detector.operating_card import CARD_KEY
from dfx.detector.scoring import TABLE_FEATURE, SavedDetector
from dfx.features.dsp import BandPower, MatrixBandPower

SUFFIXES = {"onnx": onnx.SUFFIX, **{form: suffix for suffix, form in torch_archive.FORMATS.items()}}
OPSET = 18
EXPORTABLE: dict[type, Callable[[Any], nn.Module]] = {  # what stands for a module in an ONNX file
    BandPower: MatrixBandPower,
    nn.LSTM: onnx_lstm.ExportableLSTM,
}
TOLERANCE = 1e-4  # of scores on noise and silence, absolute and relative
EXAMPLE_BATCH = 2  # torch.export takes an axis of length 1 for fixed


def export_detector(
    detector: SavedDetector, network: DetectorNetwork, file: Path, form: str, metadata: Mapping[str, str]
) -> bool:
    """Write a detector as one file, and return whether the file takes waveforms of any length.

    Args:
        detector: the trained detector.
        network: its network, on the CPU and for this export only: the front end of an ONNX file is put into it.
        file: to write.
        form: onnx, torchscript or pt2.
        metadata: of the file, see `export_metadata`.

    Raises:
        ValueError: if the detector takes no waveforms, or a part of it cannot be exported.
    """
    if detector.config["feature"]["_target_"] == TABLE_FEATURE:
        raise ValueError(
            f"{detector.name} takes ready features (feature=table) and no waveform, so there is no file from waveform "
            "to score: score rows with dfx.load, or train a detector on audio."
        )
    num_samples = round(detector.segment_seconds * detector.sample_rate)
    scorer = _Scorer(network).eval()
    other_length = 2 * num_samples + 1
    generator = torch.Generator().manual_seed(0)
    segments, longer = (0.1 * torch.randn(3, length, generator=generator) for length in (num_samples, other_length))
    for waveforms in (segments, longer):
        waveforms[-1, num_samples // 2 :] = 0  # digital silence, which recordings have and noise has not
    with torch.no_grad():
        expected = [scorer(segments[:1]), scorer(segments)]
        longer_expected = _try_score(scorer, longer)
    write = {"onnx": _write_onnx, "torchscript": _write_torchscript, "pt2": _write_pt2}[form]
    for free_length in [True, False] if longer_expected is not None else [False]:
        wanted = [(segments[:1], expected[0]), (segments, expected[1])]
        if free_length and longer_expected is not None:
            wanted.append((longer, longer_expected))
        try:
            with files.atomic_write(file) as temporary, _quiet():
                write(scorer, segments[:EXAMPLE_BATCH], temporary, metadata, free_length)
                _check_scores(temporary, wanted)
            return free_length
        except Exception as error:  # the exporters raise anything
            failure = error
    cause = failure.__cause__ or failure
    reason = (str(cause).strip().splitlines() or [""])[0]
    raise ValueError(
        f"{detector.name} cannot be written as {form} ({type(cause).__name__}: {reason[:200]}): a part of the network "
        "does something that the exporter does not know. Try another format, or use the checkpoint."
    ) from failure


def export_metadata(detector: SavedDetector, licence: str) -> dict[str, str]:
    """Return the metadata of an exported file: text by key.

    Args:
        detector: the trained detector.
        licence: of the weights; empty if it is not stated.
    """
    config = json.dumps(detector.config, sort_keys=True)
    rate, seconds = detector.sample_rate, detector.segment_seconds
    kind = "log-likelihood ratio" if detector.llr else "score, no log-likelihood ratio"
    return {
        CONFIG_KEY: config,
        **({CARD_KEY: json.dumps(detector.card.to_dict())} if detector.card else {}),
        "dfx_input": f"waveform (batch, samples), float32 in [-1, 1], {rate} Hz mono, segments of {seconds:g} s",
        "dfx_output": f"score (batch,): {kind}; higher means more bona fide (label 1 = bona fide, 0 = spoof)",
        "dfx_detector": detector.name,
        "dfx_checkpoint_sha256": detector.digest,
        "dfx_config_hash": hashlib.sha256(config.encode()).hexdigest(),
        "dfx_licence": licence,
        "dfx_version": dfx.__version__,
    }


class _Scorer(nn.Module):
    """Network from waveform to score, without the hooks of a LightningModule."""

    def __init__(self, network: DetectorNetwork) -> None:
        super().__init__()
        self.feature, self.model, self.loss = network.feature, network.model, network.loss

    def forward(self, waveform: Tensor) -> Tensor:
        scores: Tensor = self.loss.score(self.model(self.feature(waveform))).float()
        return scores


def _try_score(scorer: _Scorer, waveforms: Tensor) -> Tensor | None:
    """Return the scores of waveforms; None if the network does not take their length."""
    try:
        scores: Tensor = scorer(waveforms)
    except Exception:  # a layer of a fixed size
        return None
    return scores if scores.shape == waveforms.shape[:1] else None


def _check_scores(file: Path, wanted: list[tuple[Tensor, Tensor]]) -> None:
    """Raise a ValueError if a written file does not give these scores for these waveforms."""
    network = onnx.OnnxNetwork(file) if file.suffix == onnx.SUFFIX else torch_archive.TorchArchiveNetwork(file)
    for waveforms, expected in wanted:
        scores = network.score_batch({"waveform": waveforms})
        if not torch.allclose(scores, expected, rtol=TOLERANCE, atol=TOLERANCE):
            difference = float((scores - expected).abs().max())
            raise ValueError(f"the file gives scores that differ by {difference:.2g} from those of the network")


def _write_onnx(scorer: _Scorer, example: Tensor, file: Path, metadata: Mapping[str, str], free_length: bool) -> None:
    for module in list(scorer.modules()):
        for name, child in module.named_children():
            replacement = EXPORTABLE.get(type(child))
            if replacement and not isinstance(module, onnx_lstm.ExportableLSTM):
                setattr(module, name, replacement(child))
    from onnxscript.optimizer import fold_constants, remove_unused_nodes

    program = torch.onnx.export(
        scorer,
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=["waveform"],
        output_names=["score"],
        dynamic_shapes=_dynamic_shapes(free_length),
        custom_translation_table=onnx_lstm.TRANSLATIONS,
        optimize=False,  # its rule "x + 0 = x" takes the 1e-9 that keeps the logarithm of silence finite for 0
        verbose=False,
    )
    assert program is not None
    fold_constants(program.model)
    remove_unused_nodes(program.model)
    for node in program.model.graph.all_nodes():
        for key in set(node.metadata_props) - {quantization.SCOPES}:  # the others hold paths of this machine
            del node.metadata_props[key]
    program.model.metadata_props.update(metadata)
    program.save(file)


def _write_torchscript(
    scorer: _Scorer, example: Tensor, file: Path, metadata: Mapping[str, str], free_length: bool
) -> None:
    traced = torch.jit.trace(scorer, example, check_trace=False)  # type: ignore[no-untyped-call]
    torch.jit.save(traced, file, _extra_files=dict(metadata))


def _write_pt2(scorer: _Scorer, example: Tensor, file: Path, metadata: Mapping[str, str], free_length: bool) -> None:
    program = torch.export.export(scorer, (example,), dynamic_shapes=_dynamic_shapes(free_length))
    torch.export.save(program, file, extra_files=dict(metadata))


def _dynamic_shapes(free_length: bool) -> dict[str, dict[int, Any]]:
    axes: dict[int, Any] = {0: torch.export.Dim("batch")}
    if free_length:
        axes[1] = torch.export.Dim.AUTO
    return {"waveform": axes}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Context that hides the messages of the exporters, which are not for users of dfx."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
