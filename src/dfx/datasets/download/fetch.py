"""Download files and verify their published checksums; an interrupted download continues.

pooch restarts a broken download from the beginning, which is too slow for 140 GB; the standard library suffices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dfx import console, files
from dfx.datasets.download.transfer import PartialTransfer, transfer_file

LENGTHS = {"md5": 32, "sha256": 64}  # hex digits of the checksums that data archives publish


@dataclass(frozen=True)
class FetchSource:
    """File to download: address, file name and published checksum.

    `size` in bytes is for planning, and a limit (0: unknown); `strip` is the number of leading folders to remove from
    the names inside the archive.
    """

    url: str
    file: str
    algorithm: str
    digest: str
    size: int = 0
    strip: int = 0


def fetch_file(source: FetchSource, folder: Path) -> Path:
    """Download a file into a folder if it is not there, and verify its checksum.

    Received bytes are kept in FILE.part, so that the next call continues; a dropped connection is resumed.

    Args:
        source: what to fetch.
        folder: created if missing; one process at a time (`files.locked_folder`).

    Raises:
        ValueError: if the server refuses or stays silent, the disk is too small, or the checksum does not fit
            (the file is then renamed to FILE.bad).
    """
    folder.mkdir(parents=True, exist_ok=True)
    done, bad = folder / source.file, folder / f"{source.file}.bad"
    part_path = folder / f"{source.file}.part"
    if done.exists():  # a file of this name is checked, wherever it came from
        done.replace(part_path)
    if part_path.is_symlink():
        raise ValueError(f"{part_path} is a symbolic link, and dfx writes to files only: remove it and start again.")
    with (
        files.full_disk_is_an_error(folder, "downloads", "data="),
        console.byte_progress_bar(source.file, source.size) as report,
        PartialTransfer(part_path, source.url, source.algorithm, source.size, report) as part,
    ):
        if part.digest != source.digest:
            transfer_file(part)
        if part.digest != source.digest and part.mixed:
            console.say(
                f"{source.file}: the part that was here is of another edition; it is fetched from the beginning"
            )
            part.restart()
            transfer_file(part)
    if part.digest != source.digest:
        part_path.replace(bad)
        raise ValueError(
            f"{source.file} does not have its published checksum, {source.algorithm} {source.digest}: {source.url} "
            f"sent {part.size:,} bytes of {part.kind} with {part.digest}, kept as {bad}. Start again, or see on the "
            "page of the corpus whether the file has changed."
        )
    return part_path.replace(done)


def parse_fetch_source(entry: Mapping[str, Any]) -> FetchSource:
    """Parse one entry of `facts.downloads` in the YAML of a corpus.

    It has `url`, `md5` or `sha256`, and if known `bytes`, `file`, `strip`.

    Raises:
        ValueError: if it lacks a checksum, or its address or file name is not valid.
    """
    url = str(entry.get("url", ""))
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"A download has an address that begins with https://, got {url!r}: correct facts.downloads.")
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
    return FetchSource(url, file, algorithm, digest, int(entry.get("bytes") or 0), int(entry.get("strip") or 0))
