from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from dfx import audio

RATE = 16000
Babble = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def babble() -> Babble:
    """Clips (samples,) that differ as recordings of speech do: noise of changing level and colour, at a loudness."""

    def make(samples: int, seed: int, rate: int = RATE, level_db: float = -22.0) -> np.ndarray:
        generator = np.random.default_rng(seed)
        step = rate // 10
        pieces = []
        for _ in range(-(-samples // step)):
            points = np.linspace(0, step // 2, 9)
            shape = np.interp(np.arange(step // 2 + 1), points, generator.uniform(-2, 0, 9))
            piece = np.fft.irfft(np.fft.rfft(generator.standard_normal(step)) * 10**shape, step)
            pieces.append(piece * 10 ** generator.uniform(-0.7, 0))
        clip = np.concatenate(pieces)[:samples]
        return clip * 10 ** (level_db / 20) / np.sqrt(np.mean(clip**2))

    return make


@pytest.fixture(scope="session")
def fair(babble: Babble, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """160 clips of both classes with nothing between them but the label."""
    folder = tmp_path_factory.mktemp("fair")
    generator = np.random.default_rng(0)
    rows = []
    for number in range(160):
        label, split = number % 2, ("train", "train", "dev", "eval")[number // 2 % 4]
        path = folder / f"c{number:03d}.wav"
        audio.write(
            path, babble(int(generator.integers(6000, 9000)), number, level_db=generator.normal(-24, 2)), RATE
        )
        rows.append(
            (path.stem, str(path), label, "-" if label else "A1", f"{split}{number % 5}", split, f"u{number}")
        )
    return pd.DataFrame(rows, columns=["id", "path", "label", "attack", "speaker", "split", "utterance"])
