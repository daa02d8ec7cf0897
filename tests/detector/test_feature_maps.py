"""Maps of frozen features: computed once, by any number of processes, and the same that the feature gives."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torchaudio.models import wav2vec2_model

import dfx
from dfx import audio
from dfx.audio import parts, store_builder, store_upkeep
from dfx.audio.conditioning import Conditions
from dfx.audio.store import WaveformStore, open_store
from dfx.config.schema import CONF_DIR, register_schema
from dfx.datasets import ManifestFile
from dfx.detector import build, feature_maps, loading, scoring
from dfx.detector.datamodule import Batch
from dfx.detector.feature_maps import FeatureMaps, open_feature_maps
from dfx.detector.sampling import PADDING
from dfx.evaluate.trials import TrialCorpus
from dfx.features import LFCC, MFCC, Feature, LogMel, Wav2Vec2, Waveform
from dfx.tables.manifest import Manifest
from dfx.tables.score_table import ScoreTable
from dfx.train import train

register_schema()
RATE = 16000
HALF = 2.0**-11  # relative error of rounding to half precision
ARCHITECTURE: dict[str, Any] = {
    "extractor_mode": "group_norm",
    "extractor_conv_layer_config": [[8, 10, 5], [8, 8, 8], [8, 8, 8]],
    "extractor_conv_bias": False,
    "encoder_embed_dim": 16,
    "encoder_projection_dropout": 0.1,
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 4,
    "encoder_num_layers": 2,
    "encoder_num_heads": 2,
    "encoder_attention_dropout": 0.1,
    "encoder_ff_interm_features": 24,
    "encoder_ff_interm_dropout": 0.1,
    "encoder_dropout": 0.1,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.0,
    "aux_num_out": None,
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a tiny encoder."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    state = wav2vec2_model(**ARCHITECTURE).state_dict()
    torch.save({"architecture": ARCHITECTURE, "state_dict": state}, path)
    return path


@pytest.fixture(scope="module")
def clips(corpus: Manifest, tmp_path_factory: pytest.TempPathFactory) -> WaveformStore:
    return open_store(corpus, RATE, cache=tmp_path_factory.mktemp("cache"), progress=False)


@pytest.fixture(scope="module")
def cache(clips: WaveformStore, corpus: Manifest, weights: Path) -> Path:
    """A cache that holds waveforms and maps already."""
    folder = clips.path.parents[1]
    feature = Wav2Vec2(RATE, checkpoint=weights, cache=True)
    opened(feature, clips, corpus, folder)
    return folder


def opened(feature: Feature, clips: Any, manifest: Manifest, cache: Path, rows: Any = None, **more: Any) -> FeatureMaps:
    rows = np.arange(len(manifest)) if rows is None else rows
    config = more.pop("config", {"_target_": "x"})
    return open_feature_maps(feature, clips, manifest, rows, config, cache=cache, progress=False, **more)


def direct(feature: Feature, clips: Any, row: int) -> np.ndarray:
    with torch.no_grad():
        result: np.ndarray = feature(torch.from_numpy(clips.read(row))[None])[0].permute(2, 0, 1).numpy()
    return result


def close(kept: np.ndarray, exact: np.ndarray) -> None:
    np.testing.assert_allclose(kept.astype(np.float32), exact, rtol=1.01 * HALF, atol=1e-6)


@pytest.mark.parametrize("kind", [Wav2Vec2, LFCC, LogMel, MFCC])
def test_a_map_is_that_of_the_whole_utterance_in_half_precision(
    kind: type[Feature], weights: Path, corpus: Manifest, clips: WaveformStore, tmp_path: Path
) -> None:
    feature = kind(RATE, **({"checkpoint": weights} if kind is Wav2Vec2 else {}))
    feature.train()
    store = opened(feature, clips, corpus, tmp_path)
    assert feature.training  # as it was
    feature.eval()
    for row in (0, 7, 30):
        exact = direct(feature, clips, row)
        assert store.length(row) == len(exact)
        close(store.read(row), exact)
        np.testing.assert_array_equal(store.read(row, 3, 5), store.read(row)[3:8])
        np.testing.assert_array_equal(store.read(row, store.length(row) - 2, 5), store.read(row)[-2:])
    with pytest.raises(ValueError, match=r"Row 0 has \d+ frames, but was to be read from 9999"):
        store.read(0, 9999)


def computed(folder: Path) -> list[bytes]:
    """Path of every map of a store, as often as it was computed."""
    found = [parts.read_part_table(folder, name) for name in parts.part_names(folder)]
    return [entry.path for table in found if table for entry in parts.part_entries(table[0])]


def test_maps_are_computed_once(
    weights: Path, corpus: Manifest, clips: WaveformStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_another_store_for_other_weights_options_and_conditions(
    weights: Path, corpus: Manifest, clips: WaveformStore, tmp_path: Path
) -> None:
    def path(feature: Feature, clips: Any = clips, **more: Any) -> Path:
        return opened(feature, clips, corpus, tmp_path / "cache", rows=np.arange(2), **more).path

    feature = Wav2Vec2(RATE, checkpoint=weights, cache=True)
    node = {"checkpoint": str(weights), "cache": True, "mask": None}
    first = path(feature, config=node)
    copy = tmp_path / "copy.pt"
    shutil.copy(weights, copy)
    moved = Wav2Vec2(RATE, checkpoint=copy, cache=True)
    assert path(moved, config=node | {"checkpoint": str(copy), "mask": {"_target_": "y"}}) == first
    rebuilt = Wav2Vec2(RATE, **feature.rebuild(), cache=True)
    rebuilt.load_state_dict(feature.state_dict())
    assert path(rebuilt, config=node | feature.rebuild()) == first  # as evaluation finds them
    with torch.no_grad():
        next(rebuilt.encoder.parameters()).view(-1)[0] += 1e-6
    assert path(rebuilt, config=node) != first
    assert path(feature, config=node | {"layers": 3}) != first
    conditions = Conditions(loudness_db=-20)
    louder = open_store(corpus, RATE, conditions, tmp_path / "cache", progress=False)
    other = opened(feature, louder, corpus, tmp_path / "cache", np.arange(2), config=node, conditions=conditions)
    assert other.path != first
    close(other.read(1), direct(feature.eval(), louder, 1))


def test_a_changed_file_gives_a_new_map_and_a_damaged_part_is_computed_again(
    corpus: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    whole = [after.read(row) for row in range(6)]
    data = after.path / f"{names[0]}.pcm"
    for size in (0, 1, 3 * 20 * 2, data.stat().st_size - 2):  # also where a power cut took whole frames away
        os.truncate(data, size)
        after = opened(feature, clips, manifest, tmp_path)
        for row, frames in enumerate(whole):
            np.testing.assert_array_equal(after.read(row), frames)
        data = after.path / f"{parts.part_names(after.path)[-1]}.pcm"
    assert store_upkeep.verify_store(after.path)[1] == 0


def test_a_long_utterance_is_computed_in_windows(
    weights: Path, corpus: Manifest, clips: WaveformStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert all(store.length(row) == len(direct(feature, clips, row)) for row in exact)


def test_an_utterance_shorter_than_a_frame_has_one(corpus: Manifest, tmp_path: Path, weights: Path) -> None:
    table = corpus.table.head(2).copy()
    for i in table.index:
        table.loc[i, "path"] = str(tmp_path / f"{i}.wav")
        audio.write_audio(tmp_path / f"{i}.wav", np.full(100 + i, 0.1, np.float32), RATE)
    manifest = Manifest(table)
    clips = open_store(manifest, RATE, cache=tmp_path, num_workers=0, progress=False)
    for feature in (LFCC(RATE), Wav2Vec2(RATE, checkpoint=weights, cache=True)):
        assert (opened(feature, clips, manifest, tmp_path).lengths > 0).all()


class TestRefusals:
    def test_a_feature_that_is_trained(
        self, weights: Path, corpus: Manifest, clips: WaveformStore, tmp_path: Path
    ) -> None:
        with pytest.raises(ValueError, match="got cache=true and finetune_from_epoch=0: use cache=false"):
            Wav2Vec2(RATE, checkpoint=weights, cache=True, finetune_from_epoch=0)
        for epoch in (0, 3):
            feature = Wav2Vec2(RATE, checkpoint=weights, finetune_from_epoch=epoch)
            with pytest.raises(ValueError, match="Wav2Vec2 has weights that are trained"):
                opened(feature, clips, corpus, tmp_path)
        masked = LFCC(RATE, mask=nn.Linear(2, 2))  # what a mask learns is no part of the map
        assert opened(masked, clips, corpus, tmp_path, rows=np.arange(1)).lengths[0] > 0

    def test_a_feature_that_does_not_say_its_hop(self, corpus: Manifest, clips: WaveformStore, tmp_path: Path) -> None:
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
    def test_values_beyond_half_precision(
        self, factor: float, said: str, corpus: Manifest, clips: WaveformStore, tmp_path: Path
    ) -> None:
        class Loud(LFCC):
            def extract(self, waveform: Tensor) -> Tensor:
                return super().extract(waveform) * factor

        with pytest.raises(ValueError, match=rf"map of .*wav has .*{said}"):
            opened(Loud(RATE), clips, corpus, tmp_path)
        assert {path.name for path in tmp_path.rglob("features/*/*")} == {"store.json"}

    def test_a_disk_without_room(
        self, corpus: Manifest, clips: WaveformStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 16))
        sentence = r"maps of 48 utterances \(0.01 h\) take about 0.[0-9] MiB, but .* has 0.1 MiB free. Free some room"
        with pytest.raises(ValueError, match=sentence):
            opened(LFCC(RATE), clips, corpus, tmp_path)

    def test_a_disk_that_fills_up(
        self, corpus: Manifest, clips: WaveformStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is finished stays, what is not leaves nothing behind, and the next process goes on from there."""
        monkeypatch.setattr(parts, "MIN_BATCH_BYTES", 32 << 10)
        done: list[int] = []

        class Filling(LFCC):
            def extract(self, waveform: Tensor) -> Tensor:
                done.append(1)
                if len(done) == 12:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return super().extract(waveform)

        with pytest.raises(ValueError, match=r"disk filled up while maps were written to .* Free some room"):
            opened(Filling(RATE), clips, corpus, tmp_path)
        (folder,) = (tmp_path / "features").iterdir()
        finished = parts.part_names(folder)
        assert finished
        assert len(list(folder.iterdir())) == 2 * len(finished) + 1  # store.json
        opened(LFCC(RATE), clips, corpus, tmp_path)
        assert finished == parts.part_names(folder)[: len(finished)]
        assert len(set(computed(folder))) == len(computed(folder)) == len(corpus)


