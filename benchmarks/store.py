"""The waveform store measured: opening 600,000 utterances, reading crops, and building it, against librosa and soundfile.

Run `python benchmarks/store.py`; it takes about a minute and half a gigabyte in the temporary folder. Absolute figures
depend on the machine and on what else it does; the ratios are measured side by side and are what counts.
"""

from __future__ import annotations

import pickle
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from dfx import audio, manifest, store, store_build, store_parts

NUM_UTTERANCES = 600_000
NUM_CLIPS = 200
SAMPLE_RATE = 16_000
CROP_SAMPLES = 64_600  # about 4 s, as the ASVspoof baselines


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def simulate(folder: Path) -> None:
    """A manifest of 600,000 paths that exist, and their finished store of sparse files: 77 GB that take no room."""
    clips = folder / "clips"
    clips.mkdir()
    for i in range(1000):
        (clips / f"{i:04d}.flac").write_bytes(bytes(70_000 // 2))
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
    sizes, times = store._stat(paths)
    target = folder / "cache" / "waveforms" / store._key(paths, sizes, times, SAMPLE_RATE)
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
    index = store_build.Index(first, lengths, checksums, none, none.astype(np.str_))
    np.savez(target / "index.npz", **index._asdict())
    (target / "bad_files.csv").write_text("id,path,reason\n")


def open_simulated(folder: Path) -> None:
    """Runs in a process of its own, so that the peak of memory is that of opening and reading."""
    imported = peak_mib()
    for name in ("m.csv", "m.parquet"):
        began = time.perf_counter()
        corpus = manifest.read(folder / name)
        print(f"  manifest.read {name:<10} {time.perf_counter() - began:6.2f} s   peak {peak_mib():5.0f} MiB")
    began = time.perf_counter()
    opened = store.open_store(corpus, SAMPLE_RATE, folder / "cache")
    print(f"  open_store               {time.perf_counter() - began:6.2f} s   peak {peak_mib():5.0f} MiB")
    generator = np.random.default_rng(0)
    rows, count = generator.permutation(len(opened))[:20_000].tolist(), 0
    began = time.perf_counter()
    for row in rows:
        count += len(opened.read(row, 0, CROP_SAMPLES))
    seconds = time.perf_counter() - began
    print(
        f"  20,000 crops over 77 GB  {seconds:6.2f} s   peak {peak_mib():5.0f} MiB   ({20_000 / seconds:,.0f}/s)"
    )
    print(
        f"  of the peak, imports {imported:.0f} MiB; a copy sent to a worker {len(pickle.dumps(opened)) / 2**20:.0f} MiB"
    )


def make_clips(folder: Path, suffix: str, sample_rate: int) -> manifest.Manifest:
    """Clips of 2-8 s of noise that falls with frequency as speech does."""
    generator = np.random.default_rng(0)
    rows = []
    for i in range(NUM_CLIPS):
        noise = np.cumsum(generator.standard_normal(int(generator.uniform(2, 8) * sample_rate)))
        noise = np.diff(noise - np.convolve(noise, np.ones(64) / 64, "same"), prepend=0)
        path = folder / f"{i}{suffix}"
        soundfile.write(path, 0.3 * noise / np.abs(noise).max(), sample_rate)
        rows.append({"id": str(i), "path": str(path), "label": i % 2, "split": "train"})
    return manifest.Manifest(pd.DataFrame(rows))


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def compare(folder: Path) -> None:
    import librosa

    librosa.load(make_warm_up(folder), sr=8000)  # lazy imports
    print(f"\nbuilding, clips/s ({NUM_CLIPS} clips of 2-8 s, one process)      dfx   librosa.load   ratio")
    for name, suffix, sample_rate in (
        ("flac 16 kHz", ".flac", 16_000),
        ("wav 44.1 kHz", ".wav", 44_100),
        ("mp3 44.1 kHz", ".mp3", 44_100),
    ):
        clips = folder / name
        clips.mkdir()
        corpus = make_clips(clips, suffix, sample_rate)
        cache = folder / f"cache of {name}"
        paths = corpus.table["path"].tolist()
        theirs = seconds(lambda paths=paths: [librosa.load(path, sr=SAMPLE_RATE) for path in paths])
        ours = seconds(
            lambda c=corpus, f=cache: store.open_store(c, SAMPLE_RATE, f, num_workers=0, progress=False)
        )
        print(f"  {name:<52} {NUM_CLIPS / ours:6,.0f} {NUM_CLIPS / theirs:14,.0f} {theirs / ours:7.1f}")

    opened = store.open_store(corpus, SAMPLE_RATE, cache)
    generator = np.random.default_rng(0)
    crops = [
        (row, int(generator.integers(0, max(1, opened.length(row) - CROP_SAMPLES))))
        for row in generator.integers(0, NUM_CLIPS, 5000).tolist()
    ]

    def from_file(row: int, start: int) -> None:
        audio.read(paths[row], SAMPLE_RATE)[start : start + CROP_SAMPLES]

    print("\nrandom crops of 4 s, crops/s                                     store   decoding   ratio")
    ours = seconds(lambda: [opened.read(row, start, CROP_SAMPLES) for row, start in crops]) / len(crops)
    theirs = seconds(lambda: [from_file(row, start) for row, start in crops[:200]]) / 200
    print(f"  from mp3 44.1 kHz {'':<42} {1 / ours:8,.0f} {1 / theirs:10,.0f} {theirs / ours:7.0f}")


def make_warm_up(folder: Path) -> Path:
    soundfile.write(folder / "warm_up.wav", np.zeros(16_000), 16_000)
    return folder / "warm_up.wav"


def main() -> None:
    if len(sys.argv) > 1:
        open_simulated(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder)
        print(f"opening {NUM_UTTERANCES:,} utterances")
        sys.stdout.flush()
        subprocess.run([sys.executable, __file__, str(folder)], check=True)
        compare(folder)


if __name__ == "__main__":
    main()
