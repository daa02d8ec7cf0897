"""Score clips and corpora with a trained detector.

They are cut, padded and conditioned as in its training. `SavedDetector.score` scores one clip, `score_manifest`
utterances of a corpus. `ScoreCollector` averages the scores of windows, here and in validation and test of a run.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from hydra.utils import get_object
from numpy.typing import ArrayLike
from torch import Tensor
from torch.utils.data import DataLoader

from dfx import audio, console, files
from dfx.audio.conditioning import VERSION as CONDITIONING_VERSION
from dfx.audio.conditioning import Conditions, condition_clip
from dfx.audio.samples import require_sample_rate
from dfx.audio.segments import Crop
from dfx.audio.store import VERSION as STORE_VERSION
from dfx.audio.store import open_store, recordings_fingerprint
from dfx.detector.datamodule import ArrayStore, AudioDataset, Batch, ReadableStore, scoring_loader
from dfx.detector.feature_maps import VERSION as MAPS_VERSION
from dfx.detector.feature_maps import feature_map_pieces, half_precision_map, open_feature_maps
from dfx.features.base import Feature
from dfx.tables.manifest import Manifest
from dfx.tables.score_table import COLUMNS, ScoreTable

VERSION = 3  # of the computation of scores; increase it to compute all of them again
TABLE_FEATURE = "dfx.features.Table"
BATCH_SIZE = 64


class ScoreCollector:
    """Collector of window scores, which averages them to one score for each utterance.

    Args:
        utterances: id, attack, label and metadata; row i has the index i in batches.
        name: of these utterances, for errors: "eval".
    """

    def __init__(self, utterances: pd.DataFrame, name: str) -> None:
        self.utterances = utterances
        self.name = name
        self._batches: list[tuple[Tensor, Tensor]] = []

    def add(self, index: Tensor, scores: Tensor) -> None:
        """Add the scores (batch,) of windows and the utterance index (batch,) of each window.

        A negative index is padding.
        """
        self._batches.append((index, scores))

    def finish(self, gather: Callable[[list[Any]], list[Any]] = list) -> ScoreTable:
        """Return the mean score of each utterance over its windows, in float64, and empty the collector.

        Args:
            gather: puts the batches of all processes together.

        Raises:
            ValueError: if an utterance has no score, or one that is not a finite number.
        """
        batches = gather([(index.tolist(), scores.tolist()) for index, scores in self._batches])
        self._batches.clear()
        indices = np.array([index for batch, _ in batches for index in batch], np.int64)
        scores = np.array([score for _, batch in batches for score in batch], np.float64)
        indices, scores = indices[indices >= 0], scores[indices >= 0]
        counts = np.bincount(indices, minlength=len(self.utterances))
        if not counts.all():
            raise ValueError(
                f"{np.count_nonzero(counts)} of {len(counts)} utterances of {self.name} were scored: a metric of a "
                "part is not the metric. Leave Lightning's limits alone and use data.limit_utterances."
            )
        return ScoreTable(self.utterances.assign(score=np.bincount(indices, weights=scores) / counts))


class ScoringPolicy(NamedTuple):
    """Settings for the cropping and conditioning of utterances before they are scored.

    Attributes:
        sample_rate: in Hz.
        crop: length, position and padding of the segments.
        conditions: low-pass, trimming and level of the clip, applied before it is cut.
        whole_maps: whether segments are cut from the feature map of the whole clip, as with `feature.cache=true`.
    """

    sample_rate: int
    crop: Crop
    conditions: Conditions
    whole_maps: bool

    def __str__(self) -> str:
        seconds = self.crop.num_samples / self.sample_rate
        segment = f"{self.crop.policy} {seconds:g} s" + (" of the map of the whole clip" if self.whole_maps else "")
        steps = [f"{name} {value:g}" for name, value in self.conditions._asdict().items() if value is not None]
        return ", ".join([segment, f"{self.crop.pad} where shorter", *steps])


class ScoringNetwork(Protocol):
    """Interface of a network that scores batches: a `Detector` or an ONNX file."""

    @property
    def feature(self) -> Feature | None:
        """Feature of the network; None if it cannot be computed separately."""

    def score_batch(self, batch: Batch) -> Tensor:
        """Return the scores (batch,) of a batch of waveforms or feature maps, in float32."""


@dataclass(frozen=True)
class SavedDetector:
    """Trained detector that scores audio; the weights are loaded at the first score.

    Attributes:
        name: shown in tables.
        file: checkpoint or ONNX file.
        config: the part of its configuration that rebuilds it (`build.CHECKPOINT_KEYS`).
        read_network: reads the weights onto a device.
        trained_on: name of the corpus; empty if it is not known.
        dev_scores: score file of the dev split that chose the weights, where the run is known.
        eval_scores: score file of the eval split of the same corpus.
    """

    name: str
    file: Path
    config: dict[str, Any]
    read_network: Callable[[torch.device], ScoringNetwork]
    trained_on: str = ""
    dev_scores: Path | None = None
    eval_scores: Path | None = None

    @property
    def sample_rate(self) -> int:
        """Sample rate of the detector in Hz; audio of other rates is resampled."""
        return int(self.config["sample_rate"])

    @property
    def segment_seconds(self) -> float:
        """Length in seconds of the segments that the network takes."""
        return float(self.config["segment_seconds"])

    @property
    def llr(self) -> bool:
        """Whether the scores are log-likelihood ratios."""
        return bool(get_object(self.config["loss"]["_target_"]).llr)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 hash of the detector file."""
        with self.file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @functools.cached_property
    def network(self) -> ScoringNetwork:
        """Network with its weights, on `device`."""
        return self.read_network(self.device)

    @property
    def device(self) -> torch.device:
        """Device that computes the scores: the GPU if there is one, else the CPU."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def policy(self, eval_crop: str | None = None) -> ScoringPolicy:
        """Return cropping and conditioning as in training; `eval_crop` replaces the position of the segments."""
        data = self.config["data"]
        num_samples = round(self.segment_seconds * self.sample_rate)
        crop = Crop(num_samples, eval_crop or data["eval_crop"], data["pad"])
        whole_maps = bool(self.config["feature"].get("cache")) and self.file.suffix != ".onnx"
        return ScoringPolicy(self.sample_rate, crop, Conditions.of(self.config["conditioning"]), whole_maps)

    def score(self, clip: str | Path | ArrayLike, sample_rate: int | None = None) -> float:
        """Score one clip; a higher score means more bona fide.

        The score equals the one that the training run of the detector would give.

        Args:
            clip: an audio file of any format and rate, or a waveform (samples,) or (samples, channels) of
                floating-point numbers in [-1, 1]. For `feature=table` a row of ready features (columns,).
            sample_rate: of a waveform, in Hz; None for a file.

        Raises:
            ValueError: if the file cannot be read, or the waveform has no rate, no samples, NaN or another shape.
        """
        policy = self.policy()
        waveform = condition_clip(self._read(clip, sample_rate), policy.sample_rate, policy.conditions)
        clips = ArrayStore([waveform], policy.sample_rate)
        dataset = _dataset(self, policy, clips, np.zeros(1, int), lambda feature: _whole_map(self, feature, clips))
        batches = _window_scores(self, scoring_loader(dataset, BATCH_SIZE, num_workers=0))
        score = float(torch.cat([scores for _, scores in batches]).double().mean())
        if not np.isfinite(score):
            raise ValueError(
                f"{self.name} gives this clip the score {score}: look at the clip, and at the training of the detector."
            )
        return score

    def _read(self, clip: str | Path | ArrayLike, sample_rate: int | None) -> audio.Waveform:
        """Read a clip at the sample rate of the detector, rounded to 16 bits as in the waveform store."""
        if isinstance(clip, str | Path):
            if sample_rate is not None:
                raise ValueError(f"{clip} is a file and says its sample rate: leave out sample_rate.")
            return audio.read_audio(clip, self.sample_rate)
        if self.config["feature"]["_target_"] == TABLE_FEATURE:
            row, columns = _mono(clip), self.policy().crop.num_samples
            if len(row) != columns:
                raise ValueError(f"{self.name} takes rows of {columns} features, got {len(row)}.")
            return row
        if sample_rate is None:
            raise ValueError(
                "An array does not say its sample rate: give it in Hz, score(waveform, sample_rate=16000)."
            )
        rate = require_sample_rate(Path("the waveform"), sample_rate)
        waveform = audio.resample_waveform(_mono(clip), rate, self.sample_rate)
        return audio.join_pcm(audio.round_to_pcm(lambda: [waveform]))


class ScoringOptions(NamedTuple):
    """Options of `score_manifest`.

    Attributes:
        eval_crop: position of the segments instead of the detector's own: first, centre or sliding.
        batch_size: segments at once.
        num_workers: processes that load them.
        max_bad_fraction: more bad files than this are an error.
        cache: folder of decoded audio and scores; the default one if None.
    """

    eval_crop: str | None = None
    batch_size: int = BATCH_SIZE
    num_workers: int = 0
    max_bad_fraction: float = 0.01
    cache: str | None = None


def score_manifest(
    detector: SavedDetector, manifest: Manifest, rows: np.ndarray, options: ScoringOptions | None = None, name: str = ""
) -> tuple[ScoreTable, pd.DataFrame]:
    """Score selected rows (trials,) of a corpus, and cache the scores.

    The cache depends on detector file, recordings and policy. The progress bar and errors call the trials by `name`.

    Returns:
        The score table with the metadata of the manifest, and the files that cannot be read: id, reason.

    Raises:
        ValueError: if too many files are bad, or a score is not a finite number.
    """
    options = options or ScoringOptions()
    policy = detector.policy(options.eval_crop)
    path = _cached_scores(detector, manifest, rows, policy, options)
    trials = manifest.table.iloc[rows].reset_index(drop=True)
    trials = trials.drop(columns=["path"] if trials["split"].nunique() > 1 else ["path", "split"])
    usable, bad = np.ones(len(trials), bool), pd.DataFrame({"id": [], "reason": []}, dtype="str")
    cached = ScoreTable.read(path) if path.exists() else None
    if cached is None or len(cached) < len(trials):
        clips = open_store(manifest, policy.sample_rate, policy.conditions, options.cache, options.max_bad_fraction)
        usable = clips.lengths[rows] > 0
        reasons = dict(zip(clips.bad["id"], clips.bad["reason"], strict=True))
        bad = trials[["id"]][~usable].reset_index(drop=True)
        bad = bad.assign(reason=[reasons.get(name, "no samples") for name in bad["id"]])
        if cached is None or set(cached.table["id"]) != set(trials["id"][usable]):
            config, chosen = detector.config["feature"], rows[usable]
            more = (config, policy.conditions, options.cache, detector.device)
            dataset = _dataset(
                detector, policy, clips, chosen, lambda f: open_feature_maps(f, clips, manifest, chosen, *more)
            )
            loader = scoring_loader(dataset, options.batch_size, options.num_workers)
            collector = ScoreCollector(trials[usable], name)

            def collect() -> Generator[int]:
                for index, scores in _window_scores(detector, loader):
                    collector.add(index, scores)
                    yield len(scores)

            console.progress_bar(collect(), f"{detector.name} on {name}", int(dataset.num_windows().sum()), show=True)
            cached = ScoreTable(collector.finish().table[COLUMNS])
            with files.atomic_write(path) as temporary:
                cached.write(temporary)
    scores = trials["id"][usable].map(cached.table.set_index("id")["score"])
    return ScoreTable(trials[usable].assign(score=scores)), bad


def _dataset(
    detector: SavedDetector,
    policy: ScoringPolicy,
    clips: ReadableStore,
    rows: np.ndarray,
    compute_maps: Callable[[Feature], ReadableStore],
) -> AudioDataset:
    """Create a dataset of segments for scoring, cut from clips or stored feature maps.

    It has no labels.
    """
    source, crop = clips, policy.crop
    feature = detector.network.feature if policy.whole_maps else None
    if feature is not None:
        crop = crop._replace(num_samples=feature.output_shape(crop.num_samples).frames)
        source = compute_maps(feature)
    return AudioDataset(source, rows, np.zeros(len(rows), np.int64), crop)


def _whole_map(detector: SavedDetector, feature: Feature, clips: Any) -> ArrayStore:
    """Compute the feature map of a whole clip in memory, rounded as in the store of maps."""
    with torch.inference_mode():
        pieces = feature_map_pieces(feature, clips, 0, detector.device)
        whole = torch.cat([half_precision_map(piece, "the clip").cpu() for piece in pieces])
    return ArrayStore([whole.numpy()], clips.sample_rate)


def _window_scores(detector: SavedDetector, loader: DataLoader[Batch]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield utterance indices and scores of the windows of each batch, on the CPU."""
    for batch in loader:
        with torch.inference_mode():
            moved = {name: part.to(detector.device) for name, part in batch.items()}
            scores = detector.network.score_batch(moved).cpu()
        yield batch["index"], scores


