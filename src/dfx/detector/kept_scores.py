"""Cache of the scores of files: a stopped command continues, and another threshold needs no new scores."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from dfx import console, files


class FileIdentity(NamedTuple):
    """Absolute path, size and modification time of a file; size 0 if it cannot be looked at."""

    path: str
    size: int
    mtime_ns: int


def file_identity(path: str) -> FileIdentity:
    """Return the absolute path, size and modification time of a file."""
    try:
        status = Path(path).stat()
        return FileIdentity(str(Path(path).absolute()), status.st_size, status.st_mtime_ns)
    except (OSError, ValueError):
        return FileIdentity(str(path), 0, 0)


class ScoredClip(NamedTuple):
    """Scores of the windows of a file by each detector, as they are kept.

    Attributes:
        reason: why it cannot be scored, or "".
        num_samples: at the rate of each detector.
        scores: of each window.
        levels: of each window, in dBFS RMS; none if the maps are those of whole clips.
        distances: of the embeddings from dev, if known.
        coordinates: of the embeddings in the space of the operating card; none if not known.
        measures: of the waveform at the rate of each detector.
        coding: codec of the file (`AudioInfo.coding`).
    """

    reason: str
    num_samples: list[int]
    scores: list[list[float]]
    levels: list[list[float]]
    distances: list[float | None]
    coordinates: list[list[float]]
    measures: list[dict[str, float]]
    coding: str


class KeptScores:
    """Cache of the scores of files, one JSON line for each; every process appends to a file of its own.

    Args:
        facts: everything but the file that determines the scores.
        wanted: files whose scores are looked up.
        cache: folder of the scores; the default one if None.

    Attributes:
        known: scores of the wanted files that are kept, by identity.
    """

    def __init__(self, facts: Sequence[Any], wanted: Iterable[str], cache: str | None) -> None:
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
        self._folder = files.cache_dir(cache) / "detections" / key
        self._file: TextIO | None = None
        self._warned = False
        self.known: dict[FileIdentity, ScoredClip] = dict(self._read({str(Path(path).absolute()) for path in wanted}))

    def _read(self, wanted: set[str]) -> Iterator[tuple[FileIdentity, ScoredClip]]:
        """Yield the kept scores of the wanted files, the newest last."""
        decoder = json.JSONDecoder()
        found = sorted(self._folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns) if wanted else []
        for path in found:
            with path.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    try:
                        identity, _ = decoder.raw_decode(line, 1)  # scores of other files are not read
                        if identity[0] in wanted:
                            yield FileIdentity(*identity), ScoredClip(**json.loads(line)[1])
                    except (ValueError, TypeError, LookupError):
                        continue  # a process was killed while it wrote the line

    def add(self, identity: FileIdentity, clip: ScoredClip) -> None:
        """Keep the scores of a file; a file without a score is tried again next time."""
        if clip.reason:
            return
        try:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = (self._folder / f"{uuid.uuid4().hex}.jsonl").open("w", encoding="utf-8", buffering=1)
            self._file.write(json.dumps([identity, clip._asdict()]) + "\n")
        except OSError as error:
            if not self._warned:
                reason = error.strerror or error
                console.say(f"Warning: scores are not kept for the next time, {self._folder}: {reason}.")
            self._warned = True

    def close(self) -> None:
        """Close the file of this process."""
        if self._file is not None:
            self._file.close()
