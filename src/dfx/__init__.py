"""dfx: experiments in audio deepfake detection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dfx.detector.scoring import SavedDetector
    from dfx.detector.streaming import StreamingDetector as StreamingDetector

__version__ = "0.1.0"


def load(place: str | Path, trust: str | Sequence[str] = ()) -> SavedDetector:
    """Load a trained detector to score audio.

        import dfx
        detector = dfx.load("best.ckpt")
        detector.score("clip.flac")                    # -> one number, higher = more bona fide
        detector.score(waveform, sample_rate=44100)    # a waveform (samples,) or (samples, channels) in [-1, 1]

    The clip is resampled, conditioned, cut and padded as in the training of the detector, so the score is that of its
    run. `detector.config`, `detector.sample_rate` and `detector.segment_seconds` say how.

    Args:
        place: a checkpoint (`best.ckpt`), an MLflow run (`runs:/RUN_ID`), a registered model (`models:/NAME@ALIAS`,
            `models:/NAME/VERSION`) or an ONNX file (`model.onnx`).
        trust: packages outside dfx whose classes the file may name, `["my_lab"]`: their code is run.

    Raises:
        ValueError: if there is no such file, run or model, or it is no detector of dfx, or names a class
            that is not trusted.
    """
    from dfx.detector import loading

    return loading.load_detector(place, trust)


def __dir__() -> list[str]:
    return ["StreamingDetector", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import `StreamingDetector` when it is first used, since it imports torch."""
    if name == "StreamingDetector":
        from dfx.detector.streaming import StreamingDetector

        return StreamingDetector
    raise AttributeError(f"module 'dfx' has no attribute {name!r}")
