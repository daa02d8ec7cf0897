"""Building a waveform store: decoding the parts that are missing or damaged, in parallel, and the index at the end."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import signal
from collections import Counter

import numpy as np

from dfx import console, files
from dfx.audio import store_parts
from dfx.audio.store_index import Index, Plan, damaged, load_index
from dfx.audio.store_parts import BAD, Job
from dfx.audio.workers import each, ending, num_cores

MOST_GROWTH = 64  # 16-bit samples take at most so many times the room of their file; 5 kbit/s is 51 times
PROBED_FILES = 64  # headers read for the estimate of the size
FEW_BYTES = 32 << 20  # of source files: fewer are decoded by one worker faster than several start
BUILDING = "building the waveform store"
FILE_SECONDS = 120.0  # time limit of a small file: thousands of times what it takes, if no disk stalls
MOST_CASUALTIES = 500  # files; where more crash or hang, it is not the files


def complete(plan: Plan, num_workers: int | None, progress: bool, suspects: list[int]) -> Index:
    """Build what a store lacks, and decode again what is damaged; one process at a time.

    Raises:
        ValueError: if the disk has too little room or fills up, or worker processes are killed.
    """
    with (
        files.full_disk_is_an_error(plan.folder, "waveforms"),
        files.locked(plan.folder, BUILDING, console.say),
    ):
        index = load_index(plan)  # another process may have finished it while this one waited
        if index is not None:
            again = damaged(plan.folder, index, suspects)  # repaired meanwhile by another process, or not
            if not again:
                return index
            names = ", ".join(store_parts.data_path(plan.folder, part).name for part in again)
            console.say(f"The waveform store {plan.folder} is damaged; decoding again: {names}")
            for part in again:
                store_parts.notes_path(plan.folder, part).unlink(missing_ok=True)
        _decode(plan, range(len(plan.first) - 1), num_workers, progress)
        index = _finish(plan)
    if index is None:
        raise ValueError(
            f"Parts of {plan.folder} vanished while it was built: keep it to dfx, and start again."
        )
    return index


def complete_shard(
    plan: Plan, shard: int, num_shards: int, num_workers: int | None, progress: bool
) -> tuple[int, Index | None]:
    """Build every `num_shards`-th part from `shard` on; the index too, once the parts of all shards are there.

    Other processes, also on other hosts, may build other shards, or the whole, into the same folder at the same time:
    they write to files of their own and rename them when they are whole.

    Returns:
        How many files were decoded, and the index, or None while parts of other shards are missing.

    Raises:
        ValueError: as `complete`.
    """
    doing, lock = f"building shard {shard} of {num_shards} of", f"shard-{shard}-of-{num_shards}.lock"
    if num_shards == 1:
        doing, lock = BUILDING, "build.lock"
    with (
        files.full_disk_is_an_error(plan.folder, "waveforms"),
        files.locked(plan.folder, doing, console.say, lock),
    ):
        index, decoded = load_index(plan), 0
        if index is None:
            decoded = _decode(plan, range(shard, len(plan.first) - 1, num_shards), num_workers, progress)
            index = _finish(plan)
    return decoded, index


def _decode(plan: Plan, parts: range, num_workers: int | None, progress: bool) -> int:
    """Decode those of some parts that are not finished; returns the number of their files."""
    store_parts.remove_left_overs(plan.folder)
    jobs = []
    for part in parts:
        begin, end = plan.first[part : part + 2].tolist()
        if store_parts.load(plan.folder, part, end - begin) is None:
            paths = plan.paths[begin:end]
            jobs.append(
                Job(plan.folder, part, paths, plan.sample_rate, store_parts.owner(), FILE_SECONDS, {})
            )
    if not jobs:
        return 0
    source = sum(
        int(np.maximum(plan.sizes[plan.first[job.number] : plan.first[job.number + 1]], 0).sum())
        for job in jobs
    )
    workers = num_workers if num_workers is not None else num_cores()
    _announce(jobs, plan, source, workers)
    if source < FEW_BYTES:
        workers = min(workers, 1)
    try:
        total = sum(len(job.paths) for job in jobs)
        counts = each(store_parts.decode, jobs, workers, "decoding audio", Casualties())
        console.advancing(counts, "decoding", total, progress)
    finally:
        store_parts.remove_left_overs(plan.folder)
    return total


class Casualties:
    """What becomes of a job whose worker died: another attempt, and then the file it died at is a bad one.

    A decoder that crashes or hangs must not take the other files with it. The second attempt is for files that were not
    to blame: a network that stood still, a machine out of memory.
    """

    def __init__(self) -> None:
        self.deaths: Counter[tuple[int, int]] = Counter()
        self.files = 0

    def __call__(self, job: Job, status: int) -> Job:
        """The job to do next.

        Raises:
            ValueError: if the files are not to blame.
        """
        number = store_parts.num_done(job)
        self.deaths[job.number, number] += 1
        if self.deaths[job.number, number] == 1:
            return job
        killed = status in (-signal.SIGKILL, -signal.SIGTERM)
        if killed or number == len(job.paths):
            raise ValueError(
                f"Processes that were decoding audio were ended from outside, twice ({ending(status)}): most "
                "likely the memory ran out. Use fewer, `python -m dfx.prepare num_workers=1`; what is finished is kept."
            )
        path = job.paths[number]
        if status == -signal.SIGALRM:
            reason = f"decoding it took longer than {store_parts.limit_seconds(job, number):.0f} s"
        else:
            reason = f"its decoder crashed ({ending(status)})"
        self.files += 1
        if self.files > MOST_CASUALTIES:
            raise ValueError(
                f"More than {MOST_CASUALTIES} files crash or hang their decoder, the last one {path}: {reason}. "
                "So many are not bad: install soundfile, soxr and av anew; what is finished is kept."
            )
        console.say(f"Left out: {path}: {reason}")
        return job._replace(bad={**job.bad, number: reason})


def _finish(plan: Plan) -> Index | None:
    """Write the index from the parts, or None where one is missing."""
    sizes = np.diff(plan.first).tolist()
    found = [store_parts.load(plan.folder, part, size) for part, size in enumerate(sizes)]
    parts = [part for part in found if part is not None]
    if len(parts) != len(found):
        return None
    lengths = np.concatenate([part.lengths for part in parts])
    checksums = np.concatenate([part.checksums for part in parts])
    # Only those of bad files: NumPy gives every string the room of the longest.
    reasons = np.concatenate([part.reasons[part.lengths == BAD] for part in parts])
    bad = np.flatnonzero(lengths == BAD)
    index = Index(plan.first, lengths, checksums, bad, reasons)
    facts = {
        "sample_rate": plan.sample_rate,
        "files": len(lengths),
        "bad_files": len(bad),
        "hours": round(store_parts.num_samples(lengths) / plan.sample_rate / 3600, 3),
        "first_file": plan.paths[0],
        "decoders": {name: importlib.metadata.version(name) for name in ("soundfile", "soxr", "av")},
    }
    (plan.folder / "store.json").write_text(json.dumps(facts, indent=2))
    temporary = plan.folder / f"index@{store_parts.owner()}.tmp"
    with temporary.open("wb") as file:
        np.savez(file, **index._asdict())
    temporary.replace(plan.folder / "index.npz")
    return index


def _announce(jobs: list[Job], plan: Plan, source: int, num_workers: int) -> None:
    """Say what is about to be written, or refuse where the disk is too small for it."""
    paths = [path for job in jobs for path in job.paths]
    free = shutil.disk_usage(plan.folder).free
    what = f"{len(paths)} files ({_mib(source)})"
    if source < FEW_BYTES and source * MOST_GROWTH < free:
        console.say(f"Decoding {what}, once, in {plan.folder}")
        return
    sample = (paths[:: max(1, len(paths) // PROBED_FILES)], plan.sample_rate)
    try:
        growth = next(each(store_parts.growth, [sample], min(num_workers, 1), "reading headers"))
    except ValueError:  # a header that crashes its decoder: decoding will tell which file it is
        growth = store_parts.USUAL_GROWTH
    estimate = int(source * growth)
    if estimate > free:
        raise ValueError(
            f"{what} take about {_mib(estimate)} as {plan.sample_rate} Hz waveforms, but {plan.folder} has "
            f"{_mib(free)} free. Free some room, or give another folder by $DFX_CACHE or cache=."
        )
    console.say(f"Decoding {what}, once, to about {_mib(estimate)} in {plan.folder}")


def _mib(size: int) -> str:
    digits = 0 if size > 10 << 20 else 1
    return f"{size / 2**20:,.{digits}f} MiB"
