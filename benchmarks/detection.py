"""Speed of `dfx.detect` on one core: long files, streams, and a folder against a loop with librosa features.

    python benchmarks/detection.py MODEL [long] [stream] [folder]

`long`: seconds and peak memory for one hour and ten hours of FLAC, decoding included, in windows that overlap by half
(the default), and for one hour side by side. `stream`: latency of a window at
a hop of 0.5 s, median and 99th percentile. `folder`: 10,000 clips of 4 s through `detect_files`, and the first 500 of
them through a loop that decodes with librosa.load, computes librosa's log-Mel map and calls the same network.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read by NumPy and torch when they are imported

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch

import dfx
from dfx.audio import segments
from dfx.detector.answers import ThresholdChoice, decision_rule
from dfx.detector.file_detection import DetectionOptions, detect_files

RATE = 16000
NUM_FILES, NUM_LOOPED = 10_000, 500


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise of changing level, (samples,) 16-bit integers."""
    generator = np.random.default_rng(seed)
    level = np.repeat(10 ** generator.uniform(-2, -0.3, int(seconds * 4) + 1), RATE // 4)[: int(seconds * RATE)]
    return (0.3 * 32767 * level * generator.standard_normal(len(level))).clip(-32768, 32767).astype(np.int16)


def write_hours(path: Path, hours: int) -> None:
    """Write a FLAC file of some hours, five minutes at a time."""
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for number in range(12 * hours):
            file.write(sound(300, number))


def score_long(model: str, path: str, cache: str, overlap: str) -> None:
    """Score one file in this process, and print seconds and peak memory."""
    torch.set_num_threads(1)
    detector = dfx.load(model)
    rule = decision_rule([detector.card], ThresholdChoice(threshold=0.0), "x")
    detector.network.score_batch({"waveform": torch.zeros(1, round(detector.segment_seconds * RATE))})
    hop = None if overlap == "half" else detector.segment_seconds
    options = DetectionOptions(num_workers=1, cache=cache, hop_seconds=hop)
    start = time.perf_counter()
    (answer,) = detect_files([detector], rule, [path], options)
    seconds = time.perf_counter() - start
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"{answer.duration_seconds / 3600:.0f} h, overlap {overlap}: {seconds:.1f} s, "
        f"{answer.duration_seconds / seconds:.0f} times real "
        f"time, {len(answer.windows.scores)} windows; peak memory {own:.0f} MiB, decoding worker {worker:.0f} MiB"
    )


def measure_long(model: str, folder: Path) -> None:
    for hours, overlap in ((1, "half"), (1, "none"), (10, "half")):
        path = folder / f"{hours}.flac"
        if not path.exists():
            write_hours(path, hours)
        command = [sys.executable, __file__, model, "--score", str(path), str(folder / "cache"), overlap]
        subprocess.run(["taskset", "-c", "0", *command], check=True)


def measure_stream(model: str) -> None:
    torch.set_num_threads(1)
    stream = dfx.StreamingDetector(model, hop_seconds=0.5)
    samples = sound(120)
    seconds = []
    for first in range(0, len(samples), RATE // 2):
        start = time.perf_counter()
        if stream.add(samples[first : first + RATE // 2]):
            seconds.append(time.perf_counter() - start)
    median, slowest = 1000 * np.percentile(seconds[5:], [50, 99])
    print(f"stream: {len(seconds)} windows, latency {median:.1f} ms median, {slowest:.1f} ms 99th percentile")


def measure_folder(model: str, folder: Path) -> None:
    torch.set_num_threads(1)
    paths = []
    for number in range(NUM_FILES):
        path = folder / f"{number:05}.flac"
        soundfile.write(path, sound(4, number % 50), RATE)
        paths.append(str(path))
    detector = dfx.load(model)
    rule = decision_rule([detector.card], ThresholdChoice(threshold=0.0), "x")
    options = DetectionOptions(num_workers=1, cache=str(folder / "cache"))
    start = time.perf_counter()
    found = detect_files([detector], rule, paths, options)
    half = [next(found) for _ in range(NUM_FILES // 2)]
    found.close()  # stopped at half
    rest = list(detect_files([detector], rule, paths, options))
    ours = (time.perf_counter() - start) / NUM_FILES
    assert len(rest) == NUM_FILES
    assert [one.score for one in half] == [one.score for one in rest[: len(half)]]
    size = round(detector.segment_seconds * RATE)
    start = time.perf_counter()
    for path in paths[:NUM_LOOPED]:
        waveform, _ = librosa.load(path, sr=RATE)
        librosa.power_to_db(librosa.feature.melspectrogram(y=waveform, sr=RATE, n_mels=80))
        with torch.inference_mode():
            cut = torch.from_numpy(segments.fit_segment(waveform, size))[None]
            float(detector.network.score_batch({"waveform": cut})[0])
    loop = (time.perf_counter() - start) / NUM_LOOPED
    print(
        f"folder: {NUM_FILES} files, stopped at half and continued: {1 / ours:.0f} files/s; loop with librosa: "
        f"{1 / loop:.0f} files/s; ratio {loop / ours:.2f}"
    )


def main() -> None:
    model, *parts = sys.argv[1:]
    if parts and parts[0] == "--score":
        score_long(model, *parts[1:4])
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not parts or "stream" in parts:
            measure_stream(model)
        if not parts or "long" in parts:
            measure_long(model, folder)
        if not parts or "folder" in parts:
            measure_folder(model, folder)


if __name__ == "__main__":
    main()
