"""Check an exported file against its detector on real clips: scores, EER, size and latency on one core."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from dfx import audio, console, datasets, metrics
from dfx.audio.audio_files import list_audio_files
from dfx.audio.conditioning import condition_clip
from dfx.datasets import Dataset
from dfx.detector import build
from dfx.detector.corpus_scoring import ScoringOptions, score_manifest
from dfx.detector.dataset import ArrayStore, AudioDataset, scoring_loader
from dfx.detector.sampling import evenly_spaced
from dfx.detector.scoring import SavedDetector
from dfx.metrics import Difference
from dfx.tables.labels import BONAFIDE, SPOOF
from dfx.tables.manifest import Manifest

MOST_CLIPS = 50
CALIBRATION_CLIPS = 100
DEMO_CLIPS = 240  # of which a fifth are dev
ROUNDS = 20
RESAMPLES = 1000


@dataclass(frozen=True)
class CheckClips:
    """Real clips on which an exported file is compared with its detector.

    Attributes:
        source: where they come from, in words.
        paths: of the clips.
        labels: (clips,) of the clips; None if they are not known.
        train_paths: other clips, for the calibration of int8.
        manifest: corpus of the run; None if it is not on this machine.
    """

    source: str
    paths: list[str]
    labels: NDArray[np.int64] | None
    train_paths: list[str]
    manifest: Manifest | None = None


@dataclass(frozen=True)
class ExportCheck:
    """Comparison of an exported file with its detector.

    Attributes:
        num_clips: clips that both have scored.
        largest: difference of their scores.
        eers: EER of the detector and of the file on these clips; None if a class is missing.
        num_bytes: size of the file.
        latency_ms: time in ms for one segment on one core, by network: "PyTorch" and the format.
        dev: difference of the EER on the dev split, file minus detector; None if it was not measured.
        dev_eers: EER of the detector and of the file on the dev split.
        dev_trials: number of utterances of the dev split.
    """

    num_clips: int
    largest: float
    eers: tuple[float, float] | None
    num_bytes: int
    latency_ms: dict[str, float]
    dev: Difference | None = None
    dev_eers: tuple[float, float] | None = None
    dev_trials: int = 0


def find_check_clips(detector: SavedDetector, clips: str | None, cache: str | None) -> CheckClips:
    """Find clips for the check: in a given folder, or the dev split of the run's corpus, or the demo corpus.

    Args:
        detector: the trained detector.
        clips: folder of recordings, without labels.
        cache: cache folder of dfx.

    Raises:
        ValueError: if the folder has no recordings.
    """
    if clips:
        folder = Path(clips).expanduser()
        paths = [str(folder / name) for name in list_audio_files(folder)]
        if not paths:
            raise ValueError(f"clips={clips}: there are no audio files in this folder: name another one.")
        return CheckClips(f"recordings of {clips}", _spread(paths, MOST_CLIPS), None, _spread(paths, CALIBRATION_CLIPS))
    manifest = _manifest_of_run(detector)
    if manifest is not None:
        return _of_manifest(f"dev split of {manifest.name or 'the corpus'}", manifest, manifest)
    demo = datasets.Demo(cache=cache, num_clips=DEMO_CLIPS).manifest()
    return _of_manifest("synthetic clips of the demo corpus, not speech", demo, None)


def check_export(
    detector: SavedDetector, exported: SavedDetector, form: str, clips: CheckClips, measure_dev: bool, cache: str | None
) -> ExportCheck:
    """Compare an exported file with its detector.

    Args:
        detector: the trained detector.
        exported: the file, loaded as any detector.
        form: name of the file's format, for the latencies.
        clips: real clips.
        measure_dev: whether to measure the EER of both on the whole dev split.
        cache: cache folder of dfx.

    Raises:
        ValueError: if no clip can be read.
    """
    scores = np.array(list(_scores_of_both(detector, exported, clips)))
    if not len(scores):
        raise ValueError(f"None of {len(clips.paths)} clips ({clips.source}) can be read: give others, clips=FOLDER.")
    known = scores[:, 2] >= 0
    labels = scores[known, 2]
    eers = None
    if {BONAFIDE, SPOOF} <= set(labels):
        eers = _eer(scores[known, 0], labels), _eer(scores[known, 1], labels)
    check = ExportCheck(
        len(scores),
        float(np.abs(scores[:, 0] - scores[:, 1]).max()),
        eers,
        exported.file.stat().st_size,
        measure_latency({"PyTorch": detector, form: exported}),
    )
    if not measure_dev or clips.manifest is None:
        return check
    rows = np.flatnonzero(clips.manifest.table["split"] == "dev")
    options = ScoringOptions(cache=cache)
    tables = [score_manifest(one, clips.manifest, rows, options, "dev")[0] for one in (exported, detector)]
    paired = metrics.PairedEers([[table] for table in tables], metrics.cluster_column(tables[0]), RESAMPLES)
    return ExportCheck(
        check.num_clips,
        check.largest,
        check.eers,
        check.num_bytes,
        check.latency_ms,
        paired.difference(0, 1),
        (float(paired.values[1]), float(paired.values[0])),
        len(tables[0]),
    )


def measure_latency(detectors: dict[str, SavedDetector]) -> dict[str, float]:
    """Return the time in ms that each detector needs for one segment on one CPU core.

    They take turns, and the shortest of several tries counts, because other work of the machine can only add to it.
    """
    threads = torch.get_num_threads()
    first = next(iter(detectors.values()))
    segment = 0.1 * torch.randn(1, first.policy().crop.num_samples, generator=torch.Generator().manual_seed(0))
    times: dict[str, list[float]] = {name: [] for name in detectors}
    try:
        torch.set_num_threads(1)
        # Opened here, since ONNX Runtime takes the number of threads when a file is opened.
        networks = {name: detector.read_network(torch.device("cpu")) for name, detector in detectors.items()}
        with torch.inference_mode():
            for _ in range(ROUNDS + 1):  # the first one warms up
                for name, network in networks.items():
                    began = time.perf_counter()
                    network.score_batch({"waveform": segment})
                    times[name].append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return {name: 1000 * min(values[1:]) for name, values in times.items()}


def read_segments(detector: SavedDetector, paths: Iterable[str]) -> NDArray[np.float32]:
    """Return segments (segments, samples) of clips, cut and conditioned as in training.

    Clips that cannot be read are left out.
    """
    policy = detector.policy()
    waveforms = []
    for path in paths:
        try:
            waveforms.append(audio.read_audio(path, policy.sample_rate))
        except audio.AudioError:
            continue
    conditioned = [condition_clip(one, policy.sample_rate, policy.conditions) for one in waveforms]
    count = len(conditioned)
    dataset = AudioDataset(
        ArrayStore(conditioned, policy.sample_rate), np.arange(count), np.zeros(count, np.int64), policy.crop
    )
    batches = [batch["waveform"].numpy() for batch in scoring_loader(dataset, 64, num_workers=0)] if count else []
    if not batches:
        raise ValueError("None of the clips for the calibration of int8 can be read: give others, clips=FOLDER.")
    return np.concatenate(batches)[:CALIBRATION_CLIPS]


def _scores_of_both(
    detector: SavedDetector, exported: SavedDetector, clips: CheckClips
) -> Iterator[tuple[float, float, int]]:
    """Yield two scores (detector, exported file) and the label (-1: not known) of each readable clip."""
    labels = np.full(len(clips.paths), -1) if clips.labels is None else clips.labels
    for path, label in zip(clips.paths, labels, strict=True):
        try:
            yield detector.score(path), exported.score(path), int(label)
        except audio.AudioError as error:
            console.say(f"Left out: {error}")


def _eer(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    return float(metrics.eer(scores[labels == BONAFIDE], scores[labels == SPOOF])[0])


def _of_manifest(source: str, corpus: Manifest, manifest: Manifest | None) -> CheckClips:
    table = corpus.table
    dev = table[table["split"] == "dev"]
    chosen = pd.concat(
        [dev.iloc[_spread(list(np.flatnonzero(dev["label"] == label)), MOST_CLIPS // 2)] for label in (BONAFIDE, SPOOF)]
    )
    train = table[table["split"] == "train"]
    train_paths = _spread(train.sort_values("label", kind="stable")["path"].tolist(), CALIBRATION_CLIPS)
    return CheckClips(source, chosen["path"].tolist(), chosen["label"].to_numpy(np.int64), train_paths, manifest)


def _spread(items: list[Any], most: int) -> list[Any]:
    """Choose at most `most` items, evenly spaced."""
    return [items[place] for place in evenly_spaced(len(items), most)]


def _manifest_of_run(detector: SavedDetector) -> Manifest | None:
    """Return the manifest of the corpus that a run was trained on; None if it is not known or not on this machine."""
    if detector.run_config is None:
        return None
    cfg = OmegaConf.load(detector.run_config)
    if not isinstance(cfg, DictConfig) or not _names_datasets_only(cfg.get("dataset")):
        console.say(f"{detector.run_config} names a dataset that is none of dfx: it is left alone.")
        return None
    try:
        dataset = build.build_dataset(cfg)
        manifest = dataset.manifest()
        missing = [path for path in manifest.table["path"].head(1) if not Path(path).exists()]
        if missing or dataset.vectors() is not None:
            return None
        return manifest
    except Exception as error:  # a constructor raises anything for options of another version of dfx
        reason = (str(error.__cause__ or error).splitlines() or [""])[0]
        console.say(f"The corpus of {detector.name} cannot be read here: {reason}")
        return None


def _names_datasets_only(node: Any) -> bool:
    """Whether a configuration, which may come from a foreign file, names datasets of dfx only."""
    if isinstance(node, DictConfig):
        node = OmegaConf.to_container(node, resolve=False)
    if isinstance(node, list):
        return all(map(_names_datasets_only, node))
    if not isinstance(node, dict):
        return not (isinstance(node, str) and "${" in node)
    if "_target_" in node:
        package, _, name = str(node["_target_"]).rpartition(".")
        found = vars(datasets).get(name) if package == datasets.__name__ else None
        if not (isinstance(found, type) and issubclass(found, Dataset)):
            return False
    return all(map(_names_datasets_only, node.values()))
