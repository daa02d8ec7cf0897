"""Training throughput: dfx against a bare PyTorch loop, and an epoch against the way of the seed system S1.

    python benchmarks/training.py [model] [clips]
    python benchmarks/training.py networks [clips] [model ...]

The bare loop holds the same batches in memory and does nothing but forward, backward, clipping and step. The S1 way
decodes (librosa.load, with resampling to 16 kHz), computes the log-Mel (librosa) and zero-pads every clip in every
epoch. All train the same network in the same process, in turn; medians over rounds, and ratios. `networks` prints a row
for each model: milliseconds a clip of 2 s in dfx and in the bare loop.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from pytorch_lightning import Callback, LightningModule, Trainer

from dfx import audio
from dfx.config.schema import CONF_DIR, register_schema
from dfx.detector import build
from dfx.detector.datamodule import AudioDataModule
from dfx.detector.detector import Detector
from dfx.detector.network import num_segment_samples
from dfx.tables.manifest import Manifest

ROUNDS = 3
TRAINER = ["trainer.max_epochs=2", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu"]
NETWORKS = ["lcnn", "resnet18", "resnet50", "res2net50", "se_res2net50", "resnet18_air", "ecapa"]
NETWORKS += ["mlp_s3", "ann_s2", "cnn_s2", "cnn_s3", "resnet101"]
OWN_FEATURES = {"rawnet2": "waveform", "aasist": "waveform", "aasist_l": "waveform"}
RATE = 22_050  # LJSpeech's, so that the S1 way resamples as it did


class TrainTime(Callback):
    """Seconds of the training part of each epoch, validation left out."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the watch."""
        self._start = time.perf_counter()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop it where training ends."""
        self.seconds.append(time.perf_counter() - self._start)


def corpus(folder: Path, clips: int) -> Manifest:
    """Noise of 4 to 10 s at LJSpeech's rate; nearly all of it for training."""
    generator = np.random.default_rng(0)
    rows = []
    for number in range(clips + 8):
        path = folder / f"{number}.wav"
        audio.write_audio(
            path,
            0.1 * generator.standard_normal(int(RATE * generator.uniform(4, 10))).astype(np.float32),
            RATE,
        )
        split = "train" if number < clips else ("dev" if number % 4 < 2 else "eval")
        rows.append((str(number), str(path), number % 2, split))
    return Manifest(pd.DataFrame(rows, columns=["id", "path", "label", "split"]), name="benchmark")


def step(detector: Detector, optimizer: torch.optim.Optimizer, feature: torch.Tensor, label: torch.Tensor) -> None:
    optimizer.zero_grad()
    detector.loss(detector.model(feature), label).backward()
    torch.nn.utils.clip_grad_norm_(detector.parameters(), 5.0)
    optimizer.step()


def seconds(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def framework_epoch(cfg: DictConfig, data: AudioDataModule) -> float:
    """Seconds of the second epoch of a fit."""
    watch = TrainTime()
    build.build_trainer(cfg, [watch]).fit(build.build_detector(cfg, data), data)
    return watch.seconds[1]


def bare_epoch(detector: Detector, batches: list[dict[str, torch.Tensor]]) -> float:
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-3)
    detector.train()

    def epoch() -> None:
        for batch in batches:
            step(detector, optimizer, detector.feature(batch["waveform"]), batch["label"])

    return seconds(epoch)


def s1_epoch(cfg: DictConfig, detector: Detector, manifest: Manifest) -> float:
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-3)
    detector.train()
    table = manifest.split("train").table
    length = num_segment_samples(cfg)

    def feature(path: str) -> np.ndarray:
        waveform, _ = librosa.load(path, sr=cfg.sample_rate)
        waveform = librosa.util.fix_length(waveform, size=length)
        mel = librosa.feature.melspectrogram(y=waveform, sr=cfg.sample_rate, n_mels=40, n_fft=2048, hop_length=512)
        return librosa.power_to_db(mel)

    def epoch() -> None:
        for first in range(0, len(table), cfg.data.batch_size):
            rows = table.iloc[first : first + cfg.data.batch_size]
            maps = torch.from_numpy(np.stack([feature(path) for path in rows["path"]]))[:, None]
            step(detector, optimizer, maps, torch.from_numpy(rows["label"].to_numpy()))

    return seconds(epoch)


