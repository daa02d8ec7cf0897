import numpy as np
import pandas as pd
import pytest

from dfx import audio


@pytest.fixture(scope="session")
def fair(babble, tmp_path_factory):
    """160 clips of both classes with nothing between them but the label."""
    folder = tmp_path_factory.mktemp("fair")
    generator = np.random.default_rng(0)
    rows = []
    for number in range(160):
        label, split = number % 2, ("train", "train", "dev", "eval")[number // 2 % 4]
        path = folder / f"c{number:03d}.wav"
        audio.write_audio(
            path, babble(int(generator.integers(6000, 9000)), number, level_db=generator.normal(-24, 2)), 16000
        )
        rows.append((path.stem, str(path), label, "-" if label else "A1", f"{split}{number % 5}", split, f"u{number}"))
    return pd.DataFrame(rows, columns=["id", "path", "label", "attack", "speaker", "split", "utterance"])
