from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dfx.datamodule import AudioDataModule, Batch
from dfx.manifest import Manifest
from dfx.store import WaveformStore, open_store


@pytest.fixture(scope="module")
def store(corpus: Manifest, tmp_path_factory: pytest.TempPathFactory) -> WaveformStore:
    return open_store(corpus, 16000, cache=tmp_path_factory.mktemp("cache"), progress=False)


def jitter(waveform: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return (waveform * generator.uniform(0.5, 1.0)).astype(np.float32)


def batches(module: AudioDataModule, epoch: int = 0) -> list[Batch]:
    loader = module.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    return list(loader)


def test_attack_balance_gives_each_attack_its_share(corpus: Manifest, store: WaveformStore) -> None:
    table = corpus.table.copy()
    spoof = np.flatnonzero(table["label"] == 0)
    table.loc[spoof, "attack"] = "A1"
    rare = [i for i in spoof if table["split"][i] == "train"][:1]
    table.loc[rare, "attack"] = "A9"
    module = AudioDataModule(Manifest(table), store, 4000, balance="attack", batch_size=4)
    groups, shares = module._groups()
    assert shares is not None
    assert shares.tolist() == [0.5, 0.25, 0.25]
    assert (groups[module.tables["train"]["label"] == 1] == 0).all()
    drawn = np.array([i for batch in batches(module) for i in batch["index"].tolist()])
    assert np.isclose(
        np.isin(drawn, np.flatnonzero(module.tables["train"]["attack"] == "A9")).mean(), 0.25, atol=0.1
    )
    assert module.train_counts == (1, 1)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_do_not_depend_on_the_number_of_workers(
    corpus: Manifest, store: WaveformStore, num_workers: int
) -> None:
    reference = AudioDataModule(corpus, store, 8000, seed=3, augment=jitter, batch_size=5)
    module = AudioDataModule(
        corpus, store, 8000, seed=3, augment=jitter, batch_size=5, num_workers=num_workers
    )
    for one, other in zip(batches(reference, epoch=2), batches(module, epoch=2), strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_batch_has_the_shapes_and_labels_of_its_utterances(corpus: Manifest, store: WaveformStore) -> None:
    module = AudioDataModule(corpus, store, 12000, batch_size=6)
    for batch in module.test_dataloader():
        assert batch["waveform"].shape == (len(batch["index"]), 12000)
        assert batch["waveform"].dtype == torch.float32
        expected = module.tables["eval"]["label"].to_numpy()[batch["index"].numpy()]
        assert batch["label"].numpy().tolist() == expected.tolist()


def test_augmentation_is_for_training_only(corpus: Manifest, store: WaveformStore) -> None:
    def silence(waveform: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return np.zeros_like(waveform)

    module = AudioDataModule(corpus, store, 8000, augment=silence)
    assert all(not batch["waveform"].any() for batch in batches(module))
    assert all(batch["waveform"].any() for batch in module.val_dataloader())


def test_a_short_clip_is_repeated_or_padded(corpus: Manifest, store: WaveformStore) -> None:
    repeated = next(iter(AudioDataModule(corpus, store, 48000).val_dataloader()))["waveform"][0]
    padded = next(iter(AudioDataModule(corpus, store, 48000, pad="zero").val_dataloader()))["waveform"][0]
    length = int(np.flatnonzero(padded.numpy())[-1]) + 1
    assert torch.equal(repeated[:length], padded[:length])
    assert repeated[length:].any()
    assert not padded[length:].any()


def test_a_limit_keeps_both_classes(corpus: Manifest, store: WaveformStore) -> None:
    tables = AudioDataModule(corpus, store, 8000, limit_utterances=6).tables
    assert all(table["label"].value_counts().to_dict() == {0: 3, 1: 3} for table in tables.values())


def test_a_missing_class_stops_the_run(corpus: Manifest, store: WaveformStore) -> None:
    table = corpus.table[(corpus.table["split"] != "dev") | (corpus.table["label"] == 0)].reset_index(
        drop=True
    )
    manifest = Manifest(table, name="half")
    with pytest.raises(ValueError, match="The dev split of half has no bonafide utterance"):
        AudioDataModule(
            manifest, open_store(manifest, 16000, cache=store.path.parents[1], progress=False), 8000
        )


def test_a_bad_file_is_left_out(corpus: Manifest, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"not audio")
    table = corpus.table.copy()
    table.loc[0, "path"] = str(broken)
    manifest = Manifest(table, name="tones")
    store = open_store(manifest, 16000, cache=tmp_path, max_bad_fraction=0.1, progress=False)
    module = AudioDataModule(manifest, store, 8000)
    assert "u0" not in set(module.tables["train"]["id"])
    assert sum(map(len, module.tables.values())) == 47
