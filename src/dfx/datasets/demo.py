"""The demo corpus: made by a program on first use, so that everything runs where nothing can be downloaded."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import filelock
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dfx import manifest, synthesis
from dfx.datasets.base import Dataset
from dfx.labels import BONAFIDE, SPOOF
from dfx.manifest import NO_ATTACK, Manifest
from dfx.store import cache_dir
from dfx.synthesis.corpus import NUM_SPEAKERS, plan, start_worker, write

CHUNK = 8  # clips a process makes at a time: 0.3 s, so the bar moves and no process is left alone at the end
FEW_CLIPS = 100  # fewer are made faster than worker processes start


class Demo(Dataset):
    """Synthetic speech of 24 speakers, half of it passed through vocoders.

    Attacks D01-D05 are in every split, D06-D09 in eval only. A spoof has a bona fide partner of the same speaker,
    length and recording conditions that says something else.

    The clips are 16-bit WAV files under `<cache>/demo/<version>`, the same bits however many processes made them.
    The version follows from the options and the source of `dfx.synthesis`. An interrupted build goes on where it was.

    Args:
        cache: folder to keep the corpus in; `dfx.store.cache_dir()` if None.
        num_clips: utterances in all, an even number.
        max_seconds: longest utterance.
        num_workers: processes that make it; as many as there are cores if None.
        progress: show a bar on stderr.

    Raises:
        ValueError: if the number of clips is odd or too small, or the longest utterance is shorter than a second.
    """

    note = "synthetic demo corpus: made by a program, not speech"

    def __init__(
        self,
        cache: str | None = None,
        num_clips: int = 1200,
        max_seconds: float = 8.0,
        num_workers: int | None = None,
        progress: bool = True,
    ) -> None:
        smallest = 2 * NUM_SPEAKERS
        if num_clips % 2 or num_clips < smallest:
            raise ValueError(
                f"The demo corpus needs an even number of clips, two or more for each of {NUM_SPEAKERS} speakers, got "
                f"num_clips={num_clips}: use {smallest} or a larger even number."
            )
        if max_seconds < 1:
            raise ValueError(
                f"Clips of the demo corpus last a second or more, got max_seconds={max_seconds}: use 1 to 8."
            )
        root = Path(cache).expanduser() if cache else cache_dir()
        self.clips = plan(num_clips, max_seconds)
        self.folder = root.absolute() / "demo" / _version(num_clips, max_seconds)
        self.num_workers = _num_cores() if num_workers is None else num_workers
        self.progress = progress

    def manifest(self) -> Manifest:
        """The corpus, after what is missing of it has been made; extra columns: utterance, pair and duration_s.

        Raises:
            ValueError: if a process that makes clips dies.
        """
        path = self.folder / "manifest.csv"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with _locked(self.folder):
                if not path.exists():  # another process may have made it while this one waited
                    self._build()
                    Manifest(self._table(), name="demo").write(path)
        return Manifest(manifest.read(path).table, name="demo")

    def _table(self) -> pd.DataFrame:
        bonafide = [clip.attack == NO_ATTACK for clip in self.clips]
        return pd.DataFrame(
            {
                "id": [clip.id for clip in self.clips],
                "path": [str(self.folder / f"{clip.id}.wav") for clip in self.clips],
                "label": [BONAFIDE if real else SPOOF for real in bonafide],
                "attack": [clip.attack for clip in self.clips],
                "speaker": [f"S{clip.speaker:02d}" for clip in self.clips],
                "split": [clip.split for clip in self.clips],
                "utterance": [clip.utterance for clip in self.clips],
                "pair": [clip.pair for clip in self.clips],
                "duration_s": [clip.num_samples / 16_000 for clip in self.clips],
            }
        )

    def _build(self) -> None:
        """Make the clips that are not there, in worker processes where that pays."""
        for left_over in self.folder.glob("*.tmp"):
            left_over.unlink()
        missing = [clip for clip in self.clips if not (self.folder / f"{clip.id}.wav").exists()]
        chunks = [missing[first : first + CHUNK] for first in range(0, len(missing), CHUNK)]
        with _bar(len(missing), self.progress) as advance:
            if self.num_workers <= 1 or len(missing) < FEW_CLIPS:
                for chunk in chunks:
                    advance(write(chunk, self.folder))
                return
            # spawn: a process that already runs threads (torch, MLflow) cannot be forked safely.
            workers = min(self.num_workers, len(chunks))
            pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=start_worker)
            try:
                for done in as_completed([pool.submit(write, chunk, self.folder) for chunk in chunks]):
                    advance(done.result())
            except BrokenProcessPool as error:
                raise ValueError(
                    "A process that made the demo corpus died: it ran out of memory, or the script that called dfx has "
                    "no `if __name__ == '__main__':`. dataset.num_workers=0 makes it in this process instead."
                ) from error
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _version(num_clips: int, max_seconds: float) -> str:
    """Name of a corpus: its options and whatever decides how it sounds."""
    folder = Path(synthesis.__file__).parent
    digest = hashlib.sha256(f"{num_clips} {max_seconds}".encode())
    for source in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix()):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the only right to write the corpus; the system frees it when the process dies."""
    lock = filelock.FileLock(folder / "build.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        Console(stderr=True).print(
            f"Another process is making the demo corpus {folder}; waiting for it", markup=False
        )
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _bar(total: int, show: bool) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("making the demo corpus"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not show) as bar:
        task = bar.add_task("making", total=total)
        yield lambda count: bar.advance(task, count)
