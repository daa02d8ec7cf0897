"""The waveform store measured: opening 600,000 utterances, building it against librosa.load, reading crops.

Run `python benchmarks/store.py`; it takes about a minute and half a gigabyte in the temporary folder. Absolute
figures depend on the machine and on what else it does; the ratios come from the same run and are what counts.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import soundfile

from dfx import audio, manifest, store, store_index, store_parts

NUM_UTTERANCES = 600_000
NUM_CLIPS = 400
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
            "label": (number % 10 == 0).astype(int),
            "attack": np.where(number % 10 == 0, "-", "A" + pd.Series(number % 19).astype(str)),
            "speaker": "speaker" + pd.Series(number // 1000).astype(str),
            "split": np.array(["train", "dev", "eval"])[number % 3],
        }
    )
    corpus = manifest.Manifest(table, "simulated")
    corpus.write(folder / "m.csv")
    corpus.write(folder / "m.parquet")

    paths = sorted(table["path"])
    sizes, times = store_index.look_at(paths)
    target = folder / "cache" / "waveforms" / store_index.key(paths, sizes, times, SAMPLE_RATE)
    target.mkdir(parents=True)
    first = store_parts.plan(sizes)
    kinds = np.arange(32_000, 96_000, 1000)
    kind = np.random.default_rng(0).integers(0, len(kinds), NUM_UTTERANCES)
    lengths = kinds[kind].astype(np.int64)
    checksums = np.array([zlib.crc32(bytes(2 * n)) for n in kinds], np.uint32)[kind]
    for part in range(len(first) - 1):
        with store_parts.data_path(target, part).open("wb") as file:
            file.truncate(int(lengths[first[part] : first[part + 1]].sum()) * store_parts.SAMPLE_BYTES)
    none = np.zeros(0, np.int64)
    index = store_index.Index(first, lengths, checksums, none, none.astype(np.str_))
    np.savez(target / "index.npz", **index._asdict())
    (target / "bad_files.csv").write_text("id,path,reason\n")


def open_simulated(folder: Path) -> None:
    """Runs in a process of its own, so that the peak of memory is that of opening and reading."""
    print(f"  imports                             peak {peak_mib():5.0f} MiB")
    for name in ("m.csv", "m.parquet"):
        began = time.perf_counter()
        corpus = manifest.read(folder / name)
        print(f"  manifest.read {name:<10} {time.perf_counter() - began:6.2f} s   peak {peak_mib():5.0f} MiB")
    began = time.perf_counter()
    opened = store.open_store(corpus, SAMPLE_RATE, folder / "cache")
    print(f"  open_store               {time.perf_counter() - began:6.2f} s   peak {peak_mib():5.0f} MiB")
    rows = np.random.default_rng(0).permutation(len(opened))[:20_000].tolist()
    taken = seconds(lambda: [len(opened.read(row, 0, CROP_SAMPLES)) for row in rows])
    print(
        f"  20,000 crops of 4 s      {taken:6.2f} s   peak {peak_mib():5.0f} MiB   {len(rows) / taken:,.0f}/s"
    )
    digest, copy = seconds(lambda: corpus.hash), len(pickle.dumps(opened)) / 2**20
    print(f"  manifest.hash            {digest:6.2f} s   a copy of the store for a worker: {copy:.0f} MiB")


def make_clips(folder: Path, suffix: str, sample_rate: int) -> manifest.Manifest:
    """Clips of 2-8 s of low-pass noise."""
    generator = np.random.default_rng(0)
    rows = []
    for i in range(NUM_CLIPS):
        noise = generator.standard_normal(int(generator.uniform(2, 8) * sample_rate))
        path = folder / f"{i}{suffix}"
        soundfile.write(path, 0.1 * np.convolve(noise, np.ones(4) / 4, "same"), sample_rate)
        rows.append({"id": str(i), "path": str(path), "label": i % 2, "split": "train"})
    return manifest.Manifest(pd.DataFrame(rows))


def build(corpus: manifest.Manifest, cache: Path, num_workers: int | None) -> store.WaveformStore:
    return store.open_store(corpus, SAMPLE_RATE, cache, num_workers=num_workers, progress=False)


def compare(folder: Path) -> None:
    print(f"\nbuilding, clips/s ({NUM_CLIPS} clips of 2-8 s, one process)      dfx   librosa.load   ratio")
    for suffix, sample_rate in ((".flac", 16_000), (".wav", 44_100), (".mp3", 44_100)):
        name = f"{suffix[1:]} {sample_rate / 1000:g} kHz"
        cache = folder / f"cache{suffix}"
        clips = folder / suffix[1:]
        clips.mkdir()
        corpus = make_clips(clips, suffix, sample_rate)
        paths = corpus.table["path"].tolist()
        librosa.load(paths[0], sr=8000)  # its lazy imports
        ours, theirs = [], []
        for attempt in range(3):  # in turns: the load of other programs falls on both
            theirs.append(seconds(lambda p=paths: [librosa.load(path, sr=SAMPLE_RATE) for path in p]))
            ours.append(seconds(lambda c=corpus, f=cache / str(attempt): build(c, f, 0)))
        line(name, len(paths) / min(ours), len(paths) / min(theirs))
        if suffix == ".wav":
            many = many_links(corpus, folder / "links")
            taken = seconds(lambda c=many, f=cache / "many": build(c, f, None))
            line(f"{name}, {len(many):,} clips, all cores", len(many) / taken, len(paths) / min(theirs))

    opened = build(corpus, cache / "0", 0)
    generator = np.random.default_rng(0)
    rows = generator.integers(0, NUM_CLIPS, 5000).tolist()
    crops = [(row, int(generator.integers(0, max(1, opened.length(row) - CROP_SAMPLES)))) for row in rows]
    # Each crop is dropped before the next, as in training; keeping them would measure the allocation of memory.
    stored = seconds(lambda: sum(len(opened.read(row, at, CROP_SAMPLES)) for row, at in crops)) / len(crops)
    few = crops[:200]
    decoded = seconds(lambda: sum(len(audio.read(paths[row], SAMPLE_RATE)[at:]) for row, at in few)) / len(
        few
    )
    print("\nrandom crops of 4 s, crops/s                             store       decoding   ratio")
    line("mp3 44.1 kHz", 1 / stored, 1 / decoded)


def many_links(corpus: manifest.Manifest, folder: Path) -> manifest.Manifest:
    """The same clips many times over, under other names: enough work for worker processes to be worth starting."""
    folder.mkdir()
    rows = []
    for i in range(8 * len(corpus)):
        (folder / f"{i}.wav").hardlink_to(corpus.table["path"][i % len(corpus)])
        rows.append({"id": str(i), "path": str(folder / f"{i}.wav"), "label": i % 2, "split": "train"})
    return manifest.Manifest(pd.DataFrame(rows))


def line(name: str, ours: float, theirs: float) -> None:
    print(f"  {name:<48}{ours:9,.0f} {theirs:14,.0f} {ours / theirs:7.2f}")


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
