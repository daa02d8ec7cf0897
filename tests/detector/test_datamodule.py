import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from dfx.audio.conditioning import Conditions
from dfx.audio.store import open_store
from dfx.detector import build
from dfx.detector.datamodule import AudioDataModule
from dfx.tables.manifest import Manifest
from setups import composed


@pytest.fixture(scope="module")
def store(corpus, tmp_path_factory):
    return open_store(corpus, 16000, cache=tmp_path_factory.mktemp("cache"), progress=False)


def jitter(waveform, generator):
    return (waveform * generator.uniform(0.5, 1.0)).astype(np.float32)


def config(*overrides):
    return composed("dataset=manifest", "dataset.path=x.csv", *overrides)


def batches(module, epoch=0):
    loader = module.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def test_corpus_balance_gives_each_corpus_its_share_of_each_class(corpus, store):
    table = corpus.table.copy()
    table["corpus"] = ["small" if number % 24 < 6 else "large" for number in range(len(table))]
    module = AudioDataModule(Manifest(table), store, 4000, balance="corpus", batch_size=4)
    train = module.tables["train"].reset_index(drop=True)
    drawn = [i for epoch in range(20) for batch in batches(module, epoch) for i in batch["index"].tolist()]
    shares = train.loc[drawn].groupby(["label", "corpus"]).size() / len(drawn)
    assert len(shares) == 4
    assert shares.between(0.24, 0.26).all()
    with pytest.raises(ValueError, match="is for dataset=combined"):
        build.build_datamodule(OmegaConf.create({"data": {"balance": "corpus"}}), corpus)  # before anything is decoded


def test_attack_balance_gives_each_attack_its_share(corpus, store):
    table = corpus.table.copy()
    spoof = np.flatnonzero(table["label"] == 0)
    table.loc[spoof, "attack"] = "A1"
    rare = [i for i in spoof if table["split"][i] == "train"][:1]
    table.loc[rare, "attack"] = "A9"
    module = AudioDataModule(Manifest(table), store, 4000, balance="attack", batch_size=4)
    drawn = [i for epoch in range(20) for batch in batches(module, epoch) for i in batch["index"].tolist()]
    shares = module.tables["train"].reset_index(drop=True).loc[drawn, "attack"].value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx({"-": 0.5, "A1": 0.25, "A9": 0.25}, abs=0.01)
    assert module.train_counts == (1, 1)


@pytest.mark.parametrize("conditions", [None, Conditions(bandwidth_hz=4000, trim_db=40, loudness_db=-23)])
def test_batches_do_not_depend_on_the_number_of_workers(corpus, store, conditions):
    if conditions:
        store = open_store(corpus, 16000, conditions, store.path.parents[1], num_workers=0, progress=False)
    reference = AudioDataModule(corpus, store, 8000, seed=3, augment=jitter, batch_size=5)
    module = AudioDataModule(corpus, store, 8000, seed=3, augment=jitter, batch_size=5, num_workers=2)
    for one, other in zip(batches(reference, epoch=2), batches(module, epoch=2), strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_sliding_windows_cover_every_utterance(corpus, store):
    module = AudioDataModule(corpus, store, 5000, eval_crop="sliding", batch_size=7)
    drawn = list(module.test_dataloader())
    assert len(drawn) == len(module.test_dataloader())
    assert max(len(batch["index"]) for batch in drawn) == 7
    index = torch.cat([batch["index"] for batch in drawn]).numpy()
    waveforms = torch.cat([batch["waveform"] for batch in drawn]).numpy()
    rows = module.tables["eval"]["row"].to_numpy()
    for number, row in enumerate(rows):
        clip = store.read(int(row))
        own = waveforms[index == number]
        assert len(own) == max(2, -(-len(clip) // 2500) - 1)
        assert np.array_equal(own[0], clip[:5000])
        assert np.array_equal(own[1][:2500], clip[2500:5000])
        assert np.array_equal(own[-1], clip[-5000:])


def test_a_short_utterance_has_one_window_that_is_filled(corpus, store):
    slid = AudioDataModule(corpus, store, 48000, eval_crop="sliding").test_dataloader()
    first = AudioDataModule(corpus, store, 48000).test_dataloader()
    for one, other in zip(slid, first, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_batch_has_the_shapes_and_labels_of_its_utterances(corpus, store):
    module = AudioDataModule(corpus, store, 12000, batch_size=6)
    for batch in module.test_dataloader():
        assert batch["waveform"].shape == (len(batch["index"]), 12000)
        assert batch["waveform"].dtype == torch.float32
        expected = module.tables["eval"]["label"].to_numpy()[batch["index"].numpy()]
        assert batch["label"].numpy().tolist() == expected.tolist()


def test_augmentation_is_for_training_only(corpus, store):
    def silence(waveform, generator):
        return np.zeros_like(waveform)

    module = AudioDataModule(corpus, store, 8000, augment=silence)
    assert all(not batch["waveform"].any() for batch in batches(module))
    assert all(batch["waveform"].any() for batch in module.val_dataloader())


def test_a_short_clip_is_repeated_or_padded(corpus, store):
    repeated = next(iter(AudioDataModule(corpus, store, 48000).val_dataloader()))["waveform"][0]
    padded = next(iter(AudioDataModule(corpus, store, 48000, pad="zero").val_dataloader()))["waveform"][0]
    length = int(np.flatnonzero(padded.numpy())[-1]) + 1
    assert torch.equal(repeated[:length], padded[:length])
    assert repeated[length:].any()
    assert not padded[length:].any()


def test_a_limit_keeps_both_classes(corpus, store):
    tables = AudioDataModule(corpus, store, 8000, limit_utterances=6).tables
    assert all(table["label"].value_counts().to_dict() == {0: 3, 1: 3} for table in tables.values())


def test_a_missing_class_stops_the_run(corpus, store):
    table = corpus.table[(corpus.table["split"] != "dev") | (corpus.table["label"] == 0)].reset_index(drop=True)
    manifest = Manifest(table, name="half")
    with pytest.raises(ValueError, match="The dev split of half has no bonafide utterance that can be read"):
        AudioDataModule(manifest, open_store(manifest, 16000, cache=store.path.parents[1], progress=False), 8000)


@pytest.mark.parametrize(("column", "only"), [("split", "eval"), ("label", 0)])
def test_a_corpus_that_cannot_train_is_refused_before_it_is_decoded(corpus, tmp_path, column, only):
    table = corpus.table[corpus.table[column] == only].reset_index(drop=True)
    with pytest.raises(ValueError, match="The train split of part has no ") as error:
        build.build_datamodule(config(f"cache={tmp_path}/cache"), Manifest(table, name="part"))
    assert "dataset=combined dataset.train=[...] dataset.dev=[...] dataset.eval=[...]" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_bad_file_is_left_out(corpus, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"not audio")
    table = corpus.table.copy()
    table.loc[0, "path"] = str(broken)
    manifest = Manifest(table, name="tones")
    store = open_store(manifest, 16000, cache=tmp_path, max_bad_fraction=0.1, progress=False)
    module = AudioDataModule(manifest, store, 8000)
    assert "u0" not in set(module.tables["train"]["id"])
    assert sum(map(len, module.tables.values())) == 47
