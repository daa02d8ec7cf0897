from __future__ import annotations

import numpy as np
import pytest
import torch

from dfx.detector.datamodule import ArrayStore
from dfx.features import FeatureShape, Table
from dfx.models import MLP


def test_columns_become_bins_of_one_frame() -> None:
    rows = torch.randn(3, 26)
    assert torch.equal(Table()(rows), rows.reshape(3, 1, 26, 1))
    assert Table().output_shape(26) == FeatureShape(channels=1, bins=26, frames=1)


@pytest.mark.parametrize("batch", [1, 8])
def test_the_mlp_learns_from_one_frame_without_nan(batch: int) -> None:
    model = MLP((1, 26, 1), dropout=0.0).train()
    rows = torch.randn(batch, 26) * torch.logspace(-3, 4, 26)  # features of very different size
    embedding = model(Table()(rows))
    embedding.square().sum().backward()
    assert embedding.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_an_array_store_reads_like_a_waveform_store() -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    store = ArrayStore(vectors)
    assert (len(store), store.length(1), store.lengths.tolist(), len(store.bad)) == (3, 4, [4, 4, 4], 0)
    assert store.read(1).tolist() == [4, 5, 6, 7]
    assert store.read(2, 1, 2).tolist() == [9, 10]
    assert store.read(2, 3, 5).tolist() == [11]
