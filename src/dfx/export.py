"""Export a trained detector as one file from waveform to score: ONNX, TorchScript or pt2.

`python -m dfx.export PLACE`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dfx import console
from dfx.cli import prompt
from dfx.config import overrides

if TYPE_CHECKING:
    from omegaconf import DictConfig

EXAMPLES = """
  python -m dfx.export best.ckpt                             model.onnx, with a card that compares it with the detector
  python -m dfx.export runs:/RUN_ID quantize=int8            8-bit integers, calibrated on train, judged on dev
  python -m dfx.export models:/dfx@champion format=pt2       the archive of torch.export
  python -m dfx.export best.ckpt clips=FOLDER out=DIR licence=CC-BY-4.0
""".strip("\n")
FOLDER = Path("mlruns") / "export"
USAGE = "PLACE [KEY=VALUE ...]"
FORMATS = ("onnx", "torchscript", "pt2")


def main() -> None:
    """Run the command `python -m dfx.export`."""
    places, sys.argv[1:] = overrides.split_words(sys.argv[1:])

    def job(cfg: DictConfig) -> None:
        if len(places) > 1:
            raise ValueError(f"One detector is exported at a time, got {', '.join(places)}: repeat the command.")
        cfg.model = places[0] if places else cfg.model
        export(cfg)

    prompt.run_command("export", EXAMPLES, job, USAGE)


def export(cfg: DictConfig) -> Path:
    """Export a detector as one file, compare its scores with those of the detector, and report the differences.

    Raises:
        ValueError: if there is no such detector, an option is unknown, or the detector cannot be exported.
    """
    _check_keys(cfg)
    from dfx.detector import export_check, exporting, foreign_config, loading, quantization
    from dfx.reporting.document import document_file_name
    from dfx.reporting.export_card import export_card, export_mlflow_metrics
    from dfx.tracking.run import log_report

    detector = loading.load_detector(cfg.model, cfg.trust, cfg.cache)
    if detector.exported:
        raise ValueError(f"{detector.file} is an exported file already: give the checkpoint or the run it was made of.")
    form = f"{cfg.format}-{cfg.quantize}" if cfg.quantize else cfg.format
    name = document_file_name(f"{detector.name}-{cfg.quantize}" if cfg.quantize else detector.name)
    folder = Path(cfg.out).expanduser() if cfg.out else FOLDER / document_file_name(f"{detector.name}-{form}")
    file = folder / f"{name}{exporting.SUFFIXES[cfg.format]}"
    metadata = exporting.export_metadata(detector, cfg.licence)
    clips = export_check.find_check_clips(detector, cfg.clips, cfg.cache)
    network = loading.load_network(detector.file, cfg.trust)
    if cfg.quantize:
        segments = export_check.read_segments(detector, clips.train_paths)
        console.say(f"Calibrating int8 on {len(segments)} segments.")
        with tempfile.TemporaryDirectory() as temporary:
            in_float = Path(temporary, "float.onnx")
            free_length = exporting.export_detector(detector, network, in_float, cfg.format, metadata)
            quantization.quantize_onnx(in_float, file, segments, metadata)
    else:
        free_length = exporting.export_detector(detector, network, file, cfg.format, metadata)
    exported = loading.load_detector(file, [*foreign_config.trusted_packages(cfg.trust), cfg.format], cfg.cache)
    check = export_check.check_export(detector, exported, form, clips, bool(cfg.quantize), cfg.cache)
    card = export_card(detector, file, form, check, clips, metadata, free_length)
    written = card.write(folder)
    card.show(written[0])
    tags = {"kind": "export", "format": form, "detector": detector.name, "model": str(cfg.model)}
    log_report(cfg.experiment_name, card.title, [file, *written], export_mlflow_metrics(check, form), tags)
    return file


def _check_keys(cfg: DictConfig) -> None:
    if not cfg.model:
        raise ValueError(
            "There is no detector to export: give a checkpoint, runs:/RUN_ID or models:/NAME@ALIAS; see --help."
        )
    if cfg.format not in FORMATS:
        raise ValueError(f"format={cfg.format}: use one of {', '.join(FORMATS)}.")
    if cfg.quantize not in (None, "int8") or (cfg.quantize and cfg.format != "onnx"):
        raise ValueError(f"quantize={cfg.quantize} format={cfg.format}: use quantize=int8 with format=onnx, or null.")


if __name__ == "__main__":
    main()
