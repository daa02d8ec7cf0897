"""The waveform store measured: 600,000 utterances, building it against librosa.load in a process pool, reading crops.

Both decode with libsndfile and resample with soxr, so a process of either does about the same. What the store saves is
to carry arrays from process to process, which a single process has to receive, and a slow average of channels.

Run `python benchmarks/store.py`; it takes some minutes and 2 GB in the temporary folder. Absolute figures depend on the
machine and on what else it does (the load average is printed); the ratios come from the same run and are what counts.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import soundfile

from dfx import audio
from dfx.audio import parts, store, workers
from dfx.tables import manifest, manifest_reading

NUM_UTTERANCES = 600_000
NUM_CLIPS = 400
ROUNDS = 3
SAMPLE_RATE = 16_000
CROP_SAMPLES = 64_600  # about 4 s, as the ASVspoof baselines


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_mib() -> float:
    """Peak of the memory of this process (`ru_maxrss` would begin with that of its parent)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def simulate(folder: Path) -> None:
    """A manifest of 600,000 paths that exist, and their finished store of sparse files: 77 GB that take no room."""
    clips = folder / "clips"
    clips.mkdir()
    for i in range(1000):
        (clips / f"{i:04d}.flac").write_bytes(bytes(70_000))
    for i in range(NUM_UTTERANCES // 1000):  # each link shows the 1,000 files under other paths
        (folder / f"speaker{i:03d}").symlink_to(clips, target_is_directory=True)
    number = np.arange(NUM_UTTERANCES)
    table = pd.DataFrame(
        {
            "id": [f"LA_T_{i:07d}" for i in number],
            "path": [f"{folder}/speaker{i // 1000:03d}/{i % 1000:04d}.flac" for i in number],
            "label": (number % 7 == 0).astype(int),
            "attack": np.where(number % 7 == 0, "-", "A" + pd.Series(number % 19).astype(str)),
            "speaker": "speaker" + pd.Series(number // 1000).astype(str),
            "split": np.array(["dev", "eval", *["train"] * 18])[number % 20],
        }
    )
    corpus = manifest.Manifest(table, "simulated")
    corpus.write(folder / "m.csv")
    corpus.write(folder / "m.parquet")

    catalogue, _ = store.plain_store_catalogue(corpus, SAMPLE_RATE, folder / "cache")
    catalogue.folder.mkdir(parents=True)
    kinds = np.arange(32_000, 96_000, 1000)
    checksums = [zlib.crc32(bytes(2 * n)) for n in kinds.tolist()]
    kind = np.random.default_rng(0).integers(0, len(kinds), NUM_UTTERANCES)
    lengths = kinds[kind]
    for batch in parts.part_batches(catalogue.sizes):
        name, offsets = parts.new_part_name(), np.cumsum(lengths[batch]) - lengths[batch]
        entries = [
            parts.PartEntry(
                os.fsencode(catalogue.paths[i]),
                int(catalogue.sizes[i]),
                int(catalogue.mtimes[i]),
                int(offset),
                int(lengths[i]),
                1,
                checksums[kind[i]],
                "",
            )
            for i, offset in zip(batch.tolist(), offsets, strict=True)
        ]
        with (catalogue.folder / f"{name}.pcm").open("wb") as file:
            file.truncate(int(lengths[batch].sum()) * store.SAMPLE_BYTES)
        parts.write_part_table(catalogue.folder, name, entries, store.SAMPLE_BYTES)


def open_simulated(folder: Path) -> None:
    """Runs in a process of its own, so that the peak of memory is that of opening and reading."""
    print(f"  imports                             peak {peak_mib():5.0f} MiB")
    for name in ("m.csv", "m.parquet"):
        began = time.perf_counter()
        corpus = manifest_reading.read_manifest(folder / name)
        print(f"  read_manifest {name:<10} {time.perf_counter() - began:6.2f} s   peak {peak_mib():5.0f} MiB")
    began = time.perf_counter()
    opened = store.open_store(corpus, SAMPLE_RATE, cache=folder / "cache")
    print(f"  open_store               {time.perf_counter() - began:6.2f} s   peak {peak_mib():5.0f} MiB")
    rows = np.random.default_rng(0).permutation(len(opened))[:20_000].tolist()
    taken = seconds(lambda: [len(opened.read(row, 0, CROP_SAMPLES)) for row in rows])
    print(f"  20,000 crops of 4 s      {taken:6.2f} s   peak {peak_mib():5.0f} MiB   {len(rows) / taken:,.0f}/s")
    digest, copy = seconds(lambda: corpus.hash), len(pickle.dumps(opened)) / 2**20
    print(f"  manifest.hash            {digest:6.2f} s   a copy of the store for a worker: {copy:.0f} MiB")
    sample_and_batch(corpus, opened)


def sample_and_batch(corpus: manifest.Manifest, opened: store.WaveformStore) -> None:
    """Draw an epoch and make batches, as training does."""
    before = peak_mib()
    from dfx.detector.datamodule import AudioDataModule

    print(f"  import of torch                     peak {peak_mib():5.0f} MiB (before: {before:.0f})")
    began = time.perf_counter()
    data = AudioDataModule(corpus, opened, CROP_SAMPLES, batch_size=32, balance="class")
    print(f"  AudioDataModule          {time.perf_counter() - began:6.2f} s   peak {peak_mib():5.0f} MiB")
    sampler = data.train_dataloader().sampler
    began = time.perf_counter()
    drawn = sum(len(batch) for batch in sampler)
    print(
        f"  an epoch's {drawn:,} draws  {time.perf_counter() - began:6.2f} s   peak {peak_mib():5.0f} MiB   "
        f"{len(sampler):,} batches"
    )
    for num_workers in (0, 2):
        data.num_workers = num_workers
        began = time.perf_counter()
        batches = iter(data.train_dataloader())
        next(batches)
        first = time.perf_counter() - began
        taken = seconds(lambda made=batches: [next(made)["waveform"].shape for _ in range(100)])
        print(
            f"  first batch, {num_workers} workers   {first:6.2f} s\n"
            f"  100 batches of 32 x 4 s  {taken:6.2f} s   peak {peak_mib():5.0f} MiB   {3200 / taken:,.0f} crops/s"
        )


def make_clips(folder: Path, suffix: str, sample_rate: int, channels: int) -> manifest.Manifest:
    """Clips of 2-8 s of low-pass noise."""
    generator = np.random.default_rng(0)
    rows = []
    for i in range(NUM_CLIPS):
        noise = generator.standard_normal(int(generator.uniform(2, 8) * sample_rate))
        path = folder / f"{i}{suffix}"
        sound = 0.1 * np.convolve(noise, np.ones(4) / 4, "same")
        soundfile.write(path, np.stack([sound] * channels, 1), sample_rate)
        rows.append({"id": str(i), "path": str(path), "label": i % 2, "split": "train"})
    return manifest.Manifest(pd.DataFrame(rows))


def build(corpus: manifest.Manifest, cache: Path, num_workers: int | None) -> store.WaveformStore:
    return store.open_store(corpus, SAMPLE_RATE, cache=cache, num_workers=num_workers, progress=False)


# Suffix, sample rate, channels, and how many clips: some seconds of work for two processes.
KINDS = (
    (".flac", 16_000, 1, 4000),
    (".wav", 16_000, 1, 12_000),
    (".wav", 44_100, 1, 4000),
    (".wav", 44_100, 2, 3000),
    (".mp3", 44_100, 1, 2000),
)


def load(path: str) -> np.ndarray:
    return librosa.load(path, sr=SAMPLE_RATE)[0]


def load_here(paths: list[str]) -> None:
    for path in paths:
        load(path)


def load_all(pool: ProcessPoolExecutor, paths: list[str]) -> None:
    """Every waveform, as a program gets them that decodes in a pool."""
    for waveform in pool.map(load, paths, chunksize=4):
        len(waveform)


def five_seconds(_: int) -> np.ndarray:
    return np.zeros(5 * SAMPLE_RATE, np.float32)


def compare(folder: Path) -> None:
    cores = workers.num_cores()
    print(f"\nbuilding, clips/s (clips of 2-8 s, best of {ROUNDS})      dfx   librosa.load   ratio    load")
    # The processes of the pool are there and warm; those of dfx start within the time that is measured.
    with ProcessPoolExecutor(cores, get_context("spawn")) as pool:
        for suffix, sample_rate, channels, count in KINDS:
            name = f"{suffix[1:]} {sample_rate / 1000:g} kHz{' stereo' if channels > 1 else ''}"
            clips, cache = folder / name, folder / f"cache {name}"
            clips.mkdir()
            corpus = make_clips(clips, suffix, sample_rate, channels)
            paths = corpus.table["path"].tolist()
            load(paths[0])  # lazy imports
            rates = faster(len(corpus), partial(build, corpus, cache / "0", 0), partial(load_here, paths), cache)
            line(f"{name}, this process", *rates)
            many = many_links(corpus, folder / f"links {name}", suffix, count)
            paths = many.table["path"].tolist()
            load_all(pool, paths[: 16 * cores])
            rates = faster(count, partial(build, many, cache / "1", cores), partial(load_all, pool, paths), cache / "1")
            line(f"{name}, {cores} processes", *rates)
        nothing = seconds(lambda: [len(array) for array in pool.map(five_seconds, range(4000), chunksize=4)])
    print(f"  a pool that decodes nothing gives back at most {4000 / nothing:,.0f} arrays of 5 s in a second")

    opened = build(corpus, cache / "0", 0)
    generator = np.random.default_rng(0)
    rows = generator.integers(0, NUM_CLIPS, 5000).tolist()
    crops = [(row, int(generator.integers(0, max(1, opened.lengths[row] - CROP_SAMPLES)))) for row in rows]
    # Each crop is dropped before the next, as in training; keeping them would measure the allocation of memory.
    stored = seconds(lambda: sum(len(opened.read(row, at, CROP_SAMPLES)) for row, at in crops)) / len(crops)
    few, paths = crops[:200], corpus.table["path"].tolist()
    decoded = seconds(lambda: sum(len(audio.read_audio(paths[row], SAMPLE_RATE)[at:]) for row, at in few)) / len(few)
    print("\nrandom crops of 4 s, crops/s                             store       decoding   ratio")
    line("mp3 44.1 kHz", 1 / stored, 1 / decoded, decoded / stored)


def faster(
    count: int, ours: Callable[[], object], theirs: Callable[[], object], cache: Path
) -> tuple[float, float, float]:
    """Clips in a second of each, at best, and the median ratio; in turns: the load of other programs falls on both."""
    times = []
    for _ in range(ROUNDS):
        shutil.rmtree(cache, ignore_errors=True)
        times.append((seconds(ours), seconds(theirs)))
    best = [count / min(column) for column in zip(*times, strict=True)]
    return best[0], best[1], float(np.median([theirs / ours for ours, theirs in times]))


def many_links(corpus: manifest.Manifest, folder: Path, suffix: str, count: int) -> manifest.Manifest:
    """The same clips many times over, under other names: enough work for worker processes to be worth starting."""
    folder.mkdir()
    rows = []
    for i in range(count):
        path = folder / f"{i}{suffix}"
        path.hardlink_to(corpus.table["path"][i % len(corpus)])
        rows.append({"id": str(i), "path": str(path), "label": i % 2, "split": "train"})
    return manifest.Manifest(pd.DataFrame(rows))


def line(name: str, ours: float, theirs: float, ratio: float) -> None:
    print(f"  {name:<48}{ours:9,.0f} {theirs:14,.0f} {ratio:7.2f} {os.getloadavg()[0]:7.1f}", flush=True)


def main() -> None:
    if len(sys.argv) > 1:
        open_simulated(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        simulate(Path(name))
        print(f"opening {NUM_UTTERANCES:,} utterances, 77 GB of waveforms", flush=True)
        subprocess.run([sys.executable, __file__, name], check=True)
        compare(Path(name))


if __name__ == "__main__":
    main()