def fill_slowly(cache: Path, corpus: Manifest, clips: WaveformStore, weights: Path, seconds: float) -> None:
    """What a process of its own does: each map takes a while."""
    parts.MIN_BATCH_BYTES = 32 << 10

    class Slow(Wav2Vec2):
        def extract(self, waveform: Tensor) -> Tensor:
            time.sleep(seconds)
            return super().extract(waveform)

    opened(Slow(RATE, checkpoint=weights, cache=True), clips, corpus, cache)


class TestSeveralProcesses:
    def start(self, *arguments: Any) -> BaseProcess:
        # A fork has loaded torch already, which would take most of the time.
        process = multiprocessing.get_context("fork").Process(target=fill_slowly, args=arguments, daemon=True)
        process.start()
        return process

    def test_share_the_work_and_survive_a_kill(
        self, corpus: Manifest, clips: WaveformStore, weights: Path, tmp_path: Path
    ) -> None:
        """Two at once that are killed, then two more: each map is computed once, and all are right."""
        both = [self.start(tmp_path, corpus, clips, weights, 0.05) for _ in range(2)]
        while not (found := list(tmp_path.glob("features/*/*.parquet"))) or len(found) < 3:
            assert all(process.is_alive() for process in both)
            time.sleep(0.01)
        for process in both:
            process.kill()
            process.join()
        (folder,) = (tmp_path / "features").iterdir()
        kept = parts.part_names(folder)
        assert len(set(computed(folder))) == len(computed(folder)) < len(corpus)
        both = [self.start(tmp_path, corpus, clips, weights, 0.01) for _ in range(2)]
        for process in both:
            process.join(timeout=60)
        assert [process.exitcode for process in both] == [0, 0]
        assert set(kept) < set(parts.part_names(folder))
        assert len(set(computed(folder))) == len(computed(folder)) == len(corpus)
        feature = Wav2Vec2(RATE, checkpoint=weights, cache=True)
        shared = opened(feature, clips, corpus, tmp_path)
        alone = opened(feature, clips, corpus, tmp_path / "alone")
        assert shared.path == folder
        for row in range(len(corpus)):
            np.testing.assert_array_equal(shared.read(row), alone.read(row))
        assert not list(folder.glob("*.lock"))