def _cached_scores(
    detector: SavedDetector, manifest: Manifest, rows: np.ndarray, policy: ScoringPolicy, options: ScoringOptions
) -> Path:
    """Path of the cached scores; the file name is a hash of everything that determines the scores."""
    chosen = Manifest(manifest.table.iloc[rows], require_split=False)
    facts = [
        [VERSION, STORE_VERSION, CONDITIONING_VERSION, MAPS_VERSION],
        detector.digest,
        recordings_fingerprint(chosen),
        chosen.table["id"].tolist(),
        *policy,
    ]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    return files.cache_dir(options.cache) / "scores" / f"{key}.csv"


def _mono(waveform: ArrayLike) -> audio.Waveform:
    """Check a waveform given as an array, and average its channels to mono."""
    array = np.asarray(waveform)
    if array.dtype.kind != "f":
        raise ValueError(
            f"A waveform holds floating-point numbers in [-1, 1], got {array.dtype}: divide integer samples by their "
            "full scale (32768 for int16)."
        )
    channels = array.T if array.ndim == 2 else array[None]
    if channels.ndim != 2 or not channels.size or len(channels) > channels.shape[1]:
        raise ValueError(
            f"A waveform has the shape (samples,) or (samples, channels) and at least one sample, got {array.shape}: "
            "give one clip at a time, channels last."
        )
    if not np.isfinite(array).all():
        raise ValueError("The waveform has samples that are NaN or infinite: repair the recording.")
    return audio.mono_samples(channels.astype(np.float32))
