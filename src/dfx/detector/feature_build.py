"""Filling a feature store: the maps that are missing, utterance by utterance, by several processes together."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import filelock
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfx import console, files
from dfx.audio import segments, store_index, store_parts
from dfx.audio.conditioned_store import Waveforms
from dfx.features.base import Feature

VALUE_BYTES = 2
# The last byte of a whole map. A file that a power cut cut off ends at a block or at a value, so its size is even. To
# wait for the disk at each map instead takes 5 ms, and a second where others write to it.
END = b"\1"
ABSENT = -1  # length of a map that is not there
WINDOW_SECONDS = 30.0  # computed at once of a long utterance: attention takes memory with the square of it
MARGIN_SECONDS = (
    1.0  # computed on both sides of a window and left out: the reach of convolutions, and context
)


class Job(NamedTuple):
    """A map to compute: its name in the store, the row of its waveform, and the file, for errors."""

    name: str
    row: int
    path: str


class Site(NamedTuple):
    """Where maps are made.

    Attributes:
        folder: of the store; it is there.
        feature: frozen; it is left as it was, on the device and in the mode where it was.
        clips: the waveforms.
        device: where maps are computed.
        values: of a frame: channels times bins.
    """

    folder: Path
    feature: Feature
    clips: Waveforms
    device: torch.device | str
    values: int


def fill(site: Site, jobs: Sequence[Job], progress: bool) -> None:
    """Compute the maps of some utterances that are not there yet; a process that is killed loses the one in work.

    Args:
        site: the store, and what its maps are made from.
        jobs: the utterances.
        progress: show a bar on stderr.

    Raises:
        ValueError: if the disk has too little room or fills up, or a map does not fit in half precision.
    """
    folder, feature = site.folder, site.feature
    _announce(site, jobs)
    store_parts.remove_left_overs(folder)
    was_training = feature.training
    home = next((tensor.device for tensor in feature.state_dict().values()), torch.device("cpu"))
    feature.eval().to(site.device)
    try:
        with files.full_disk_is_an_error(folder, "maps"), torch.no_grad():
            console.advancing(_compute(site, jobs), "computing features", len(jobs), progress)
    finally:
        feature.train(was_training).to(home)
        store_parts.remove_left_overs(folder)


def map_path(folder: Path, name: str) -> Path:
    """File of a map; in 256 folders, because a corpus has hundreds of thousands."""
    return folder / name[:2] / f"{name[2:]}.f16"


def num_frames(sizes: NDArray[np.int64], values: int) -> NDArray[np.int64]:
    """Frames of maps whose files have these sizes in bytes and so many values in each frame; -1 where none is whole."""
    frames, rest = np.divmod(sizes - len(END), values * VALUE_BYTES)
    return np.where((rest == 0) & (frames > 0), frames, ABSENT)


def pieces(site: Site, row: int) -> Iterator[Tensor]:
    """The map of a whole utterance, (frames, channels, bins) in float32, in pieces of bounded size.

    An utterance of up to 31 s is one piece. Windows slide over a longer one; the frames at their ends are taken from
    the neighbour that saw what lies around them. An utterance that is too short for a frame is repeated.
    """
    feature, clips = site.feature, site.clips
    length, hop = clips.length(row), feature.hop_samples
    window, margin = (
        round(seconds * clips.sample_rate) // hop for seconds in (WINDOW_SECONDS, MARGIN_SECONDS)
    )
    for first in itertools.count(0, window):
        start, stop = max(first - margin, 0), first + window + margin
        waveform = clips.read(row, start * hop, (stop - start) * hop)
        waveform = segments.fit(waveform, max(len(waveform), feature.min_samples))
        frames = feature(torch.from_numpy(waveform)[None].to(site.device))[0].permute(2, 0, 1)
        at_end = stop * hop >= length
        yield frames[first - start : None if at_end else first - start + window]
        if at_end:
            return


def _compute(site: Site, jobs: Sequence[Job]) -> Generator[int]:
    """Do the jobs, first those that no other process is at, then those that others leave; yields 1 for each."""
    waiting = []
    for job in jobs:
        lock = filelock.FileLock(site.folder / f"{job.name}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            waiting.append(job)
            continue
        _do(site, job, lock)
        yield 1
    for job in waiting:
        lock = filelock.FileLock(site.folder / f"{job.name}.lock")
        lock.acquire()
        _do(site, job, lock)
        yield 1


def _do(site: Site, job: Job, lock: filelock.BaseFileLock) -> None:
    """Compute one map and write it, atomically, unless another process has; frees the lock that is held."""
    path = map_path(site.folder, job.name)
    try:
        sizes, _ = store_index.look_at([str(path)])
        if num_frames(sizes, site.values)[0] == ABSENT:
            temporary = site.folder / f"{job.name}@{store_parts.owner()}.tmp"
            with temporary.open("wb") as file:
                for piece in pieces(site, job.row):
                    file.write(_half(piece, job.path).cpu().contiguous().numpy().data)
                file.write(END)
            path.parent.mkdir(exist_ok=True)
            temporary.replace(path)
        # Before the lock is free. A process that waits for this very file, and one that makes it anew, may then both
        # hold a lock, and both find the map done.
        Path(lock.lock_file).unlink(missing_ok=True)
    finally:
        lock.release()


def _half(piece: Tensor, path: str) -> Tensor:
    """A piece in half precision.

    Raises:
        ValueError: if it has values that are too large for it, or not finite.
    """
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


def _announce(site: Site, jobs: Sequence[Job]) -> None:
    """Say what is about to be written, or refuse where the disk is too small for it."""
    folder, feature, clips = site.folder, site.feature, site.clips
    samples = sum(clips.length(job.row) for job in jobs)
    estimate = samples // feature.hop_samples * site.values * VALUE_BYTES
    free = shutil.disk_usage(folder).free
    what = f"{len(jobs)} utterances ({samples / clips.sample_rate / 3600:.2f} h)"
    if estimate > free:
        raise ValueError(
            f"The maps of {what} take about {_size(estimate)}, but {folder} has {_size(free)} free. Free some room, "
            "give another folder by $DFX_CACHE or cache=, or compute them as they are needed: feature.cache=false."
        )
    console.say(
        f"Computing {type(feature).__name__} of {what} on {site.device}, once, to about {_size(estimate)} in {folder}"
    )


def _size(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 1 << 30 else f"{size / 2**20:.1f} MiB"