SMALL = (
    "segment_seconds=0.5",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "data.batch_size=8",
    "model=wav2vec2_head",
    "augment=none",
    "dataset=manifest",
)
SHORT_RUN = (
    "trainer.max_epochs=4",
    "+feature.mask={_target_: dfx.augment.SpecAverage}",
    "experiment_name=kept",
)


def config(corpus_file: Path, weights: Path, *overrides: str) -> DictConfig:
    given = [f"dataset.path={corpus_file}", "feature=wav2vec2_cached", f"feature.checkpoint={weights}"]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose("train", overrides=[*SMALL, *given, *overrides])


def batches(cfg: DictConfig, corpus: Manifest, cache: Path, epoch: int = 0) -> list[Batch]:
    data = build.build_datamodule(OmegaConf.merge(cfg, {"cache": str(cache)}), corpus)
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    return [*loader, *data.val_dataloader()]


@pytest.mark.parametrize("eval_crop", ["first", "sliding"])
def test_batches_hold_crops_in_frames_the_same_for_any_number_of_workers(
    eval_crop: str, corpus: Manifest, corpus_file: Path, weights: Path, cache: Path
) -> None:
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


def test_a_crop_is_a_piece_of_the_map(corpus: Manifest, corpus_file: Path, weights: Path, cache: Path) -> None:
    data = build.build_datamodule(config(corpus_file, weights, f"cache={cache}"), corpus)
    assert data.maps is not None
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


