"""Files of vocoded twins: plan the files of a corpus, and make the missing ones."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from dfx import files
from dfx.audio import workers
from dfx.datasets import synthesis
from dfx.datasets.made_files import made_files_version, make_missing_files
from dfx.datasets.synthesis import twins
from dfx.datasets.synthesis.twins import COPY, VOCODERS, TwinJob, twin_reason_path

SOURCES = ("twins.py", "frames.py", "excitation.py")  # and vocoders/: code that decides the samples of a twin


def assign_vocoders(
    originals: pd.DataFrame, vocoders: Sequence[str], eval_only: Sequence[str], each: int, copies: bool
) -> Iterator[tuple[int, str, int]]:
    """Assign vocoders to originals in turn, speaker by speaker; yields row of the original, vocoder and band.

    So each vocoder occurs equally often within a split and, as far as possible, within a speaker. The order follows
    from a hash of the ids, not from that of the rows.

    Args:
        originals: columns id, speaker, split; rows are numbered from 0.
        vocoders: names, see `twins.VOCODERS`.
        eval_only: those of them that are used in eval only.
        each: vocoders for each original.
        copies: also a copy (`twins.COPY`) of each original, in the band of the first of its twins.
    """
    hashes = originals["id"].map(lambda name: hashlib.sha256(name.encode(errors="surrogateescape")).digest())
    order = originals.assign(hash=hashes).sort_values(["split", "speaker", "hash"])
    for split, members in order.groupby("split", sort=True):
        choice = [name for name in vocoders if split == "eval" or name not in eval_only]
        for number, row in enumerate(members.index):
            own = [choice[(number + step) % len(choice)] for step in range(min(each, len(choice)))]
            if copies:
                yield row, COPY, VOCODERS[own[0]].band_hz
            for vocoder in own:
                yield row, vocoder, VOCODERS[vocoder].band_hz


def plan_vocoded_files(
    folder: Path, originals: pd.DataFrame, assigned: Sequence[tuple[int, str, int]], codec: str
) -> list[TwinJob]:
    """Create the job of each file that `assign_vocoders` assigned.

    A file is `<vocoder>/<xx>/<readable part of the id>-<hash>.flac`; the hash is of everything that decides its
    samples, so a changed recording gets a new file, and corpora that share recordings share their twins.
    """
    names, paths = originals["id"].to_list(), originals["path"].to_list()
    identities = [_identity(path) for path in paths]
    jobs = []
    for row, vocoder, band_hz in assigned:
        key = f"{identities[row]}|{names[row]}|{vocoder}|{band_hz}|{codec}"
        digest = hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:16]
        readable = re.sub(r"[^A-Za-z0-9_-]+", "_", names[row])[-60:]
        target = os.path.join(folder, vocoder, digest[:2], f"{readable}-{digest}.flac")  # noqa: PTH118  (10^6 times)
        jobs.append(TwinJob(paths[row], target, names[row], vocoder, band_hz, codec))
    return jobs


def make_vocoded_files(
    folder: Path, jobs: Sequence[TwinJob], num_workers: int | None, progress: bool
) -> dict[str, str]:
    """Make the files that do not exist.

    Returns:
        Reason for each recording that cannot be used, by its path: it is not tried again until the file changes.

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
    bad = [job for job in jobs if twin_reason_path(job.target) in present]
    return {job.source: Path(twin_reason_path(job.target)).read_text(encoding="utf-8") for job in bad}


def vocoded_file_crash_error(jobs: Sequence[TwinJob], status: int) -> list[Sequence[TwinJob]]:
    """Raise an error that names the recording at which a process died: the first whose file does not exist."""
    at = next(iter(_missing(jobs)), jobs[-1])
    raise ValueError(
        f"A process died ({workers.worker_exit_status(status)}) while it made a twin of {at.source} by {at.vocoder}: a "
        "library crashed, or the memory is full. Start again, finished files are kept; if it dies there again, remove "
        "that recording."
    )


def vocoded_files_version() -> str:
    """Hash of the code that decides the samples of a twin."""
    folder = Path(synthesis.__file__).parent
    return made_files_version([folder / name for name in SOURCES] + sorted((folder / "vocoders").glob("*.py")))


def _identity(path: str) -> str:
    """Path, size and modification time of a recording, so that a changed file is a new recording."""
    try:
        status = os.stat(path)  # noqa: PTH116  (pathlib takes three times as long, 600,000 times)
    except OSError:
        return path
    return f"{path}|{status.st_size}|{status.st_mtime_ns}"


def _missing(jobs: Sequence[TwinJob]) -> list[TwinJob]:
    present = _present(jobs)
    return [job for job in jobs if job.target not in present and twin_reason_path(job.target) not in present]


def _present(jobs: Sequence[TwinJob]) -> set[str]:
    """All files in the folders of the jobs; listing folders is faster than looking at each file."""
    folders = {job.target.rpartition(os.sep)[0] for job in jobs}
    return {entry.path for folder in folders if Path(folder).is_dir() for entry in os.scandir(folder)}
