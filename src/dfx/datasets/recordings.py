"""Audio files below a folder, as people's disks have them: any format, hidden copies, links."""

from __future__ import annotations

import os
from pathlib import Path

_SUFFIXES = (
    "wav flac ogg oga opus mp3 m4a aac mp4 m4v mov mkv webm avi wma aif aiff aifc au amr 3gp caf w64 rf64 wv"
)
SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())


def below(folder: Path) -> list[str]:
    """Audio files at or below a folder, in a fixed order, as paths relative to it with `/`.

    Told by suffix in any case. Hidden ones, AppleDouble files (`._x`) among them, are not seen. Links to folders are
    followed, but for those that lead back to where they are.
    """
    found: list[str] = []
    prefix = len(str(folder)) + 1
    for place, subfolders, names in os.walk(folder, followlinks=True):
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and name != "__MACOSX" and not _leads_back(place, name)
        )
        inside = place[prefix:].replace(os.sep, "/")
        start = f"{inside}/" if inside else ""
        found += [
            start + name
            for name in sorted(names)  # 600,000 times: no Path
            if f".{name.rpartition('.')[2].lower()}" in SUFFIXES and not name.startswith(".")
        ]
    return found


def _leads_back(place: str, name: str) -> bool:
    """Whether a sub-folder is a link to a folder that it is in: every file would be found forty times."""
    path = Path(place, name)
    return path.is_symlink() and Path(place).resolve().is_relative_to(path.resolve())