def test_short_utterances_are_filled_by_frames(corpus: Manifest, corpus_file: Path, weights: Path, cache: Path) -> None:
    for pad in ("repeat", "zero"):
        cfg = config(corpus_file, weights, "segment_seconds=3", f"data.pad={pad}", f"cache={cache}")
        data = build.build_datamodule(cfg, corpus)
        assert data.maps is not None
        batch = next(iter(data.val_dataloader()))
        row = int(data.tables["dev"]["row"].iloc[0])
        length = data.maps.length(row)
        kept = torch.from_numpy(data.maps.read(row).astype(np.float32)).permute(1, 2, 0)
        example = batch["feature"][0].float()
        assert torch.equal(example[..., :length], kept)
        rest = example[..., length : 2 * length]
        assert torch.equal(rest, kept[..., : rest.shape[-1]] if pad == "repeat" else torch.zeros_like(rest))


@pytest.mark.parametrize("feature", ["lfcc", "logmel_s1", "mfcc_specavg"])
def test_maps_of_any_feature_are_kept_where_cache_says_so(
    feature: str, corpus: Manifest, corpus_file: Path, cache: Path
) -> None:
    options = [*SMALL, f"feature={feature}", "feature.cache=true", f"dataset.path={corpus_file}"]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("train", overrides=options)
    made = build.build_detector(cfg).feature
    batch = batches(cfg, corpus, cache)[0]
    assert batch["feature"].shape[1:] == made.output_shape(8000)
    cfg.feature.cache = False
    assert batches(cfg, corpus, cache)[0]["waveform"].shape[1:] == (8000,)


