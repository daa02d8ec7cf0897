import shutil
from pathlib import Path

import pytest

from replicas import REPLICAS


@pytest.fixture(scope="session")
def replica(tmp_path_factory):
    """Folder of the copy of a corpus, written when first asked for; tests do not change it."""
    made = {}

    def of(name):
        if name not in made:
            made[name] = REPLICAS[name](tmp_path_factory.mktemp(name))
        return made[name]

    return of


@pytest.fixture
def changed(replica, tmp_path):
    """The same, for a test that changes it."""
    return lambda name: Path(shutil.copytree(replica(name), tmp_path / name))
