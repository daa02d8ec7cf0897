"""Where a result comes from: the versions of the software and the commit of the code."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

PACKAGES = (
    "dfx",
    "torch",
    "torchaudio",
    "pytorch-lightning",
    "hydra-core",
    "omegaconf",
    "mlflow",
    "numpy",
    "scipy",
)


def environment() -> dict[str, str | int | None]:
    """Versions of what decides a result, and the machine."""
    return {name: _version(name) for name in PACKAGES} | {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
    }


@functools.cache  # the code of a process stays what it was when it was loaded
def code() -> dict[str, str]:
    """Commit and dirtiness of the code, where it runs from a repository of its own."""
    here = Path(__file__)

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        done = subprocess.run(
            command, cwd=here.parent, capture_output=True, text=True, check=True, timeout=30
        )
        return done.stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", here.name
        )  # not the repository in which a virtual environment lies
        commit, changed = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return {"git_commit": "none (installed package)", "git_dirty": "false"}
    return {"git_commit": commit, "git_dirty": str(bool(changed)).lower()}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
