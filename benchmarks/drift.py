"""Drift of a detector: clips until a change is found, false alarms without a change, and a log of a million answers.

    python benchmarks/drift.py MODEL FOLDER [power] [unchanged] [million]

MODEL is the default detector of the demo corpus (`python -m dfx.train`), FOLDER keeps the clips that are made. Fresh
clips of the five dev speakers are the stream. `power`: share of periods of 30 to 240 clips in which a change of half of
the clips is found: MP3 at 32 kbit/s, Opus at 16 kbit/s, a generator that dev does not have (D08); against the dev clips
of the detector, and against 500 earlier clips of the stream. `unchanged`: alarms in 200 periods of 100 clips without a
change, against the dev clips (one reference for all periods), against 250 clips of the stream that are drawn anew for
each period, and against simulated references of which each day has its own level. `million`: size of a log, seconds and
peak memory of a report.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by NumPy and torch when they are imported

import dataclasses
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from scipy.stats import binomtest

import dfx
from detection_quality import write
from dfx.datasets.synthesis.demo_clips import plan_demo_clips, write_demo_clips
from dfx.detect.log import log_answer, open_log
from dfx.detector.answers import ThresholdChoice
from dfx.detector.detection_system import open_detection_system
from dfx.detector.file_detection import DetectionOptions, detect_files
from dfx.detector.input_statistics import DISTANCE, EMBEDDING, MEASURES
from dfx.metrics.drift import DriftSample, measure_drift
from dfx.monitor.samples import answer_measures, dev_reference
from dfx.tracking.observations import LoggedSystem, Observation, ObservationLog, Observations, ObservationStore

RATE = 16000
TRAINED_PAIRS = 600  # of the default corpus
FRESH = 1000  # clips of the dev speakers
CHANGED = 240  # of each kind
SIZES = (30, 60, 120, 240)
TRIALS, PERIODS = 50, 200


def make_clips(folder: Path) -> dict[str, list[str]]:
    """Make the clips of the stream, and the changed ones; return their paths by kind."""
    plan = [clip for clip in plan_demo_clips(12_000, 8.0) if clip.split == "dev" and clip.pair >= TRAINED_PAIRS]
    fresh = plan[:FRESH]
    others = plan[FRESH : FRESH + CHANGED]
    attacked = [clip for clip in plan[FRESH + CHANGED :] if clip.attack != "-"][:CHANGED]
    attacked = [dataclasses.replace(clip, attack="D08") for clip in attacked]
    for clips in (fresh, others, attacked):
        write_demo_clips([clip for clip in clips if not (folder / f"{clip.id}.wav").exists()], folder)
    paths = {
        name: [str(folder / f"{c.id}.wav") for c in clips] for name, clips in (("fresh", fresh), ("D08", attacked))
    }
    for form in ("mp3 32k", "opus 16k"):
        place = folder / form.replace(" ", "")
        place.mkdir(exist_ok=True)
        paths[form] = [
            str(write(place / f"{clip.id}.x", soundfile.read(folder / f"{clip.id}.wav", dtype="float32")[0], form))
            for clip in others
        ]
    return paths


def log_clips(model: str, folder: Path) -> tuple[dict[str, Observations], LoggedSystem]:
    """Answer for all clips with a log, and return what the log has of each kind."""
    options = DetectionOptions(cache=str(folder / "cache"), num_workers=0)
    system = open_detection_system(model, (), ThresholdChoice(), options)
    found = {}
    for name, paths in make_clips(folder).items():
        store = folder / f"{name}.db"
        store.unlink(missing_ok=True)
        with open_log(str(store), system, "files") as log:
            for answer in detect_files(system.detectors, system.rule, paths, options):
                log_answer(log, answer, keep_path=False)
        with ObservationStore(store) as reader:
            found[name] = reader.read(reader.find(reader.systems, 0, 1 << 60))
            logged = reader.systems[0]
    return found, logged


def take(measures: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[rows] for name, values in measures.items()}


def join(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([first[name], second[name]]) for name in first}


def drifted(reference: DriftSample, period: dict[str, np.ndarray], seed: int) -> list[str]:
    return [name for name, one in measure_drift(reference, DriftSample(period), seed=seed).items() if one.drifted]


def measure_power(model: str, folder: Path) -> None:
    found, logged = log_clips(model, folder)
    dev = dev_reference(dfx.load(model), logged.settings)
    measures = {name: answer_measures(one, dev.codings) for name, one in found.items()}
    for text, own in (("dev clips", True), ("500 clips of the stream", False)):
        for kind in ("mp3 32k", "opus 16k", "D08"):
            # Without the name of the codec: what is heard must suffice.
            hidden = {one: {n: v for n, v in measures[one].items() if n != "new_codec"} for one in ("fresh", kind)}
            for size in SIZES:
                hits, names = 0, dict[str, int]()
                for trial in range(TRIALS):
                    generator = np.random.default_rng([trial, size])
                    fresh = generator.permutation(FRESH)
                    changed = generator.permutation(len(found[kind]))[: size // 2]
                    reference = dev.sample if own else DriftSample(take(hidden["fresh"], fresh[:500]))
                    period = join(take(hidden["fresh"], fresh[500 : 500 + size // 2]), take(hidden[kind], changed))
                    which = drifted(reference, period, trial)
                    hits += bool(which)
                    names |= {name: names.get(name, 0) + 1 for name in which}
                first = ", ".join(f"{name} {count}" for name, count in sorted(names.items(), key=lambda p: -p[1])[:4])
                print(f"{text:<24} {kind:<9} {size:>4} clips: found {hits}/{TRIALS}   {first}", flush=True)


def alarms(text: str, trial: Callable[[int], bool]) -> None:
    count = sum(trial(number) for number in range(PERIODS))
    low, high = binomtest(count, PERIODS).proportion_ci(method="wilson")
    rates = f"{100 * count / PERIODS:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
    print(f"{text}: {count} alarms in {PERIODS} periods, {rates}", flush=True)


def measure_unchanged(model: str, folder: Path) -> None:
    found, logged = log_clips(model, folder)
    dev = dev_reference(dfx.load(model), logged.settings)
    measures = answer_measures(found["fresh"], dev.codings)

    def against_dev(number: int) -> bool:
        rows = np.random.default_rng(number).permutation(FRESH)[:100]
        return bool(drifted(dev.sample, take(measures, rows), number))

    def against_stream(number: int) -> bool:
        rows = np.random.default_rng(number).permutation(FRESH)
        return bool(drifted(DriftSample(take(measures, rows[:250])), take(measures, rows[250:350]), number))

    def simulated(number: int) -> bool:
        generator = np.random.default_rng(number)
        days = np.repeat(np.arange(20), 100)
        common = generator.normal(size=(21, 11)) * 0.3  # of a day, in deviations of an answer
        values = generator.normal(size=(2100, 11)) + np.concatenate([common[days], np.repeat(common[20:], 100, axis=0)])
        named = {f"m{column}": values[:, column] for column in range(11)}
        period = DriftSample(take(named, np.arange(2000, 2100)), np.zeros(100, np.int64))
        reference = DriftSample(take(named, np.arange(2000)), days)
        return any(one.drifted for one in measure_drift(reference, period, seed=number).values())

    alarms("against the dev clips, 100 clips", against_dev)
    alarms("against 250 clips of the stream, drawn anew", against_stream)
    alarms("simulated: 20 days of 100 answers, each day with its own level", simulated)


def measure_million(model: str, folder: Path) -> None:
    detector = dfx.load(model)
    space = detector.card.reference.space
    columns = [*MEASURES, DISTANCE, *(f"{EMBEDDING}{number}" for number in range(space.directions.shape[1]))]
    settings = {"kind": "files", "calibrated": True, "low": 0.0, "high": 0.0, "aggregate": "mean"}
    store = folder / "million.db"
    store.unlink(missing_ok=True)
    count, generator = 1_000_000, np.random.default_rng(0)
    clips = detector.card.reference.clips.columns
    rows = generator.integers(len(clips["score"]), size=count)
    score = clips["score"][rows] * detector.card.slope + detector.card.intercept
    values = np.stack([clips[name] for name in columns], axis=1)
    start = time.perf_counter()
    with ObservationLog(store, LoggedSystem(detector.digest, detector.name, [model], columns, settings)) as log:
        for number in range(count):
            own = values[rows[number]]
            facts = (float(score[number]), 0.5, "REAL", "", own)
            log.add(Observation(int(generator.integers(-1 << 63, 1 << 63)), None, "pcm_16", 4.0, *facts))
    print(f"{count:,} answers written in {time.perf_counter() - start:.0f} s, {1e-6 * store.stat().st_size:.0f} MB")
    with sqlite3.connect(store) as connection:  # over 60 days
        first = int(time.time() * 1000) - 60 * 86_400_000
        connection.execute(f"UPDATE observations SET time = {first} + id * {60 * 86_400_000 // count}")
    connection.close()
    for words in (["period=1d"], ["period=1w"], ["period=1000"], ["period=60d"]):
        command = [sys.executable, "-m", "dfx.monitor", f"log={store}", *words, f"out={folder / 'report'}"]
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{words[0]}: status {done.returncode}, {time.perf_counter() - start:.0f} s (CPU "
            f"{used.ru_utime - before.ru_utime:.0f} s), peak memory so far {used.ru_maxrss / 1024:.0f} MiB",
            flush=True,
        )


def main() -> None:
    model, folder, *parts = sys.argv[1:]
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, measure in (("power", measure_power), ("unchanged", measure_unchanged), ("million", measure_million)):
        if not parts or name in parts:
            measure(str(Path(model).absolute()), Path(folder).absolute())


if __name__ == "__main__":
    main()
