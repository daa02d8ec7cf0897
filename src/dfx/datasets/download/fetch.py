"""Files from the net: continued where they broke off, and kept only if their published checksum fits.

pooch, the usual choice, begins a broken download anew; a corpus of 140 GB needs more, and the standard library has it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dfx import console
from dfx.datasets.download.transfer import Part, Report, receive

LENGTHS = {"md5": 32, "sha256": 64}  # hex digits of the checksums that archives of data publish


@dataclass(frozen=True)
class Source:
    """One file to fetch: its address, the name to keep it under, and the checksum its authors publish.

    `size` in bytes is for planning only (0: unknown), the checksum decides; `strip` is how many leading folders the
    names inside the archive lose.
    """

    url: str
    file: str
    algorithm: str
    digest: str
    size: int = 0
    strip: int = 0


def sources(entries: Iterable[Mapping[str, Any]]) -> list[Source]:
    """The entries of `facts.downloads`: `url`, `md5` or `sha256`, and where known `bytes`, `file`, `strip`.

    Raises:
        ValueError: if an entry lacks a checksum, or has an address or a file name that is not one.
    """
    return [_source(entry) for entry in entries]


def fetch(source: Source, folder: Path, show: bool = True, pause: float = 1.0) -> Path:
    """The file in the folder, fetched where it is not there yet, and checked.

    What has arrived is kept as FILE.part, so that the next call continues; a dropped connection is taken up again.

    Args:
        source: what to fetch.
        folder: made if it is not there; one process at a time (`files.locked`).
        show: draw a bar on stderr.
        pause: seconds after the first connection that brought nothing new; doubled for each further one.

    Raises:
        ValueError: if the server refuses or stays silent, the disk is too small, or the checksum does not fit
            (the file is then kept as FILE.bad).
    """
    folder.mkdir(parents=True, exist_ok=True)
    done, bad = folder / source.file, folder / f"{source.file}.bad"
    part_path = folder / f"{source.file}.part"
    if done.exists():  # what lies here under the name of the file is checked, wherever it came from
        done.replace(part_path)
    with (
        bar(source.file, source.size, show) as report,
        Part(part_path, source.url, source.algorithm, source.size, report) as part,
    ):
        if part.digest != source.digest:
            receive(part, pause)
        if part.digest != source.digest and part.mixed:
            console.say(
                f"{source.file}: what was here of it is of another edition; it is fetched from the beginning"
            )
            part.restart()
            receive(part, pause)
    if part.digest != source.digest:
        part_path.replace(bad)
        raise ValueError(
            f"{source.file} does not have its published checksum, {source.algorithm} {source.digest}: {source.url} "
            f"sent {part.size:,} bytes of {part.kind} with {part.digest}, kept as {bad}. Start again, or look on the "
            "page of the corpus whether the file has changed."
        )
    return part_path.replace(done)


@contextlib.contextmanager
def bar(label: str, total: int, show: bool) -> Iterator[Report]:
    """A bar of bytes on the standard error stream; what it yields is called with (bytes so far, bytes in all)."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as SpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), SpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not show) as drawn:
        task = drawn.add_task(label, total=total or None)
        yield lambda done, whole: drawn.update(task, completed=done, total=whole or None)


def _source(entry: Mapping[str, Any]) -> Source:
    url = str(entry.get("url", ""))
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(
            f"A download has an address that begins with https://, got {url!r}: correct facts.downloads."
        )
    algorithm = next((name for name in LENGTHS if entry.get(name)), "")
    digest = str(entry.get(algorithm, "")).lower()
    if not algorithm or not re.fullmatch(rf"[0-9a-f]{{{LENGTHS[algorithm]}}}", digest):
        raise ValueError(
            f"{url} has no md5 (32 hex digits) or sha256 (64) to check it by, got {digest!r}: give the one that its "
            "authors publish in facts.downloads."
        )
    file = str(entry.get("file") or unquote(urlsplit(url).path).rpartition("/")[2])
    if not file or file.startswith(".") or re.search(r"[/\\\0]", file):
        raise ValueError(f"{url} cannot be kept as {file!r}: name the file in facts.downloads, file: NAME.")
    return Source(url, file, algorithm, digest, int(entry.get("bytes") or 0), int(entry.get("strip") or 0))
