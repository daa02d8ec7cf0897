"""Demo corpus: synthetic speech that is generated on first use, so that no download is necessary."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from dfx import files
from dfx.audio import room
from dfx.datasets import synthesis
from dfx.datasets.corpus import Dataset
from dfx.datasets.made_files import made_files_version, make_missing_files
from dfx.datasets.synthesis.demo_clips import NUM_SPEAKERS, DemoClip, plan_demo_clips, write_demo_clips
from dfx.datasets.synthesis.speaker import SAMPLE_RATE
from dfx.tables.labels import BONAFIDE, SPOOF
from dfx.tables.manifest import NO_ATTACK, Manifest

NOT_IN_DEMO = ("twins.py", "external.py")  # files of `synthesis` that only vocoded twins use


class Demo(Dataset):
    """Demo corpus: synthetic speech of 24 speakers, half of which is passed through vocoders.

    Attacks D01-D05 are in every split, D06-D09 in eval only. Every spoof has a bona fide partner of the same speaker,
    length and recording conditions, with other words.

    The clips are 16-bit WAV files in `<cache>/demo/<version>`, with the same samples for any number of processes. The
    version follows from the options and the code of `synthesis`. An interrupted build continues.

    Args:
        cache: folder to keep the corpus in; see `dfx.files.cache_dir`.
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
        self.clips = plan_demo_clips(num_clips, max_seconds)
        code = Path(synthesis.__file__).parent
        sources = [path for path in sorted(code.rglob("*.py")) if path.name not in NOT_IN_DEMO]
        version = made_files_version([*sources, Path(room.__file__)])
        self.folder = files.cache_dir(cache) / "demo" / f"{version}-{num_clips}-{max_seconds:g}s"
        self.num_workers = num_workers
        self.progress = progress

    def manifest(self) -> Manifest:
        """Generate the clips that are missing, and return the manifest.

        Extra columns: utterance, pair and duration_s.

        Raises:
            ValueError: if a process that makes clips dies.
        """
        files.remove_abandoned_files(self.folder)
        make = partial(write_demo_clips, folder=self.folder)
        make_missing_files(self.folder, self._missing, make, "making the demo corpus", self.num_workers, self.progress)
        made, path = Manifest(self._table(), name="demo"), self.folder / "manifest.csv"
        if not path.exists():
            with files.atomic_write(path) as temporary:
                made.write(temporary)
        return made

    def _missing(self) -> list[DemoClip]:
        present = {path.name for path in self.folder.glob("*.wav")}
        return [clip for clip in self.clips if f"{clip.id}.wav" not in present]

    def _table(self) -> pd.DataFrame:
        clips = pd.DataFrame(self.clips)
        return clips.drop(columns="num_samples").assign(
            path=[str(self.folder / f"{clip.id}.wav") for clip in self.clips],
            label=np.where(clips["attack"] == NO_ATTACK, BONAFIDE, SPOOF),
            speaker=[f"S{clip.speaker:02d}" for clip in self.clips],
            duration_s=clips["num_samples"] / SAMPLE_RATE,
        )
