from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # replicas.py, which holds no tests


@pytest.fixture(scope="session")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of the copy of a corpus, written when first asked for; tests do not change it."""
    from replicas import REPLICAS

    made: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in made:
            made[name] = REPLICAS[name](tmp_path_factory.mktemp(name))
        return made[name]

    return of


@pytest.fixture
def changed(replica: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """The same, for a test that changes it."""
    return lambda name: Path(shutil.copytree(replica(name), tmp_path / name))
