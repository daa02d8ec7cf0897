"""Cache of the feature maps of frozen encoders, computed once for each utterance and read in crops.

The store is one of `dfx.audio.parts` in a folder `<cache>/features/<key>`; the key is a hash of the feature's
configuration and weights, of the sample rate and of the conditioning. A map is stored frame after frame, each
(channels, bins) in little-endian float16, so a crop is one piece of a file.

The stored map is that of the whole utterance. A crop of it differs from the map of the same crop of the waveform:
attention and norms over time cover the utterance (up to 30 s) instead of the segment, and a short utterance is filled
by repeating its frames instead of its samples. For an utterance of the length of a segment the maps are
equal but for the rounding to half precision: by at most 2^-11 of each value, or 2^-25 where that is more.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfx import console, files
from dfx.audio import parts, segments, store_builder
from dfx.audio.conditioning import Conditions
from dfx.audio.part_catalogue import PartCatalogue
from dfx.audio.part_writing import Made, StoreJob, write_part_samples
from dfx.audio.store import VERSION as STORE_VERSION
from dfx.audio.store import StoreReader, WaveformStore
from dfx.features.base import Feature
from dfx.tables.manifest import FileList, Manifest

VERSION = 2  # of the maps and their format; increase it to compute all maps again
NOT_THE_MAP = ("cache", "mask")  # options of a feature that do not change its map
VALUE_BYTES = 2
WINDOW_SECONDS = 30.0  # window over a long utterance: the memory of attention grows with its square
MARGIN_SECONDS = 1.0  # context on both sides of a window, computed but not stored


class FeatureMaps(StoreReader):
    """Store of the feature map of each manifest row, read in crops."""

    unit = "frames"

    def __init__(self, catalogue: PartCatalogue, rows: NDArray[np.intp], shape: tuple[int, int]) -> None:
        super().__init__(catalogue, rows)
        self._shape = shape

    def read(self, row: int, start: int = 0, num_samples: int | None = None) -> NDArray[np.float16]:
        """Read up to `num_samples` frames of one row, from `start`, as (frames, channels, bins) float16.

        Raises:
            ValueError: if the row has no map, or `start` is outside it.
        """
        if self.lengths[row] < 0:
            raise ValueError(f"Row {row} has no map: open the store with all rows that are read.")
        data = self.read_bytes(row, start, num_samples)
        return np.frombuffer(data, "<f2").reshape(-1, *self._shape).copy()  # writable, as torch wants it


def open_feature_maps(
    feature: Feature,
    clips: WaveformStore,
    manifest: Manifest | FileList,
    rows: NDArray[np.intp],
    config: Mapping[str, Any],
    conditions: Conditions | None = None,
    cache: str | Path | None = None,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> FeatureMaps:
    """Open the stored feature maps of some utterances, and compute the maps that are missing.

    Several processes may call it at the same time, also on hosts that share the folder: they share the work.
    The feature is frozen, and unchanged afterwards; `config` is its resolved configuration. `rows` are the utterances
    whose maps are wanted, `conditions` those of the clips.

    Raises:
        ValueError: if the feature is trained or does not define `hop_samples`, the disk has too little
            room, or a map does not fit in half precision.
    """
    _check_frozen(feature)
    config = {k: v for k, v in config.items() if k not in NOT_THE_MAP} | feature.rebuild_arguments()
    key = _key(feature, config, clips.sample_rate, conditions or Conditions())
    channels, bins, _ = feature.output_shape(max(clips.sample_rate, feature.min_samples))
    wanted, first = np.unique(clips.recordings[rows], return_index=True)
    source = clips.catalogue
    catalogue = PartCatalogue(
        files.cache_dir(cache) / "features" / key,
        [source.paths[number] for number in wanted],
        source.sizes[wanted],
        source.mtimes[wanted],
        channels * bins * VALUE_BYTES,
    )
    catalogue.remove_damaged()
    own_row = rows[first]  # one row for each recording
    chosen = parts.part_batches(clips.lengths[own_row] // feature.hop_samples * catalogue.unit_bytes)
    missing = catalogue.missing()
    if len(missing):
        facts = {"feature": config, "sample_rate": clips.sample_rate, "conditions": conditions}
        with files.full_disk_is_an_error(catalogue.folder, "maps"):
            files.write_text_file(catalogue.folder / "store.json", json.dumps(facts, indent=2, default=str))
        _announce(feature, clips, own_row[missing], catalogue, device)
        _compute(feature, clips, own_row, catalogue, chosen, device, progress)
    recordings = np.zeros(len(manifest), np.intp)
    recordings[rows] = np.searchsorted(wanted, clips.recordings[rows])
    maps = FeatureMaps(catalogue, recordings, (channels, bins))
    maps.lengths[np.setdiff1d(np.arange(len(manifest)), rows)] = parts.BAD
    if (maps.lengths[rows] <= 0).any():
        raise ValueError(f"Maps in {catalogue.folder} vanished while they were used: keep it to dfx, and start again.")
    return maps


def feature_map_pieces(
    feature: Feature, clips: WaveformStore, row: int, device: torch.device | str
) -> Iterator[Tensor]:
    """Compute the feature map of a whole utterance, in pieces (frames, channels, bins) float32.

    The size of a piece is bounded. An utterance of up to 31 s is one piece. Windows slide over a longer one; the frames
    at their ends are taken from the neighbour with context on both sides. An utterance that is too short for a frame is
    repeated.
    """
    length, hop, chunk = int(clips.lengths[row]), feature.hop_samples, feature.chunk_frames
    window, margin = (round(seconds * clips.sample_rate) // hop for seconds in (WINDOW_SECONDS, MARGIN_SECONDS))
    if chunk > 1:  # windows of whole chunks, which see nothing of each other; a part of a chunk at the end is left out
        window, margin, length = max(window // chunk, 1) * chunk, 0, max(length // hop // chunk, 1) * chunk * hop
    for first in itertools.count(0, window):
        start, stop = max(first - margin, 0), first + window + margin
        waveform = clips.read(row, start * hop, (stop - start) * hop)
        waveform = segments.fit_segment(waveform, max(len(waveform), feature.min_samples))
        frames = feature(torch.from_numpy(waveform)[None].to(device))[0].permute(2, 0, 1)
        at_end = stop * hop >= length
        yield frames[first - start : None if at_end else first - start + window]
        if at_end:
            return


def _compute(
    feature: Feature,
    clips: WaveformStore,
    own_row: NDArray[np.intp],
    catalogue: PartCatalogue,
    chosen: list[NDArray[np.intp]],
    device: torch.device | str,
    progress: bool,
) -> None:
    def make(job: StoreJob) -> Made:
        def blocks(at: int) -> Iterator[tuple[int, NDArray[np.float16]]]:
            for piece in feature_map_pieces(feature, clips, int(own_row[job.recordings[at]]), device):
                yield 1, half_precision_map(piece, job.paths[at]).cpu().contiguous().numpy()

        return write_part_samples(job, catalogue.folder, blocks, catalogue.unit_bytes)

    was_training = feature.training
    home = next((tensor.device for tensor in feature.state_dict().values()), torch.device("cpu"))
    feature.eval().to(device)
    try:
        with torch.no_grad():
            words = ("computing features", "computing features", "maps")
            store_builder.build_store_parts(catalogue, chosen, make, 0, 0, words, progress)
    finally:
        feature.train(was_training).to(home)


def _check_frozen(feature: Feature) -> None:
    if feature.unfreezes_later or any(p.requires_grad for n, p in feature.named_parameters() if _is_stored(n)):
        raise ValueError(
            f"{type(feature).__name__} has weights that are trained, so its maps change from step to step and cannot "
            "be kept: freeze them (feature.finetune_from_epoch=null), or compute the maps as they are needed, "
            "feature.cache=false."
        )


def _key(feature: Feature, config: Mapping[str, Any], sample_rate: int, conditions: Conditions) -> str:
    """Name of a store of feature maps: a hash of feature, weights, sample rate and conditioning."""
    facts = [VERSION, STORE_VERSION, sample_rate, list(conditions), config]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for name, tensor in sorted(feature.state_dict().items()):
        if _is_stored(name):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:20]


def _is_stored(weight: str) -> bool:
    """Whether a weight affects the stored maps; weights of the mask do not."""
    return not weight.startswith("mask.")


def half_precision_map(piece: Tensor, path: str) -> Tensor:
    """Convert a piece of a map to float16; a ValueError if it has values that are too large or not finite."""
    if not piece.isfinite().all():
        raise ValueError(
            f"The map of {path} has values that are no finite numbers: look at the file (dfx.audit) and at the "
            "feature's weights."
        )
    half = piece.half()
    if not half.isfinite().all():
        raise ValueError(
            f"The map of {path} has values up to {float(piece.abs().max()):g}, and half precision, in which maps are "
            "kept, ends at 65504: compute the maps as they are needed, feature.cache=false."
        )
    return half


def _announce(
    feature: Feature, clips: WaveformStore, rows: NDArray[np.intp], catalogue: PartCatalogue, device: torch.device | str
) -> None:
    """Print how many maps will be computed, and raise a ValueError if the disk is too small."""
    samples = int(clips.lengths[rows].sum())
    size = samples // feature.hop_samples * catalogue.unit_bytes
    what = f"{len(rows)} utterances ({samples / clips.sample_rate / 3600:.2f} h)"
    files.require_free_space(
        f"The maps of {what} take about {files.size_in_mib(size)}",
        size,
        catalogue.folder,
        ", or compute them as they are needed: feature.cache=false",
    )
    console.say(
        f"Computing {type(feature).__name__} of {what} on {device}, once, to about {files.size_in_mib(size)} "
        f"in {catalogue.folder}"
    )
