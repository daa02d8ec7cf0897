"""Command `python -m dfx.detect`: detect fakes in audio and video files, folders or a stream."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from dfx.cli import prompt
from dfx.config import overrides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omegaconf import DictConfig

EXAMPLES = """
  python -m dfx.detect clip.mp3 model=best.ckpt                one file; mp4 and other videos too
  python -m dfx.detect recordings/ 'talks/*.wav' model=runs:/RUN_ID csv=answers.csv report=answers.html
  python -m dfx.detect call.wav model=best.ckpt json=- plot=call.png
  python -m dfx.detect clip.wav 'model=[runs:/A,runs:/B]'      two detectors, fused
  python -m dfx.detect clip.wav model=best.ckpt false_alarm=0.01
                                                               call at most 1 % of genuine recordings fake
  python -m dfx.detect - model=best.ckpt hop_seconds=0.5       raw 16-bit samples or WAV on standard input, as they come
  python -m dfx.detect inbox/ model=best.ckpt log=answers.db   keep the scores for dfx.monitor: has the input drifted?
  python -m dfx.detect model=best.ckpt -- odd=name.wav         after -- every word is a path
A score is a log-likelihood ratio in nats: above 0 speaks for genuine, below 0 for fake. The exit status is 0 if every
file has an answer, 3 if some have none. What is interrupted continues where it stopped.
""".strip("\n")
USAGE = "PATH ... [model=PLACE] [KEY=VALUE ...]"
SOME_UNREADABLE = 3


def main() -> None:
    """Run the command `python -m dfx.detect`."""
    words, sys.argv[1:] = overrides.split_words(sys.argv[1:])
    # Or decoded audio would stay in the cache until the next command.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

    def job(cfg: DictConfig) -> None:
        detect(words, cfg)

    prompt.run_command("detect", EXAMPLES, job, USAGE)


def detect(words: Sequence[str], cfg: DictConfig) -> None:
    """Score files or a stream, then print and write the answers.

    Args:
        words: files, folders, patterns, or "-" for standard input.
        cfg: the configuration.

    Raises:
        ValueError: if there is no such file or model, or options contradict each other.
        SystemExit: with status 3 if some files have no answer.
    """
    from dfx.detect import inputs, run

    paths = inputs.find_files(words)
    system = run.open_system(cfg)
    if paths == [inputs.STANDARD_INPUT]:
        run.detect_stream(system, cfg, sys.stdin.buffer)
    elif not run.detect_paths(system, paths, cfg):
        raise SystemExit(SOME_UNREADABLE)


if __name__ == "__main__":
    main()
