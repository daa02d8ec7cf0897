import numpy as np
import pytest
import soundfile

from dfx.detector.answers import ThresholdChoice
from dfx.detector.detection_system import open_detection_system
from dfx.detector.file_detection import DetectionOptions
from setups import artifacts, train_run

RATE = 16000
LEARNS = ("model=mlp", "feature=lfcc", "optimizer.lr=1e-2", "trainer.max_epochs=8", "data.batch_size=4", "patience=8")


@pytest.fixture(scope="module")
def checkpoint(corpus, home, undrawn_figures):
    return artifacts(train_run("app", corpus, home, *LEARNS)) / "checkpoint" / "best.ckpt"


@pytest.fixture(scope="module")
def system(checkpoint):
    return open_detection_system(str(checkpoint), (), ThresholdChoice(), DetectionOptions())


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    """Makes a WAV file as those of `corpus`: noise, and if it is fake with a tone."""
    folder = tmp_path_factory.mktemp("sounds")

    def make(name, seconds=1.0, fake=False, rate=RATE):
        time = np.arange(round(seconds * rate)) / rate
        samples = 0.1 * np.random.default_rng(len(name)).standard_normal(len(time))
        if fake:
            samples += 0.1 * np.sin(2 * np.pi * 1000 * time)
        soundfile.write(folder / name, samples, rate)
        return folder / name

    return make
