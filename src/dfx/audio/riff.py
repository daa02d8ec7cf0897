"""What the header of a WAV file promises; libsndfile tells what the file has, and hides a copy that broke off."""

from __future__ import annotations

import struct
from pathlib import Path

# Formats in which a frame has as many bytes as `block_align` says; in ADPCM that is a block of many frames.
_PLAIN = {
    0x0001,
    0x0003,
    0x0006,
    0x0007,
    0xFFFE,
}  # PCM, float, A-law, mu-law, and PCM or float in the long form
_STREAMED = 0x7FFFF000  # SoX and FFmpeg write this or more where they cannot go back to fill in the size


def promised_frames(path: Path) -> int:
    """Frames that the header of a RIFF WAV file announces, or 0 where it announces none.

    Raises:
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(4) != b"RIFF" or file.read(8)[4:] != b"WAVE":
            return 0
        width = 0
        while len(header := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", header)
            if name == b"data":
                return size // width if width and size < _STREAMED else 0
            if name == b"fmt " and size >= 16:
                kind, _, _, _, align = struct.unpack("<HHIIH", file.read(14).ljust(14, b"\0"))
                width = align if kind in _PLAIN else 0
                size -= 14
            file.seek(size + size % 2, 1)
    return 0
