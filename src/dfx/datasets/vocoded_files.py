"""Plan the audio files of a vocoded dataset, and make the missing files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dfx import files
from dfx.audio import workers
from dfx.datasets import synthesis
from dfx.datasets.made_files import made_files_version, make_missing_files
from dfx.datasets.synthesis import twins
from dfx.datasets.synthesis.twins import COPY, VOCODERS, TwinJob, twin_reason_path

SOURCES = ("twins.py", "frames.py", "excitation.py")  # and vocoders/: code that decides the samples of a twin


def plan_vocoded_files(
    folder: Path,
    originals: pd.DataFrame,
    vocoders: Sequence[str],
    eval_only: Sequence[str],
    each: int,
    copies: bool,
    codec: str,
) -> list[TwinJob]:
    """Assign vocoders to original recordings in turn, and return the job of each file.

    Recordings are ordered by split and speaker. So each vocoder occurs equally often within a split and, as far as
    possible, within a speaker. The order follows from a hash of the ids, not from that of the rows.

    A file is `<vocoder>/<xx>/<readable part of the id>-<hash>.flac`; the hash is of everything that decides its
    samples, so a changed recording gets a new file, and corpora that share recordings share their twins.

    Args:
        folder: of the files.
        originals: columns id, path, speaker, split.
        vocoders: names, see `twins.VOCODERS`.
        eval_only: those of them that are used in eval only.
        each: vocoders for each original.
        copies: also a copy (`twins.COPY`) of each original, in the band of the first of its twins.
        codec: see `TwinJob`.
    """
    hashes = originals["id"].map(lambda name: hashlib.sha256(name.encode(errors="surrogateescape")).digest())
    order = originals.assign(hash=hashes).sort_values(["split", "speaker", "hash"])
    jobs = []
    for split, members in order.groupby("split"):
        choice = [name for name in vocoders if split == "eval" or name not in eval_only]
        for number, (name, source) in enumerate(zip(members["id"], members["path"], strict=True)):
            own = [choice[(number + step) % len(choice)] for step in range(min(each, len(choice)))]
            identity, readable = _identity(source), re.sub(r"[^A-Za-z0-9_-]+", "_", name)[-60:]
            for vocoder in [COPY, *own] if copies else own:
                band_hz = VOCODERS[own[0] if vocoder == COPY else vocoder].band_hz
                key = f"{identity}|{name}|{vocoder}|{band_hz}|{codec}"
                digest = hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:16]
                target = f"{folder}{os.sep}{vocoder}{os.sep}{digest[:2]}{os.sep}{readable}-{digest}.flac"
                jobs.append(TwinJob(source, target, name, vocoder, band_hz, codec))
    return jobs


def make_vocoded_files(
    folder: Path, jobs: Sequence[TwinJob], num_workers: int | None, progress: bool
) -> dict[str, str]:
    """Make the twins and copies that do not exist yet.

    Returns:
        Reason for each recording that cannot be used, by its path: it is not tried again until the file changes, or by
        the next call if the reason may be temporary.

    Raises:
        ValueError: if a file cannot be written, or a process dies.
    """
    if _missing(jobs):
        for place in folder.glob("*/*"):
            files.remove_abandoned_files(place)
        make_missing_files(
            folder,
            lambda: _missing(jobs),
            twins.write_twins,
            "making vocoded twins",
            num_workers,
            progress,
            vocoded_file_crash_error,
        )
    present = _present(jobs)
    reasons = {}
    for job in jobs:
        if job.target not in present:
            lasting, temporary = twin_reason_path(job.target), twin_reason_path(job.target, may_pass=True)
            reason = lasting if lasting in present else temporary
            reasons[job.source] = Path(reason).read_text(encoding="utf-8")
    return reasons


def vocoded_file_crash_error(jobs: Sequence[TwinJob], status: int) -> list[Sequence[TwinJob]]:
    """Raise an error that names the recording at which a worker process died."""
    at = next(iter(_missing(jobs)), jobs[-1])
    raise ValueError(
        f"A process died ({workers.worker_exit_status(status)}) while it made a twin of {at.source} by {at.vocoder}: a "
        "library crashed, or the memory is full. Start again, finished files are kept; if it dies there again, remove "
        "that recording."
    )


def vocoded_files_version() -> str:
    """Hash of the source code that determines the samples of a twin."""
    folder = Path(synthesis.__file__).parent
    return made_files_version([folder / name for name in SOURCES] + sorted((folder / "vocoders").glob("*.py")))


def _identity(path: str) -> str:
    """Text that identifies a recording: path, size and modification time."""
    try:
        status = os.stat(path)  # noqa: PTH116  (pathlib takes three times as long, 600,000 times)
    except OSError:
        return path
    return f"{path}|{status.st_size}|{status.st_mtime_ns}"


def _missing(jobs: Sequence[TwinJob]) -> list[TwinJob]:
    present = _present(jobs)
    return [job for job in jobs if job.target not in present and twin_reason_path(job.target) not in present]


def _present(jobs: Sequence[TwinJob]) -> set[str]:
    """List all files in the folders of the jobs, which is faster than looking at each file."""
    folders = {job.target.rpartition(os.sep)[0] for job in jobs}
    return {entry.path for folder in folders if Path(folder).is_dir() for entry in os.scandir(folder)}