def test_what_would_make_the_maps_wrong_is_refused(
    corpus: Manifest, corpus_file: Path, weights: Path, cache: Path
) -> None:
    def make(*overrides: str) -> None:
        build.build_datamodule(config(corpus_file, weights, f"cache={cache}", *overrides), corpus)

    with pytest.raises(ValueError, match="augment changes waveforms at each draw: use augment=none"):
        make("augment=rawboost")
    with pytest.raises(InstantiationException, match="got cache=true and finetune_from_epoch=2"):
        make("feature.finetune_from_epoch=2")


@pytest.fixture(scope="module")
def finished(home: Path, corpus_file: Path, weights: Path) -> Path:
    """Artifacts of a run on maps that are kept, with a mask."""
    cfg = config(corpus_file, weights, *SHORT_RUN)
    assert train(cfg) <= 0.5
    (checkpoint,) = home.glob("mlruns/*/*/artifacts/checkpoint/best.ckpt")
    return checkpoint.parents[1]


@pytest.mark.slow
def test_a_detector_scores_waveforms_and_through_the_store_as_its_run_did(
    finished: Path, corpus: Manifest, corpus_file: Path, weights: Path, home: Path
) -> None:
    detector = loading.load_network(finished / "checkpoint" / "best.ckpt")
    expected = ScoreTable.read(finished / "scores" / "eval.csv").table["score"].to_numpy()
    cfg = config(corpus_file, weights, *SHORT_RUN)
    with pytest.raises(ValueError, match="like those in checkpoints of dfx, names no weights"):
        build.build_datamodule(OmegaConf.merge(cfg, detector.checkpoint_config), corpus)
    before = sorted(home.rglob("*.pcm"))
    data = build.build_datamodule(cfg, corpus)
    assert sorted(home.rglob("*.pcm")) == before
    with torch.no_grad():
        kept = torch.cat([detector.loss.score(detector.embedding(b)) for b in data.test_dataloader()]).numpy()
        np.testing.assert_array_equal(kept.astype(np.float32), expected.astype(np.float32))
        # A whole utterance of the length of a segment: the same through the feature, but for half precision.
        waveform = torch.from_numpy(data.store.read(0))[None]
        feature = detector.feature(waveform)
        assert data.maps is not None
        half = torch.from_numpy(data.maps.read(0)).permute(1, 2, 0)[None].float()
        score = detector.loss.score(detector.model(half))
        assert float(detector(waveform)) == pytest.approx(float(score), abs=0.02 * float(feature.std()))


@pytest.mark.slow
def test_evaluation_scores_through_the_store_as_the_run_did(
    finished: Path, corpus_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = dfx.load(finished / "checkpoint" / "best.ckpt")
    trials = TrialCorpus(ManifestFile(str(corpus_file))).trials()
    monkeypatch.setattr(store_builder, "build_store_parts", None)  # the maps are there
    table, _ = scoring.score_manifest(system, trials.manifest, trials.rows, scoring.ScoringOptions(batch_size=8))
    expected = ScoreTable.read(finished / "scores" / "eval.csv").table
    assert table.table["id"].tolist() == expected["id"].tolist()
    assert table.table["score"].tolist() == expected["score"].tolist()
    assert str(system.policy()).startswith("first 0.5 s of the map of the whole clip, ")


@pytest.mark.slow
def test_a_killed_run_continues_to_the_same_numbers(
    finished: Path, corpus_file: Path, weights: Path, tmp_path: Path
) -> None:
    given = [f"dataset.path={corpus_file}", "feature=wav2vec2_cached", f"feature.checkpoint={weights}"]
    command = [sys.executable, "-m", "dfx", "train", *SMALL, *given, *SHORT_RUN]
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    environment["DFX_CACHE"] = str(tmp_path / "cache")

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    process = start()
    while process.poll() is None and not list(tmp_path.glob("mlruns/progress/*/last.ckpt")):
        time.sleep(0.02)
    assert process.poll() is None, "the run ended before it could be killed"
    process.kill()
    process.wait()
    assert start().wait(timeout=120) == 0
    for split in ("dev", "eval"):
        (path,) = tmp_path.glob(f"mlruns/*/*/artifacts/scores/{split}.csv")
        assert path.read_text() == (finished / "scores" / f"{split}.csv").read_text()
