"""Provenance of a result: versions of the software and commit of the code."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

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


def environment_provenance() -> dict[str, str | int | None]:
    """Return the machine, and the versions of the packages that influence a result."""
    return {name: _version(name) for name in PACKAGES} | {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
    }


@functools.cache  # later changes of the files do not change the code that this process has loaded
def code_provenance() -> dict[str, str]:
    """Return the Git commit of the code, if there is one, and whether there are uncommitted changes."""
    here = Path(__file__)

    def git(*arguments: str) -> str:
        options: dict[str, Any] = {"cwd": here.parent, "text": True, "stderr": subprocess.DEVNULL}
        return str(subprocess.check_output(["git", *arguments], timeout=30, **options)).strip()

    try:
        # Fails inside another repository, such as the one that holds the virtual environment.
        git("ls-files", "--error-unmatch", here.name)
        commit, changed = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return {"git_commit": "none (installed package)", "git_dirty": "false"}
    return {"git_commit": commit, "git_dirty": str(bool(changed)).lower()}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
