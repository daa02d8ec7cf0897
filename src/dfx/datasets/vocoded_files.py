"""The files of vocoded twins: which a corpus needs, where they lie, which are not there yet."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from dfx import console, files
from dfx.audio import workers
from dfx.datasets import synthesis
from dfx.datasets.synthesis import twins
from dfx.datasets.synthesis.twins import COPY, VOCODERS, Job, reason_path

CHUNK = 8  # files a process makes at a time: about a second, so the bar moves and no process is left alone at the end
FEW_FILES = 50  # fewer are made faster than worker processes start
SOURCES = ("twins.py", "frames.py", "excitation.py")  # and vocoders/: what decides how a twin sounds


def deal(
    originals: pd.DataFrame, vocoders: Sequence[str], eval_only: Sequence[str], each: int, copies: bool
) -> Iterator[tuple[int, str, int]]:
    """Row of an original, vocoder and its band, for every file: vocoders in turn, speaker by speaker.

    So each vocoder comes equally often within a split and, as far as it goes, within a speaker. The order follows from
    a hash of the ids, not from that of the rows.

    Args:
        originals: columns id, speaker, split; rows are numbered from 0.
        vocoders: names, see `twins.VOCODERS`.
        eval_only: those of them that only the split eval gets.
        each: vocoders for an original.
        copies: also a copy (`twins.COPY`) of each original, as narrow as the first of its twins.
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


def plan(
    folder: Path, originals: pd.DataFrame, dealt: Sequence[tuple[int, str, int]], codec: str
) -> list[Job]:
    """The job of each file that was dealt.

    A file lies at `<vocoder>/<xx>/<readable part of the id>-<hash>.flac`; the hash is of everything that its samples
    follow from, so a recording that was changed gets a new file, and corpora that share recordings share their twins.
    """
    names, paths = originals["id"].to_list(), originals["path"].to_list()
    facts = [_identity(path) for path in paths]
    jobs = []
    for row, vocoder, band_hz in dealt:
        key = f"{facts[row]}|{names[row]}|{vocoder}|{band_hz}|{codec}"
        digest = hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:16]
        readable = re.sub(r"[^A-Za-z0-9_-]+", "_", names[row])[-60:]
        target = os.path.join(folder, vocoder, digest[:2], f"{readable}-{digest}.flac")  # noqa: PTH118  (10^6 times)
        jobs.append(Job(paths[row], target, names[row], vocoder, band_hz, codec))
    return jobs


def make(folder: Path, jobs: Sequence[Job], num_workers: int, progress: bool) -> dict[str, str]:
    """Make the files that are not there, in worker processes where that pays.

    Returns:
        Why a recording cannot be used, by its path: such files are not made, nor tried again until it changes.

    Raises:
        ValueError: if a file cannot be written, or a process dies.
    """
    if _missing(jobs):
        with files.locked(folder, "making vocoded twins in", console.say):
            for left_over in folder.glob("*/*/*.tmp"):
                left_over.unlink()
            missing = _missing(jobs)
            if missing:  # another process may have made them while this one waited
                _make(missing, folder, num_workers if len(missing) >= FEW_FILES else 0, progress)
    there = _there(jobs)
    bad = [job for job in jobs if reason_path(job.target) in there]
    return {job.source: Path(reason_path(job.target)).read_text(encoding="utf-8") for job in bad}


def _make(jobs: Sequence[Job], folder: Path, num_workers: int, progress: bool) -> None:
    console.say(f"Making {len(jobs)} files of vocoded twins, once, in {folder}")
    chunks = [jobs[first : first + CHUNK] for first in range(0, len(jobs), CHUNK)]
    counts = workers.each(twins.write, chunks, num_workers, "making vocoded twins", _died)
    console.advancing(counts, "making vocoded twins", len(jobs), progress)


def _died(jobs: Sequence[Job], status: int) -> Sequence[Job]:
    """Name the recording at which a process died: the first of its files that is not there."""
    at = next(iter(_missing(jobs)), jobs[-1])
    raise ValueError(
        f"A process died ({workers.ending(status)}) while it made a twin of {at.source} by {at.vocoder}: a library "
        "crashed at it, or the memory ran out. Start again, what is finished is kept; if it dies there once more, take "
        "that recording out."
    )


def version() -> str:
    """Whatever decides how a twin sounds."""
    folder = Path(synthesis.__file__).parent
    digest = hashlib.sha256()
    for source in [folder / name for name in SOURCES] + sorted((folder / "vocoders").glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _identity(path: str) -> str:
    """A recording as it is now: a changed file is another one."""
    try:
        status = os.stat(path)  # noqa: PTH116  (pathlib takes three times as long, 600,000 times)
    except OSError:
        return path
    return f"{path}|{status.st_size}|{status.st_mtime_ns}"


def _missing(jobs: Sequence[Job]) -> list[Job]:
    there = _there(jobs)
    return [job for job in jobs if job.target not in there and reason_path(job.target) not in there]


def _there(jobs: Sequence[Job]) -> set[str]:
    """What the folders of the files hold: a listing takes far less time than a look at each file."""
    folders = {job.target.rpartition(os.sep)[0] for job in jobs}
    return {entry.path for folder in folders if Path(folder).is_dir() for entry in os.scandir(folder)}