def compare_networks(clips: int, models: list[str]) -> None:
    """Print a row for each model, on LFCC or on the feature that it was made for."""
    options = [*TRAINER, "segment_seconds=2", "data.batch_size=8", "num_threads=1"]
    sys.stdout.write(f"{clips} clips of 2 s in batches of 8, 1 thread, median of {ROUNDS} epochs\n\n")
    sys.stdout.write(f"{'model':<16} {'feature':<10} {'parameters':>11} {'dfx':>9} {'bare':>9}   dfx / bare\n")
    with tempfile.TemporaryDirectory() as folder:
        manifest = corpus(Path(folder), clips)
        for model in models:
            feature = OWN_FEATURES.get(model, "lfcc")
            cfg = compose("train", overrides=[f"model={model}", f"feature={feature}", *options])
            cfg.cache = folder
            data = build.build_datamodule(cfg, manifest)
            batches = list(data.train_dataloader())
            bare = build.build_detector(cfg, data)
            bare_epoch(bare, batches)  # warm-up
            times = [(framework_epoch(cfg, data), bare_epoch(bare, batches)) for _ in range(ROUNDS)]
            own, loop = (1e3 * statistics.median(column) / clips for column in zip(*times, strict=True))
            count = sum(p.numel() for p in bare.model.parameters() if p.requires_grad)
            sys.stdout.write(
                f"{model:<16} {feature:<10} {count:>11,} {own:6.1f} ms {loop:6.1f} ms   {own / loop:.2f}\n"
            )
            sys.stdout.flush()


def main() -> None:
    if sys.argv[1:2] == ["networks"]:
        register_schema()
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            compare_networks(int(sys.argv[2]) if len(sys.argv) > 2 else 16, sys.argv[3:] or NETWORKS)
        return
    model = sys.argv[1] if len(sys.argv) > 1 else "lcnn_light"
    clips = int(sys.argv[2]) if len(sys.argv) > 2 else 256
    register_schema()
    options = [*TRAINER, "segment_seconds=5"]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        own = compose("train", overrides=[f"model={model}", "feature=lfcc", *options])
        s1 = compose("train", overrides=[f"model={model}", "feature=logmel_s1", *options])
    with tempfile.TemporaryDirectory() as folder:
        manifest = corpus(Path(folder), clips)
        own.cache = s1.cache = folder
        data = build.build_datamodule(own, manifest)
        batches = list(data.train_dataloader())
        bare = build.build_detector(own, data)
        s1_detector = build.build_detector(s1, data)
        bare_epoch(bare, batches)  # warm-up
        times: dict[str, list[float]] = {"bare": [], "dfx": [], "dfx, S1's feature": [], "S1's way": []}
        for _ in range(ROUNDS):
            times["bare"].append(bare_epoch(bare, batches))
            times["dfx"].append(framework_epoch(own, data))
            times["dfx, S1's feature"].append(framework_epoch(s1, build.build_datamodule(s1, manifest)))
            times["S1's way"].append(s1_epoch(s1, s1_detector, manifest))
    medians = {name: statistics.median(values) for name, values in times.items()}
    write = sys.stdout.write
    write(f"model={model}, {clips} clips of 5 s, {torch.get_num_threads()} threads, median of {ROUNDS} epochs\n\n")
    for name, value in medians.items():
        write(f"{name:<20} {value:7.2f} s an epoch {clips / value:9.1f} clips/s\n")
    throughput = medians["bare"] / medians["dfx"]
    speed_up = medians["S1's way"] / medians["dfx, S1's feature"]
    write(f"\nthroughput, dfx / bare loop over batches in memory   {throughput:.2f}\n")
    write(f"epoch from the second on, S1's way / dfx             {speed_up:.1f}\n")


if __name__ == "__main__":
    main()
