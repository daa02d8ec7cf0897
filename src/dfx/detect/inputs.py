"""Find the files that the arguments of the command name: files, folders, patterns or standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from dfx.audio.audio_files import list_audio_files

STANDARD_INPUT = "-"


def find_files(words: Sequence[str]) -> list[str]:
    """List the files that the arguments name, each once; a folder stands for the audio and video files in it.

    A single "-" is standard input. A file that is named is listed whatever its suffix; one that does not exist too, as
    its answer says so.

    Raises:
        ValueError: if no word is given, a folder or pattern has no file, or "-" is not alone.
    """
    if not words:
        raise ValueError("Name the files to look at: python -m dfx.detect PATH … model=PLACE; --help shows examples.")
    if STANDARD_INPUT in words:
        if len(words) > 1:
            raise ValueError("- stands for standard input and must be the only path, got " + ", ".join(words) + ".")
        return [STANDARD_INPUT]
    found: dict[str, None] = {}
    for word in words:
        path = Path(os.path.expanduser(word))  # noqa: PTH111  (Path.expanduser raises for unknown users)
        if os.path.isdir(path):  # noqa: PTH112  (Path.is_dir raises for names that are too long)
            below = [str(path / name) for name in list_audio_files(path)]
            if not below:
                raise ValueError(f"There is no audio or video file below {word}: name the files, or another folder.")
        elif not os.path.exists(path) and glob.has_magic(word):  # noqa: PTH110
            below = [name for name in sorted(glob.glob(str(path), recursive=True)) if Path(name).is_file()]  # noqa: PTH207
            if not below:
                raise ValueError(f"No file matches {word!r}: look at the pattern; ** stands for any folders.")
        else:
            below = [str(path)]
        found |= dict.fromkeys(below)
    return list(found)
