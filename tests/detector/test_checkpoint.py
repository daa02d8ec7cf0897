"""Which epoch is the best."""

import pytest

from dfx.detector.checkpoint import RunCheckpoint


@pytest.mark.parametrize(
    ("epochs", "best"),
    [
        ([(0.1, 0.9, 0.5), (0.05, 0.8, 0.6), (0.2, 0.9, 0.1)], 1),  # the lowest EER
        ([(0.1, 0.9, 0.5), (0.1, 0.95, 0.6), (0.1, 0.95, 0.7)], 1),  # then the highest AUC
        ([(0.0, 1.0, 0.9), (0.0, 1.0, 0.2), (0.0, 1.0, 0.3)], 1),  # then the lowest loss: dev is separated
        ([(0.0, 1.0, 0.2), (0.0, 1.0, 0.2)], 0),  # then the first
    ],
)
def test_dev_chooses_the_epoch(tmp_path, epochs, best):
    keeper = RunCheckpoint(tmp_path, patience=3, on_epoch=print)
    keeper.history = [dict(zip(("dev/eer", "dev/auc", "dev/loss"), values, strict=True)) for values in epochs]
    assert keeper.best_epoch == best
