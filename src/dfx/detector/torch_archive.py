"""Detectors as archives of PyTorch: TorchScript, and the pt2 archive of torch.export.

Both hold a program that PyTorch runs as it is: it may read and write files. So they are opened only if the user trusts
the file, `trust=[torchscript]` or `trust=[pt2]`. The metadata are those of ONNX files, in a folder `extra` of the
archive; they are read without PyTorch.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dfx.detector.dataset import Batch
from dfx.detector.network import CONFIG_KEY
from dfx.detector.operating_card import CARD_KEY

FORMATS = {".torchscript": "torchscript", ".pt2": "pt2"}  # suffix -> format, which is also the word of `trust`
MOST_BYTES = 16 << 20  # of a text in the metadata


class TorchArchiveNetwork:
    """Detector in a TorchScript file or pt2 archive, which scores batches of waveforms on the CPU."""

    feature = None  # it is part of the program

    def __init__(self, file: Path) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that TorchScript is deprecated
                self._scorer: Any = (
                    torch.jit.load(file, map_location="cpu")  # type: ignore[no-untyped-call]
                    if FORMATS[file.suffix] == "torchscript"
                    else torch.export.load(file).module()
                )
        except Exception as error:  # torch raises anything for a damaged archive
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(f"{file} cannot be loaded by PyTorch ({reason}): export it again.") from error

    def score_batch(self, batch: Batch) -> Tensor:
        """Return the scores (batch,) of a batch of waveforms."""
        scores: Tensor = self._scorer(batch["waveform"].cpu())
        return scores

    def score_and_embed(self, batch: Batch) -> tuple[Tensor, None]:
        """Return the scores (batch,) of a batch of waveforms, and no embeddings."""
        return self.score_batch(batch), None


def require_trust(file: Path, trust: Sequence[str]) -> None:
    """Raise a ValueError if the user has not said that files of this format are trusted."""
    word = FORMATS[file.suffix]
    if word not in trust:
        raise ValueError(
            f"{file} holds a program that PyTorch would run as it is, so dfx opens it only if you say that you trust "
            f"it: trust=[{word}]. An ONNX file needs no trust: python -m dfx.export PLACE format=onnx."
        )


def read_archive_metadata(file: Path) -> tuple[dict[str, Any], str | None]:
    """Read the configuration of the detector and its operating card (JSON) from an archive; nothing in it is run.

    Raises:
        ValueError: if it is no archive of dfx.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            found = {}
            for entry in archive.infolist():
                parts = Path(entry.filename).parts
                if len(parts) >= 2 and parts[-2] == "extra" and entry.file_size <= MOST_BYTES:
                    found[parts[-1]] = archive.read(entry).decode()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{file} is no archive of PyTorch ({error}): export it again.") from error
    if CONFIG_KEY not in found:
        raise ValueError(
            f"{file} does not say which segments it takes: it has no {CONFIG_KEY!r}. Give one that dfx.export wrote."
        )
    try:
        config: dict[str, Any] = json.loads(found[CONFIG_KEY])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} has metadata {CONFIG_KEY!r} that are no JSON: export it again.") from error
    return config, found.get(CARD_KEY)
