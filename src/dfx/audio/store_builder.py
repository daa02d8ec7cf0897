"""Add missing recordings to a store: decode or condition them in batches, in worker processes.

A batch is 4 to 64 MiB of source files. It is locked while a process works on it, so that several processes and hosts
can share a corpus, and it becomes a part of the store, so that a killed build loses only its current batches.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import filelock
import numpy as np
from numpy.typing import NDArray

from dfx import audio, console, files
from dfx.audio import part_writing, parts, workers
from dfx.audio.conditioning import Conditions
from dfx.audio.part_catalogue import PartCatalogue
from dfx.audio.part_writing import SAMPLE_BYTES, Made, StoreJob

SLOWEST_BYTES = 50_000  # of a file decoded in a second; Opus at 5 kbit/s, the slowest, reaches ten times that
MOST_GROWTH = 64  # largest ratio of decoded samples to file size; 51 at 5 kbit/s
USUAL_GROWTH = 2.0  # of FLAC, if no header gives a length
PROBED_FILES = 64  # headers read for the estimate of the size
HEADER_SECONDS = 60.0  # time limit for reading them
FEW_BYTES = 32 << 20  # of source files: one worker decodes fewer before several have started
MOST_CRASHES = 500  # files; if more crash or hang, the files are not the cause
ROUNDS = 3  # attempts to make what is missing


def build_decoded_store(
    catalogue: PartCatalogue,
    chosen: Sequence[NDArray[np.intp]],
    sample_rate: int,
    num_workers: int | None,
    progress: bool,
) -> int:
    """Decode the missing recordings of given batches into a store; return how many this process decoded."""
    missing = _missing(catalogue, chosen)
    if not len(missing):
        return 0
    source = int(np.maximum(catalogue.sizes[missing], 0).sum())
    catalogue.folder.mkdir(parents=True, exist_ok=True)
    say = console.say if progress else lambda text: None
    paths = [catalogue.paths[number] for number in missing]
    _announce_decoding(paths, source, catalogue.folder, sample_rate, num_workers, say)
    return build_store_parts(
        catalogue,
        chosen,
        partial(part_writing.decode_job, folder=catalogue.folder, sample_rate=sample_rate, limits=catalogue.limits),
        num_workers,
        source,
        ("decoding audio", "decoding", "waveforms"),
        progress,
    )


def build_conditioned_store(
    plain: PartCatalogue,
    conditioned: PartCatalogue,
    sample_rate: int,
    conditions: Conditions,
    num_workers: int | None,
    progress: bool,
) -> int:
    """Condition decoded clips that another store lacks; return how many this process conditioned."""
    chosen = parts.part_batches(np.maximum(plain.length, 0) * SAMPLE_BYTES)
    missing = _missing(conditioned, chosen)
    if not len(missing):
        return 0
    size = int(plain.length[missing].sum()) * SAMPLE_BYTES
    conditioned.folder.mkdir(parents=True, exist_ok=True)
    files.require_free_space(
        f"{len(missing)} conditioned clips take about {files.size_in_mib(size)}", size, conditioned.folder
    )
    if progress:
        console.say(
            f"Conditioning {len(missing)} clips, once, to about {files.size_in_mib(size)} in {conditioned.folder}"
        )
    return build_store_parts(
        conditioned,
        chosen,
        partial(
            part_writing.write_conditioned_part,
            folder=conditioned.folder,
            sample_rate=sample_rate,
            conditions=conditions,
        ),
        num_workers,
        size,
        ("conditioning clips", "conditioning", "waveforms"),
        progress,
        plain,
    )


def build_store_parts(
    catalogue: PartCatalogue,
    chosen: Sequence[NDArray[np.intp]],
    function: Callable[[StoreJob], Made],
    num_workers: int | None,
    num_bytes: int,
    words: tuple[str, str, str],
    progress: bool,
    plain: PartCatalogue | None = None,
) -> int:
    """Write the missing parts of a store; several processes can share the work.

    Args:
        catalogue: of the store; complete afterwards.
        chosen: batches, numbers of recordings.
        function: writes the samples of a part, but not its table.
        num_workers: processes; one for each core if None, 0 for this process.
        num_bytes: size of the input; one worker is used if it is small.
        words: for messages: task ("decoding audio"), label of the bar ("decoding"), product ("waveforms").
        progress: show a bar on stderr.
        plain: catalogue of the decoded clips, if the parts are made from these.

    Returns:
        Number of recordings that this process made.

    Raises:
        ValueError: if the disk fills up, workers are killed, or what was written is not there afterwards.
    """
    doing, label, what = words
    num_workers = workers.num_cores() if num_workers is None else num_workers
    if num_bytes < FEW_BYTES:
        num_workers = min(num_workers, 1)
    builder = _Builder(catalogue, chosen, function, num_workers, doing, plain)
    parts.remove_abandoned_parts(catalogue.folder)
    for _ in range(ROUNDS):
        with files.full_disk_is_an_error(catalogue.folder, what):
            console.progress_bar(builder.run(), label, len(_missing(catalogue, chosen)), progress)
        # A part may have been merged, or found damaged, in the moment in which it was looked for.
        if not len(missing := _missing(catalogue, chosen)):
            return builder.num_made
    raise ValueError(
        f"{len(missing)} {what} vanished from {catalogue.folder} while they were written, {ROUNDS} times, the first "
        f"those of {catalogue.paths[missing[0]]}: look at the disk, keep the folder to dfx, and start again."
    )


@dataclass
class _Builder:
    """Builder of the missing parts of a store; several processes share the batches.

    Batches that another process has locked come last, if they are still incomplete. A job whose worker died or took too
    long is tried once more, with the file alone; after that the file is a bad file. A decoder that crashes or hangs
    must not affect other files of the job, and there are other causes: a network that was interrupted, a machine out of
    memory.
    """

    catalogue: PartCatalogue
    chosen: Sequence[NDArray[np.intp]]
    function: Callable[[StoreJob], Made]
    num_workers: int
    doing: str
    plain: PartCatalogue | None
    num_made: int = 0
    made_by_others: int = 0
    num_crashed: int = 0  # files
    locks: dict[int, filelock.BaseFileLock] = field(default_factory=dict)
    left: dict[int, int] = field(default_factory=dict)  # unfinished recordings of each batch
    unfinished: set[str] = field(default_factory=set)  # names of parts
    busy: list[int] = field(default_factory=list)  # batches that other processes have locked
    waits: bool = False

    def run(self) -> Generator[int]:
        """Build all batches, and yield the number of newly finished recordings after each part."""
        todo = [number for number, batch in enumerate(self.chosen) if len(self.catalogue.missing(batch))]
        while todo:
            self.busy = []
            yield from self._round(todo)
            if len(self.busy) == len(todo):
                self._wait_for(todo[0])
            todo = self.busy

    def _round(self, todo: Sequence[int]) -> Generator[int]:
        made = workers.run_in_workers(
            self.function, self._jobs(todo), self.num_workers, self.doing, self._seconds_of, self._after_crash
        )
        try:
            with contextlib.closing(made):
                for job, entries in made:
                    parts.write_part_table(self.catalogue.folder, job.name, entries, self.catalogue.unit_bytes)
                    self.unfinished.discard(job.name)
                    self.catalogue.add_part(job.name, job.recordings, entries)
                    self.num_made += len(entries)
                    self.left[job.batch] -= len(entries)
                    if not self.left[job.batch]:
                        self._release(job.batch)
                    yield len(entries) + self.made_by_others
                    self.made_by_others = 0
        finally:
            for number in list(self.locks):
                self._release(number)
            for name in self.unfinished:
                part_writing.remove_unfinished_part(self.catalogue.folder, name)
        self.catalogue.refresh()

    def _jobs(self, todo: Sequence[int]) -> Iterator[StoreJob]:
        for number in todo:
            lock = self._lock(number)
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                self.busy.append(number)
                continue
            self.locks[number] = lock
            before = len(self.catalogue.missing(self.chosen[number]))
            self.catalogue.refresh()
            missing = self.catalogue.missing(self.chosen[number])
            self.made_by_others += before - len(missing)
            if not len(missing):
                self._release(number)
                continue
            self.left[number] = len(missing)
            sizes, mtimes = self.catalogue.sizes[missing].tolist(), self.catalogue.mtimes[missing].tolist()
            job = StoreJob(
                number,
                parts.new_part_name(),
                missing.tolist(),
                [self.catalogue.paths[recording] for recording in missing],
                list(zip(sizes, mtimes, strict=True)),
                [part_writing.decoded_clip(self.plain, recording) for recording in missing] if self.plain else [],
            )
            self.unfinished.add(job.name)
            yield job

    def _lock(self, number: int) -> filelock.BaseFileLock:
        paths = "\0".join(self.catalogue.paths[recording] for recording in self.chosen[number].tolist())
        digest = hashlib.sha256(paths.encode(errors="surrogateescape")).hexdigest()[:16]
        return filelock.FileLock(self.catalogue.folder / f"{digest}.lock")

    def _release(self, number: int) -> None:
        lock = self.locks.pop(number)
        # Before the release: processes that wait for this file, or create a new one, then find the batch done.
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()

    def _wait_for(self, number: int) -> None:
        if not self.waits:
            console.say(f"Another process is {self.doing} in {self.catalogue.folder}; waiting for it")
            self.waits = True
        with self._lock(number):
            pass
        self.catalogue.refresh()

    def _after_crash(self, job: StoreJob, status: int) -> list[StoreJob]:
        """Return the jobs that replace a job whose worker died; a ValueError if the files are not the cause."""
        folder = self.catalogue.folder
        at = part_writing.read_progress(folder, job.name)
        part_writing.remove_unfinished_part(folder, job.name)
        self.unfinished.discard(job.name)
        killed = status in (-signal.SIGKILL, -signal.SIGTERM)
        if job.attempts and (killed or at is None):
            raise ValueError(
                f"Processes that were {self.doing} were ended from outside, twice "
                f"({workers.worker_exit_status(status)}): most likely the memory ran out. Use fewer, `python -m "
                "dfx.prepare num_workers=1`; finished files are kept."
            )
        if at is None:
            again = [job.share(0, len(job.paths))._replace(attempts=1)]
        elif len(job.paths) > 1 or not job.attempts:
            before, alone, after = job.share(0, at), job.share(at, at + 1), job.share(at + 1, len(job.paths))
            again = [share for share in (before, alone._replace(attempts=1), after) if share.paths]
        else:
            again = [job.share(0, 1)._replace(reason=self._crash_reason(job, status))]
        self.unfinished.update(share.name for share in again)
        return again

    def _crash_reason(self, job: StoreJob, status: int) -> str:
        reason = f"its decoder crashed ({workers.worker_exit_status(status)})"
        if status == workers.TOOK_TOO_LONG:
            seconds = self._seconds_of(job)
            advice = "or raise limits.seconds" if seconds == self.catalogue.limits.seconds else "or leave it out"
            reason = f"decoding it took longer than {seconds:.4g} s: convert it to WAV, {advice}"
        self.num_crashed += 1
        if self.num_crashed > MOST_CRASHES:
            raise ValueError(
                f"More than {MOST_CRASHES} files crash or hang their decoder, the last one {job.paths[0]}: {reason}. "
                "So many are not bad: reinstall soundfile, soxr and av; finished files are kept."
            )
        console.say(f"Left out: {job.paths[0]}: {reason}")
        return self.catalogue.limits.add_to(reason)

    def _seconds_of(self, job: StoreJob) -> float:
        """Return the time limit of a job in seconds, which is generous: other programs may use the machine."""
        most = self.catalogue.limits.seconds
        usual = sum(min(max(size, 0) / SLOWEST_BYTES, most) for size, _ in job.stats)
        return min(parts.FILE_SECONDS + usual, most * len(job.stats))


def _missing(catalogue: PartCatalogue, chosen: Sequence[NDArray[np.intp]]) -> NDArray[np.intp]:
    return catalogue.missing(np.concatenate(chosen)) if len(chosen) else np.zeros(0, np.intp)


def _announce_decoding(
    paths: list[str],
    source: int,
    folder: Path,
    sample_rate: int,
    num_workers: int | None,
    say: Callable[[str], None],
) -> None:
    """Print how much audio will be decoded, and raise a ValueError if the disk is too small."""
    what = f"{len(paths)} files ({files.size_in_mib(source)})"
    if source * MOST_GROWTH < shutil.disk_usage(folder).free:  # there is room for whatever they decode to
        say(f"Decoding {what}, once, in {folder}")
        return
    sample = (paths[:: max(1, len(paths) // PROBED_FILES)], sample_rate)
    # A header may crash its decoder; decoding will show which file it is.
    crashed: tuple[list[str], int] = ([], sample_rate)
    (growth,) = workers.run_in_workers(
        _growth,
        [sample],
        0 if num_workers == 0 else 1,
        "reading headers",
        lambda _: HEADER_SECONDS,
        lambda *_: [crashed],
    )
    size = int(source * growth)
    files.require_free_space(f"{what} take about {files.size_in_mib(size)} as {sample_rate} Hz waveforms", size, folder)
    say(f"Decoding {what}, once, to about {files.size_in_mib(size)} in {folder}")


def _growth(sample: tuple[list[str], int]) -> float:
    """Estimate the ratio of decoded size to file size, from the headers of some files."""
    paths, sample_rate = sample
    source, decoded = 0, 0.0
    for path in paths:
        with contextlib.suppress(audio.AudioError, OSError):
            info = audio.probe_audio(path)
            if info.num_samples:
                source += Path(path).stat().st_size
                decoded += info.num_samples / info.sample_rate * sample_rate * SAMPLE_BYTES
    return decoded / source if source else USUAL_GROWTH
