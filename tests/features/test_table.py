import numpy as np

from dfx.detector.dataset import ArrayStore


def test_an_array_store_reads_like_a_waveform_store():
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    store = ArrayStore(vectors)
    assert (len(store), store.lengths.tolist(), len(store.bad)) == (3, [4, 4, 4], 0)
    assert store.read(1).tolist() == [4, 5, 6, 7]
    assert store.read(2, 1, 2).tolist() == [9, 10]
    assert store.read(2, 3, 5).tolist() == [11]
