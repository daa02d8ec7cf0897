"""Command `python -m dfx.app`: a web page that judges audio files, recordings and a live microphone."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from dfx.cli import prompt

if TYPE_CHECKING:
    from omegaconf import DictConfig

EXAMPLES = """
  python -m dfx.app                                            the champion, models:/dfx@champion, on http://127.0.0.1:7860
  python -m dfx.app model=best.ckpt                            a checkpoint; also runs:/RUN_ID or an exported file
  python -m dfx.app model=runs:/A compare=runs:/B              two detectors side by side
  python -m dfx.app model=best.ckpt max_mib=10 max_seconds=60  smaller uploads only
  python -m dfx.app model=best.ckpt host=0.0.0.0 port=8000     for other machines too: no password, no encryption
The page works without the internet. What a visitor sends is deleted after its answer. Ctrl-C ends the command.
""".strip("\n")


def main() -> None:
    """Run the command `python -m dfx.app`."""
    # Or what visitors sent would stay on disk until the next start.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    prompt.run_command("app", EXAMPLES, run, "[KEY=VALUE ...]")


def run(cfg: DictConfig) -> None:
    """Open the detectors, and show the page until the command is ended.

    Raises:
        ValueError: if there is no such detector, an option is invalid, the port is taken or Gradio is not installed.
    """
    from dfx.app import server

    server.run_app(cfg)


if __name__ == "__main__":
    main()
