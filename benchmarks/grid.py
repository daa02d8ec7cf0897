"""The comparison grid as one sweep against its cells as separate cold processes in the way of the seed system S1.

    python benchmarks/grid.py [epochs] [precision]

A sample of the grid: one cell for each of its four models, on log-Mel, on the demo corpus; both sides train the same
networks for the same epochs with dev after each, and measure eval. dfx runs them as one sweep (one process, one store
that is there already, as in every grid but the first). In the S1 way each cell is a process of its own that imports
what it needs, decodes with librosa.load and computes librosa's log-Mel: in every epoch, or once for the cell. Ratios of
the sums; each model has as many cells of the grid as another, so the sample stands for all 48.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MODELS = ("lcnn", "resnet18", "mlp", "wav2vec2_head")
GRID = "model=" + ",".join(MODELS)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dfx.train", *arguments]


def sweep(folder: Path, epochs: int, precision: str) -> dict[str, float]:
    """Seconds of the whole sweep, and of the same again."""
    settings = [
        "-m", GRID, "feature=logmel", f"trainer.max_epochs={epochs}", f"patience={epochs}",
        f"trainer.precision={precision}", "trainer.enable_progress_bar=false",
    ]  # fmt: skip
    subprocess.run(command("trainer=smoke"), cwd=folder, check=True, capture_output=True)  # corpus, database
    times = {}
    for name in ("dfx, one sweep", "dfx, again"):
        began = time.perf_counter()
        subprocess.run(command(*settings), cwd=folder, check=True, capture_output=True)
        times[name] = time.perf_counter() - began
    return times


def cold(folder: Path, model: str, epochs: int, precision: str, once: bool) -> float:
    """Seconds of one cell as a process of its own."""
    began = time.perf_counter()
    arguments = [sys.executable, __file__, "cell", model, str(epochs), precision, str(int(once))]
    subprocess.run(arguments, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began


def cell(model: str, epochs: int, precision: str, once: bool) -> None:
    """One cell in the S1 way: librosa decodes and computes, a plain loop trains."""
    import librosa
    import numpy as np
    import torch
    from hydra import compose, initialize_config_dir

    from dfx.config.schema import CONF_DIR, register_schema
    from dfx.detector import build
    from dfx.detector.network import build_network, num_segment_samples
    from dfx.metrics import eer

    register_schema()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("train", overrides=[f"model={model}", "feature=logmel", "dataset.progress=false"])
    table = build.build_dataset(cfg).manifest().table
    options = cfg.feature
    length = num_segment_samples(cfg)
    kept: dict[str, np.ndarray] = {}

    def feature(path: str) -> np.ndarray:
        if path in kept:
            return kept[path]
        waveform, _ = librosa.load(path, sr=cfg.sample_rate)
        waveform = np.resize(waveform, length)
        mel = librosa.feature.melspectrogram(
            y=waveform, sr=cfg.sample_rate, n_fft=options.n_fft, win_length=options.win_length,
            hop_length=options.hop_length, n_mels=options.num_bands,
        )  # fmt: skip
        computed = librosa.power_to_db(mel).astype(np.float32)
        if once:
            kept[path] = computed
        return computed

    detector = build_network(cfg)
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-3)
    generator = np.random.default_rng(0)

    def batches(split: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        rows = table[table["split"] == split]
        order = generator.permutation(len(rows))
        for first in range(0, len(rows), cfg.data.batch_size):
            chosen = rows.iloc[order[first : first + cfg.data.batch_size]]
            maps = torch.from_numpy(np.stack([feature(path) for path in chosen["path"]]))[:, None]
            yield maps, torch.from_numpy(chosen["label"].to_numpy())

    def measure(split: str) -> float:
        detector.eval()
        with torch.inference_mode():
            parts = [(detector.loss.score(detector.model(maps)), label) for maps, label in batches(split)]
        scores = torch.cat([score for score, _ in parts]).float().numpy()
        labels = torch.cat([label for _, label in parts]).numpy()
        return eer(scores[labels == 1], scores[labels == 0])[0]

    for _ in range(epochs):
        detector.train()
        for maps, label in batches("train"):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision.startswith("bf16")):
                loss = detector.loss(detector.model(maps), label)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(detector.parameters(), 5.0)
            optimizer.step()
        measure("dev")
    measure("eval")


def main() -> None:
    if sys.argv[1:2] == ["cell"]:
        cell(sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5] == "1")
        return
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    precision = sys.argv[2] if len(sys.argv) > 2 else "bf16-mixed"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times = sweep(folder, epochs, precision)
        for kind, once in (("S1's way, every epoch", False), ("S1's way, once a cell", True)):
            cells = {model: cold(folder, model, epochs, precision, once) for model in MODELS}
            times[kind] = sum(cells.values())
            sys.stdout.write(f"{kind}: {json.dumps({k: round(v, 1) for k, v in cells.items()})}\n")
    sys.stdout.write(f"\n{len(MODELS)} cells, {epochs} epochs, {precision}, {os.cpu_count()} processors\n")
    for kind, value in times.items():
        sys.stdout.write(f"{kind:<24} {value:7.1f} s\n")
    for kind in ("S1's way, every epoch", "S1's way, once a cell"):
        sys.stdout.write(f"{kind} / dfx {times[kind] / times['dfx, one sweep']:.2f}\n")


if __name__ == "__main__":
    main()
