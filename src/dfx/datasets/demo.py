"""The demo corpus: made by a program on first use, so that everything runs where nothing can be downloaded."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import pandas as pd

from dfx import console, files
from dfx.audio.workers import each, num_cores
from dfx.datasets import synthesis
from dfx.datasets.base import Dataset
from dfx.datasets.synthesis.corpus import NUM_SPEAKERS, plan, write
from dfx.files import cache_dir
from dfx.tables import manifest
from dfx.tables.labels import BONAFIDE, SPOOF
from dfx.tables.manifest import NO_ATTACK, Manifest

CHUNK = 8  # clips a process makes at a time: 0.3 s, so the bar moves and no process is left alone at the end
FEW_CLIPS = 100  # fewer are made faster than worker processes start
OTHERS = ("twins.py", "external.py")  # of `synthesis`, for recordings of the user's; no part of the demo


class Demo(Dataset):
    """Synthetic speech of 24 speakers, half of it passed through vocoders.

    Attacks D01-D05 are in every split, D06-D09 in eval only. A spoof has a bona fide partner of the same speaker,
    length and recording conditions that says something else.

    The clips are 16-bit WAV files under `<cache>/demo/<version>`, the same bits however many processes made them.
    The version follows from the options and the source of `synthesis`. An interrupted build goes on where it was.

    Args:
        cache: folder to keep the corpus in; `dfx.files.cache_dir()` if None.
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
        self.num_workers = num_cores() if num_workers is None else num_workers
        self.progress = progress

    def manifest(self) -> Manifest:
        """The corpus, after what is missing of it has been made; extra columns: utterance, pair and duration_s.

        Raises:
            ValueError: if a process that makes clips dies.
        """
        path = self.folder / "manifest.csv"
        if not self._whole(path):
            with files.locked(self.folder, "making the demo corpus", console.say):
                if not self._whole(path):  # another process may have made it while this one waited
                    self._build()
                    Manifest(self._table(), name="demo").write(path)
        return Manifest(manifest.read(path).table, name="demo")

    def _whole(self, path: Path) -> bool:
        """Whether the table is there and every clip, which something may have cleaned away since."""
        return path.exists() and sum(1 for _ in self.folder.glob("*.wav")) == len(self.clips)

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
        workers = self.num_workers if len(missing) >= FEW_CLIPS else 0
        counts = each(partial(write, folder=self.folder), chunks, workers, "making the demo corpus")
        console.advancing(counts, "making the demo corpus", len(missing), self.progress)


def _version(num_clips: int, max_seconds: float) -> str:
    """Name of a corpus: its options and whatever decides how it sounds."""
    folder = Path(synthesis.__file__).parent
    digest = hashlib.sha256(f"{num_clips} {max_seconds}".encode())
    for source in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix()):
        if source.name not in OTHERS:
            digest.update(source.read_bytes())
    return digest.hexdigest()[:12]
