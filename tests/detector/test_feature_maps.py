"""Maps of frozen features: computed once, by any number of processes, and the same that the feature gives."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.errors import InstantiationException
from omegaconf import OmegaConf
from torch import nn

from dfx import audio
from dfx.audio import parts
from dfx.audio.conditioning import Conditions
from dfx.audio.store import open_store
from dfx.detector import build, feature_maps
from dfx.detector.dataset import ArrayStore
from dfx.detector.feature_maps import open_feature_maps
from dfx.detector.network import build_network
from dfx.detector.sampling import PADDING
from dfx.features import LFCC, MFCC, LogMel, Wav2Vec2, Waveform
from dfx.tables.manifest import Manifest
from setups import composed

RATE = 16000
HALF = 2.0**-11  # relative error of rounding to half precision


@pytest.fixture(scope="module")
def clips(corpus, tmp_path_factory):
    return open_store(corpus, RATE, cache=tmp_path_factory.mktemp("cache"), progress=False)


@pytest.fixture(scope="module")
def cache(clips, corpus, weights):
    """A cache that holds waveforms and maps already."""
    folder = clips.path.parents[1]
    feature = Wav2Vec2(RATE, checkpoint=weights, cache=True)
    opened(feature, clips, corpus, folder)
    return folder


def opened(feature, clips, manifest, cache, rows=None, **more):
    rows = np.arange(len(manifest)) if rows is None else rows
    config = more.pop("config", {"_target_": "x"})
    return open_feature_maps(feature, clips, manifest, rows, config, cache=cache, progress=False, **more)


def direct(feature, clips, row):
    with torch.no_grad():
        return feature(torch.from_numpy(clips.read(row))[None])[0].permute(2, 0, 1).numpy()


def close(kept, exact):
    np.testing.assert_allclose(kept.astype(np.float32), exact, rtol=1.01 * HALF, atol=1e-6)


@pytest.mark.parametrize("kind", [Wav2Vec2, LFCC, LogMel, MFCC])
def test_a_map_is_that_of_the_whole_utterance_in_half_precision(kind, weights, corpus, clips, tmp_path):
    feature = kind(RATE, **({"checkpoint": weights} if kind is Wav2Vec2 else {}))
    feature.train()
    store = opened(feature, clips, corpus, tmp_path)
    assert feature.training  # as it was
    feature.eval()
    for row in (0, 7, 30):
        exact = direct(feature, clips, row)
        assert store.lengths[row] == len(exact)
        close(store.read(row), exact)
        np.testing.assert_array_equal(store.read(row, 3, 5), store.read(row)[3:8])
        np.testing.assert_array_equal(store.read(row, store.lengths[row] - 2, 5), store.read(row)[-2:])
    with pytest.raises(ValueError, match=r"Row 0 has \d+ frames, but was to be read from 9999"):
        store.read(0, 9999)


def computed(folder):
    """Path of every map of a store, as often as it was computed."""
    found = [parts.read_part_table(folder, name) for name in parts.part_names(folder)]
    return [entry.path for table in found if table for entry in parts.part_entries(table[0])]


def test_maps_are_computed_once(weights, corpus, clips, tmp_path, monkeypatch):
    feature = Wav2Vec2(RATE, checkpoint=weights, cache=True)
    some = opened(feature, clips, corpus, tmp_path, rows=np.arange(10))
    assert (some.lengths[:10] > 0).all()
    assert (some.lengths[10:] == -1).all()
    with pytest.raises(ValueError, match="Row 10 has no map"):
        some.read(10)
    whole = opened(feature, clips, corpus, tmp_path)
    assert len(set(computed(whole.path))) == len(computed(whole.path)) == len(corpus)  # the first ten were there
    monkeypatch.setattr(Wav2Vec2, "extract", lambda *_: torch.zeros(1, 3, 16, 9))  # for the shape alone
    turned = Manifest(corpus.table[::-1].reset_index(drop=True))
    turned_clips = open_store(turned, RATE, cache=clips.path.parents[1], progress=False)
    again = opened(feature, turned_clips, turned, tmp_path)
    assert len(computed(whole.path)) == len(corpus)
    assert again.path == whole.path == some.path
    np.testing.assert_array_equal(again.read(0), whole.read(len(corpus) - 1))


def test_another_store_for_other_weights_options_and_conditions(weights, corpus, clips, tmp_path):
    def path(feature, clips=clips, **more):
        return opened(feature, clips, corpus, tmp_path / "cache", rows=np.arange(2), **more).path

    feature = Wav2Vec2(RATE, checkpoint=weights, cache=True)
    node = {"checkpoint": str(weights), "cache": True, "mask": None}
    first = path(feature, config=node)
    copy = tmp_path / "copy.pt"
    shutil.copy(weights, copy)
    moved = Wav2Vec2(RATE, checkpoint=copy, cache=True)
    assert path(moved, config=node | {"checkpoint": str(copy), "mask": {"_target_": "y"}}) == first
    rebuilt = Wav2Vec2(RATE, **feature.rebuild_arguments(), cache=True)
    rebuilt.load_state_dict(feature.state_dict())
    assert path(rebuilt, config=node | feature.rebuild_arguments()) == first  # as evaluation finds them
    with torch.no_grad():
        next(rebuilt.encoder.parameters()).view(-1)[0] += 1e-6
    assert path(rebuilt, config=node) != first
    assert path(feature, config=node | {"layers": 3}) != first
    conditions = Conditions(loudness_db=-20)
    louder = open_store(corpus, RATE, conditions, tmp_path / "cache", progress=False)
    other = opened(feature, louder, corpus, tmp_path / "cache", np.arange(2), config=node, conditions=conditions)
    assert other.path != first
    close(other.read(1), direct(feature.eval(), louder, 1))


@pytest.mark.parametrize("suffix", ["pcm", "parquet"])
def test_a_damaged_part_is_noticed_and_only_it_is_made_again(corpus, clips, tmp_path, monkeypatch, capsys, suffix):
    monkeypatch.setattr(parts, "MIN_BATCH_BYTES", 32 << 10)
    feature = LFCC(RATE)
    whole = opened(feature, clips, corpus, tmp_path)
    before = [whole.read(row) for row in range(len(corpus))]
    names = parts.part_names(whole.path)
    assert len(names) > 2
    damaged = whole.path / f"{names[1]}.{suffix}"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 0xFF
    damaged.write_bytes(data)
    again = opened(feature, clips, corpus, tmp_path)
    assert "is damaged" in capsys.readouterr().err
    left = parts.part_names(whole.path)
    assert names[1] not in left
    assert set(left) > {name for name in names if name != names[1]}
    assert sorted(computed(whole.path)) == sorted(os.fsencode(path) for path in corpus.table["path"])
    for row, exact in enumerate(before):
        np.testing.assert_array_equal(again.read(row), exact)


def test_a_changed_file_gives_a_new_map(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "MIN_BATCH_BYTES", 32 << 10)
    table = corpus.table.head(6).copy()
    for i in table.index:
        table.loc[i, "path"] = str(shutil.copy(table.loc[i, "path"], tmp_path / f"{i}.wav"))
    manifest, feature = Manifest(table), LFCC(RATE)
    clips = open_store(manifest, RATE, cache=tmp_path, num_workers=0, progress=False)
    before = opened(feature, clips, manifest, tmp_path)
    names = parts.part_names(before.path)
    assert len(names) == 3
    audio.write_audio(Path(table.loc[2, "path"]), np.full(9000, 0.1, np.float32), RATE)
    clips = open_store(manifest, RATE, cache=tmp_path, num_workers=0, progress=False)
    after = opened(feature, clips, manifest, tmp_path)
    close(after.read(2), direct(feature, clips, 2))
    assert len(computed(after.path)) == 7
    assert parts.part_names(after.path)[:3] == names


def test_a_long_utterance_is_computed_in_windows(weights, corpus, clips, tmp_path, monkeypatch):
    rows = np.arange(16)
    exact = {row: direct(LFCC(RATE), clips, row) for row in rows.tolist()}
    monkeypatch.setattr(feature_maps, "WINDOW_SECONDS", 0.3)
    monkeypatch.setattr(feature_maps, "MARGIN_SECONDS", 0.1)
    store = opened(LFCC(RATE), clips, corpus, tmp_path, rows)
    for row, whole in exact.items():
        np.testing.assert_allclose(store.read(row).astype(np.float32), whole, rtol=2 * HALF, atol=1e-3)
    feature = Wav2Vec2(RATE, checkpoint=weights, cache=True).eval()
    store = opened(feature, clips, corpus, tmp_path, rows)
    # Attention sees windows, not the whole, so values differ; the number of frames must not.
    assert all(store.lengths[row] == len(direct(feature, clips, row)) for row in exact)


def test_an_utterance_shorter_than_a_frame_has_one(corpus, tmp_path, weights):
    table = corpus.table.head(2).copy()
    for i in table.index:
        table.loc[i, "path"] = str(tmp_path / f"{i}.wav")
        audio.write_audio(tmp_path / f"{i}.wav", np.full(100 + i, 0.1, np.float32), RATE)
    manifest = Manifest(table)
    clips = open_store(manifest, RATE, cache=tmp_path, num_workers=0, progress=False)
    for feature in (LFCC(RATE), Wav2Vec2(RATE, checkpoint=weights, cache=True)):
        assert (opened(feature, clips, manifest, tmp_path).lengths > 0).all()


class TestRefusals:
    def test_a_feature_that_is_trained(self, weights, corpus, clips, tmp_path):
        with pytest.raises(ValueError, match="got cache=true and finetune_from_epoch=0: use cache=false"):
            Wav2Vec2(RATE, checkpoint=weights, cache=True, finetune_from_epoch=0)
        for epoch in (0, 3):
            feature = Wav2Vec2(RATE, checkpoint=weights, finetune_from_epoch=epoch)
            with pytest.raises(ValueError, match="Wav2Vec2 has weights that are trained"):
                opened(feature, clips, corpus, tmp_path)
        masked = LFCC(RATE, mask=nn.Linear(2, 2))  # what a mask learns is no part of the map
        assert opened(masked, clips, corpus, tmp_path, rows=np.arange(1)).lengths[0] > 0

    def test_a_feature_that_does_not_say_its_hop(self, corpus, clips, tmp_path):
        with pytest.raises(ValueError, match="Waveform has no hop_samples"):
            opened(Waveform(), clips, corpus, tmp_path)

    @pytest.mark.parametrize(
        ("factor", "said"),
        [
            (1e5, r"values up to .*65504.*feature\.cache=false"),
            (np.nan, r"no finite numbers: look at the file"),
            (np.inf, "no finite numbers"),
        ],
    )
    def test_values_beyond_half_precision(self, factor, said, corpus, clips, tmp_path):
        class Loud(LFCC):
            def extract(self, waveform):
                return super().extract(waveform) * factor

        with pytest.raises(ValueError, match=rf"map of .*wav has .*{said}"):
            opened(Loud(RATE), clips, corpus, tmp_path)
        assert {path.name for path in tmp_path.rglob("features/*/*")} == {"store.json"}

    def test_a_disk_without_room(self, corpus, clips, tmp_path, free_bytes):
        free_bytes(1 << 16)
        sentence = r"maps of 48 utterances \(0.01 h\) take about 0.[0-9] MiB, but .* has 0.1 MiB free. Free some room"
        with pytest.raises(ValueError, match=sentence):
            opened(LFCC(RATE), clips, corpus, tmp_path)


SMALL = (
    "segment_seconds=0.5",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "data.batch_size=8",
    "model=wav2vec2_head",
    "augment=none",
    "dataset=manifest",
)


def config(corpus_file, weights, *overrides):
    given = [f"dataset.path={corpus_file}", "feature=wav2vec2_cached", f"feature.checkpoint={weights}"]
    return composed(*SMALL, *given, *overrides)


def batches(cfg, corpus, cache, epoch=0):
    data = build.build_datamodule(OmegaConf.merge(cfg, {"cache": str(cache)}), corpus)
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return [*loader, *data.val_dataloader()]


@pytest.mark.parametrize("eval_crop", ["first", "sliding"])
def test_batches_hold_crops_in_frames_for_any_number_of_workers(eval_crop, corpus, corpus_file, weights, cache):
    cfg = config(corpus_file, weights, f"data.eval_crop={eval_crop}")
    alone = batches(cfg, corpus, cache)
    shared = batches(OmegaConf.merge(cfg, {"data": {"num_workers": 2}}), corpus, cache)
    frames = Wav2Vec2(RATE, checkpoint=weights).output_shape(8000).frames
    for one, other in zip(alone, shared, strict=True):
        assert one.keys() == {"feature", "label", "index"}
        assert one["feature"].shape == (len(one["index"]), 3, 16, frames)
        assert one["feature"].dtype == torch.float16
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert not torch.equal(alone[0]["feature"], batches(cfg, corpus, cache, epoch=1)[0]["feature"])


def test_a_crop_is_a_piece_of_the_map(corpus, corpus_file, weights, cache):
    data = build.build_datamodule(config(corpus_file, weights, f"cache={cache}"), corpus)
    starts = set()
    for batch in data.train_dataloader():
        for example, index in zip(batch["feature"].permute(0, 3, 1, 2).numpy(), batch["index"], strict=True):
            whole = data.maps.read(int(data.tables["train"]["row"].iloc[int(index)]))
            pieces = np.lib.stride_tricks.sliding_window_view(whole, len(example), axis=0)
            same = (np.moveaxis(pieces, -1, 1) == example).all(axis=(1, 2, 3))
            assert same.sum() == 1
            starts.add(int(same.argmax()))
    assert len(starts) > 5
    # What stands in where the batches of several processes do not divide.
    assert data.dataset("eval")[[PADDING]]["feature"].shape[1:] == batch["feature"].shape[1:]


def test_short_utterances_are_filled_by_frames(corpus, corpus_file, weights, cache):
    for pad in ("repeat", "zero"):
        cfg = config(corpus_file, weights, "segment_seconds=3", f"data.pad={pad}", f"cache={cache}")
        data = build.build_datamodule(cfg, corpus)
        batch = next(iter(data.val_dataloader()))
        row = int(data.tables["dev"]["row"].iloc[0])
        length = data.maps.lengths[row]
        kept = torch.from_numpy(data.maps.read(row).astype(np.float32)).permute(1, 2, 0)
        example = batch["feature"][0].float()
        assert torch.equal(example[..., :length], kept)
        rest = example[..., length : 2 * length]
        assert torch.equal(rest, kept[..., : rest.shape[-1]] if pad == "repeat" else torch.zeros_like(rest))


@pytest.mark.parametrize("feature", ["lfcc", "logmel_s1", "mfcc_specavg"])
def test_maps_of_any_feature_are_kept_where_cache_says_so(feature, corpus, corpus_file, cache):
    cfg = composed(*SMALL, f"feature={feature}", "feature.cache=true", f"dataset.path={corpus_file}")
    made = build_network(cfg).feature
    batch = batches(cfg, corpus, cache)[0]
    assert batch["feature"].shape[1:] == made.output_shape(8000)
    cfg.feature.cache = False
    assert batches(cfg, corpus, cache)[0]["waveform"].shape[1:] == (8000,)


def test_what_would_make_the_maps_wrong_is_refused(architectures, corpus, corpus_file, weights, cache):
    def make(*overrides, **given):
        cfg = config(corpus_file, weights, f"cache={cache}", *overrides)
        build.build_datamodule(OmegaConf.merge(cfg, given), corpus)

    with pytest.raises(ValueError, match="augment changes waveforms at each draw: use augment=none"):
        make("augment=rawboost")
    with pytest.raises(InstantiationException, match="got cache=true and finetune_from_epoch=2"):
        make("feature.finetune_from_epoch=2")
    in_checkpoint = {"checkpoint": None, "bundle": None, "architecture": architectures["base"]}
    with pytest.raises(ValueError, match="like those in checkpoints of dfx, names no weights"):
        make(feature=in_checkpoint)


class Chunks(Waveform):
    """Feature of chunks of 300 samples at 100 Hz: 10 s of 32 do not hold a whole number of windows of 30 s."""

    chunk_frames, hop_samples, min_samples = 3, 100, 300

    def extract(self, waveform):
        count = waveform.shape[1] // 300
        return waveform[:, : 300 * count].reshape(-1, 1, 1, 3 * count, 100).mean(dim=4)


@pytest.mark.parametrize("seconds", [1, 3, 8.5, 30, 31, 32, 33, 100])
def test_maps_of_chunks_are_those_of_the_whole_clip_without_its_rest(seconds):
    clip = np.random.default_rng(0).normal(size=round(100 * seconds)).astype(np.float32)
    clips = ArrayStore([clip], sample_rate=100)
    kept = torch.cat(list(feature_maps.feature_map_pieces(Chunks(), clips, 0, "cpu")))
    whole = torch.from_numpy(np.resize(clip, max(len(clip), 300)))[None]
    torch.testing.assert_close(kept, Chunks()(whole)[0].permute(2, 0, 1))


def test_kept_maps_of_chunks_are_cut_between_chunks_only(corpus, corpus_file, cache):
    small = ("feature.num_scales=2", "feature.num_angles=2", "feature.size=[32,32]", "feature.chunk_seconds=0.1")
    small += ("feature.n_fft=512", "feature.win_length=512", "feature.num_bands=32")
    cfg = composed(*SMALL, "feature=scattering", "feature.cache=true", f"dataset.path={corpus_file}", *small)
    with pytest.raises(ValueError, match=r"got data.train_crop=random .*: use .* data.eval_crop=first or chunks"):
        batches(cfg, corpus, cache)
    cfg.data.train_crop = "first"
    with pytest.raises(ValueError, match=r"data.train_crop=first and data.eval_crop=sliding"):
        batches(OmegaConf.merge(cfg, {"data": {"eval_crop": "sliding"}}), corpus, cache)
    batch = batches(cfg, corpus, cache)[0]
    assert batch["feature"].shape[1:] == build_network(cfg).feature.output_shape(8000)

    cfg.data.eval_crop, cfg.segment_seconds = "chunks", 0.3
    data = build.build_datamodule(OmegaConf.merge(cfg, {"cache": str(cache)}), corpus)
    crop, rows = data.dataset("dev").crop, data.tables["dev"]["row"]
    assert crop.num_samples == 3 * 8
    for row in rows:
        length = int(data.maps.lengths[row])
        count = int(crop.num_windows(np.array([length]))[0])
        starts = [crop.start(length, number, np.random.default_rng(0)) for number in range(count)]
        assert count > 1
        assert starts[-1] == length - 24  # the last ends with the map, which holds whole chunks
        assert all(start % 8 == 0 for start in starts)
