"""The feature store: maps of frozen features, computed once for each utterance, of which later runs read crops.

A store is a folder `<cache>/features/<key>`; the key is a hash of the feature's configuration and weights, of the
sample rate and of the conditioning. Each utterance has a file there, named by a hash of path, size and modification
time of its audio, so a changed file gives a new map, and corpora that share files share maps. The file holds frame
after frame, each (channels, bins) in little-endian float16, and a byte that ends it: a crop is one piece of it, and
nothing else is read. It appears by renaming, when it is whole, so there is no index to lose.

What is kept is the map of the whole utterance, and a crop of that is not what the same crop of the waveform would give:
attention and norms over time see all of the utterance here (up to 30 s), there only the segment; and a short utterance
is filled by repeating its frames, not its samples. For an utterance of the length of a segment the maps are equal but
for the rounding to half precision: by at most 2^-11 of each value, or 2^-25 where that is more.

Files are opened for each crop, not mapped: a corpus has more of them than a process may map or hold open at once, and
the page cache of the operating system serves them as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dfx import files
from dfx.audio import store_index, store_parts
from dfx.audio.conditioned_store import Waveforms
from dfx.audio.conditioning import Conditions
from dfx.detector import feature_build
from dfx.detector.feature_build import ABSENT, VALUE_BYTES, Job, Site
from dfx.features.base import Feature
from dfx.files import cache_dir
from dfx.tables.manifest import Manifest

VERSION = 1  # of what is kept and how: a new number computes every map anew
NOT_THE_MAP = ("cache", "mask")  # options of a feature that leave its map as it is


class FeatureStore:
    """Maps of rows of a manifest, read crop by crop; made by `open_features`.

    Attributes:
        path: folder of the store.
        lengths: (rows,) in frames, -1 for a row that was not asked for.
    """

    def __init__(self, path: Path, names: list[str], lengths: NDArray[np.int64], shape: tuple[int, int]):
        self.path = path
        self.lengths = lengths
        self._names = names
        self._shape = shape

    def __len__(self) -> int:
        return len(self.lengths)

    def length(self, row: int) -> int:
        """Frames of one row of the manifest; -1 where it has no map."""
        return int(self.lengths[row])

    def read(self, row: int, start: int = 0, num_samples: int | None = None) -> NDArray[np.float16]:
        """Frames of one row from `start`: `num_samples` of them, or fewer where the utterance ends.

        Returns:
            (frames, channels, bins) float16.

        Raises:
            ValueError: if the row has no map, or `start` is outside it.
        """
        length = self.length(row)
        if not 0 <= start <= length:
            raise ValueError(
                f"Row {row} has {max(length, 0)} frames, but was to be read from {start}: start inside it, and open "
                "the store with all rows that are read."
            )
        count = length - start if num_samples is None else min(length - start, num_samples)
        values = self._shape[0] * self._shape[1]
        path = feature_build.map_path(self.path, self._names[row])
        try:
            found = np.fromfile(path, "<f2", count * values, offset=start * values * VALUE_BYTES)
        except FileNotFoundError:
            found = np.empty(0, np.float16)
        if len(found) != count * values:
            raise ValueError(
                f"{path} ends early, or is gone: it was changed while in use. Start again: opening a store repairs it."
            )
        return found.reshape(count, *self._shape)


def open_features(
    feature: Feature,
    clips: Waveforms,
    manifest: Manifest,
    rows: NDArray[np.intp],
    config: Mapping[str, Any],
    conditions: Conditions | None = None,
    cache: str | Path | None = None,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> FeatureStore:
    """Store of a feature's maps of some utterances; computes what is not there yet.

    Several processes may ask at once, also on several hosts that share the folder: they divide the work among them.

    Args:
        feature: frozen, with its weights; it is left as it was.
        clips: the waveforms of the manifest, conditioned or not.
        manifest: the utterances.
        rows: those whose maps are wanted.
        config: resolved configuration of the feature.
        conditions: those of the clips.
        cache: folder of the stores; `cache_dir()` if None.
        device: where maps are computed.
        progress: show a bar on stderr.

    Raises:
        ValueError: if the feature is trained or does not say how far its frames are apart, the disk has too little
            room, or a map does not fit in half precision.
    """
    _check_frozen(feature)
    config = {k: v for k, v in config.items() if k not in NOT_THE_MAP} | feature.rebuild()
    root = Path(cache).expanduser() if cache else cache_dir()
    folder = (
        root.absolute() / "features" / _key(feature, config, clips.sample_rate, conditions or Conditions())
    )
    channels, bins, _ = feature.output_shape(max(clips.sample_rate, feature.min_samples))
    names = _names(manifest.table["path"].tolist())
    lengths = np.full(len(names), ABSENT, np.int64)
    lengths[rows] = _lengths(folder, [names[row] for row in rows], channels * bins)
    missing = {names[row]: int(row) for row in rows if lengths[row] <= 0}
    if missing:
        facts = {"feature": config, "sample_rate": clips.sample_rate, "conditions": conditions}
        with files.full_disk_is_an_error(folder, "maps"):
            _describe(folder, facts)
        jobs = [Job(name, row, str(manifest.table["path"].iloc[row])) for name, row in missing.items()]
        feature_build.fill(Site(folder, feature, clips, device, channels * bins), jobs, progress)
        lengths[rows] = _lengths(folder, [names[row] for row in rows], channels * bins)
    if (lengths[rows] <= 0).any():
        raise ValueError(f"Maps in {folder} vanished while they were used: keep it to dfx, and start again.")
    return FeatureStore(folder, names, lengths, (channels, bins))


def _check_frozen(feature: Feature) -> None:
    if feature.unfreezes_later or any(p.requires_grad for n, p in feature.named_parameters() if _kept(n)):
        raise ValueError(
            f"{type(feature).__name__} has weights that are trained, so its maps change from step to step and cannot "
            "be kept: freeze them (feature.finetune_from_epoch=null), or compute the maps as they are needed, "
            "feature.cache=false."
        )


def _key(feature: Feature, config: Mapping[str, Any], sample_rate: int, conditions: Conditions) -> str:
    """Name of a store: another one when anything changes that its maps depend on, but for the files."""
    facts = [VERSION, store_index.VERSION, sample_rate, list(conditions), config]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for name, tensor in sorted(feature.state_dict().items()):
        if _kept(name):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:20]


def _kept(weight: str) -> bool:
    """Whether a weight of a feature has a part in its map; the mask comes after."""
    return not weight.startswith("mask.")


def _names(paths: list[str]) -> list[str]:
    """Name of the map of each file: another one when the file changes."""
    sizes, times = store_index.look_at(paths)
    facts = zip(paths, sizes.tolist(), times.tolist(), strict=True)
    digests = (
        hashlib.sha256(f"{path}\0{size} {at}".encode(errors="surrogateescape")) for path, size, at in facts
    )
    return [digest.hexdigest()[:24] for digest in digests]


def _lengths(folder: Path, names: list[str], values: int) -> NDArray[np.int64]:
    """Frames of each map, each of so many values; -1 where there is none that is whole."""
    sizes, _ = store_index.look_at([str(feature_build.map_path(folder, name)) for name in names])
    return feature_build.num_frames(sizes, values)


def _describe(folder: Path, facts: dict[str, Any]) -> None:
    """What the store holds, for people."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"store@{store_parts.owner()}.tmp"
    temporary.write_text(json.dumps(facts, indent=2, default=str), encoding="utf-8")
    temporary.replace(folder / "store.json")
