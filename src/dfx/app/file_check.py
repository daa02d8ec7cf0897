"""Check a file that a visitor sent before it is judged: its size, its length, and whether it can be decoded.

Nothing heavy is imported here: a new process decodes each file.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple, NoReturn

from dfx import audio
from dfx.audio import parts, workers

DECODING_SECONDS = 60.0  # time limit for decoding a file
COUNTED_RATE = 16_000  # Hz, at which the length of a file is measured


class FileLimits(NamedTuple):
    """Largest file that a visitor may send: MiB of the file, and seconds of sound."""

    mib: float
    seconds: float


def check_file(path: Path, limits: FileLimits) -> None:
    """Decode a file in a process of its own, so that one which crashes or hangs its decoder ends nothing else.

    Raises:
        ValueError: if the file is too large or too long, or cannot be decoded.
    """
    size = path.stat().st_size
    if size > limits.mib * 2**20:
        raise ValueError(
            f"The file has {size / 2**20:.1f} MiB, and at most {limits.mib:g} MiB are taken here: send a shorter or "
            "compressed recording."
        )
    function = functools.partial(decoded_seconds, limits.seconds)
    try:
        (seconds,) = workers.run_in_workers(
            function, [str(path)], 1, "decoding audio", lambda _: DECODING_SECONDS, _refuse_crash
        )
    except audio.AudioError as error:
        raise ValueError(f"This file cannot be judged: {error.reason}. Send another recording.") from error
    if seconds > limits.seconds:
        raise ValueError(
            f"The recording is longer than {limits.seconds:g} s, the most that is taken here: send the part that "
            "matters."
        )


def _refuse_crash(path: str, status: int) -> NoReturn:
    raise audio.AudioError(path, f"its decoder failed ({workers.worker_exit_status(status)})")


def decoded_seconds(most: float, path: str) -> float:
    """Decode a file, and return its length in seconds; a longer one than `most` is not decoded to its end."""
    workers.limit_worker_memory(parts.DEFAULT_LIMITS.memory_mib << 20)
    count = 0
    for block in audio.read_audio_blocks(path, COUNTED_RATE):
        count += len(block)
        if count > most * COUNTED_RATE:
            break
    return count / COUNTED_RATE
