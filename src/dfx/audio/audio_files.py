"""List the audio files below a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from dfx import console
from dfx.tables.findings import some_items
from dfx.tables.manifest import AUDIO_SUFFIXES


def list_audio_files(folder: Path) -> list[str]:
    """List the audio files in a folder and its sub-folders, in a fixed order.

    They are relative paths with `/`. Recognised by their suffix, in any case. Hidden files and AppleDouble files
    (`._x`) are left out. Links to folders are followed, except those that lead back to a folder on the way to them, or
    to one above it.
    """
    found: list[str] = []
    unreadable: list[str] = []
    prefix = len(str(folder)) + 1
    for place, subfolders, names in os.walk(folder, followlinks=True):
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and name != "__MACOSX" and not _leads_back(Path(place, name), folder)
        )
        names = [
            name
            for name in names  # 600,000 times: no Path
            if f".{name.rpartition('.')[2].lower()}" in AUDIO_SUFFIXES and not name.startswith(".")
        ]
        if not all(map(_is_text, names)) or not _is_text(place):
            unreadable += [os.fsencode(name).decode(errors="replace") for name in names if not _is_text(place + name)]
            names = [name for name in names if _is_text(place + name)]
        inside = place[prefix:].replace(os.sep, "/")
        start = f"{inside}/" if inside else ""
        found += [start + name for name in sorted(names)]
    if unreadable:
        console.say(
            f"Warning: {len(unreadable)} files below {folder} are left out, since their names are no UTF-8 "
            f"({some_items(unreadable)}): rename them."
        )
    return found


def audio_file_table(folder: Path) -> pd.DataFrame:
    """List the audio files in a folder and its sub-folders as a table.

    Columns: `file` (relative), `path`, `stem` (relative, without suffix).
    """
    files = pd.Series(list_audio_files(folder), dtype="str")
    return pd.DataFrame({"file": files, "path": f"{folder}{os.sep}" + files, "stem": audio_file_stems(files)})


def audio_file_stems(files: pd.Series) -> pd.Series:
    """Remove the suffix from each file name."""
    return files.str.replace(r"\.[^./]+$", "", regex=True)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _leads_back(path: Path, top: Path) -> bool:
    """Check whether a symbolic link leads back to a folder that contains it."""
    if not path.is_symlink():
        return False
    target = path.resolve()
    return any(place.resolve().is_relative_to(target) for place in path.parents[: len(path.parts) - len(top.parts)])
