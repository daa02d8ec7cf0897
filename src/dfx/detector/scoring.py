"""Score clips with a trained detector: cut, padded and conditioned as in its training.

`SavedDetector.score` scores one clip. `corpus_scoring` scores corpora and `file_detection` files, both through
`segment_dataset` and `segment_scores`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from hydra.utils import get_object
from numpy.typing import ArrayLike
from torch import Tensor
from torch.utils.data import DataLoader

from dfx import audio, files
from dfx.audio.conditioning import Conditions, condition_clip
from dfx.audio.measures import LEAST_POWER
from dfx.audio.samples import require_sample_rate
from dfx.audio.segments import Crop
from dfx.detector.dataset import ArrayStore, AudioDataset, Batch, ReadableStore, scoring_loader
from dfx.detector.feature_maps import feature_map_pieces, half_precision_map
from dfx.detector.operating_card import OperatingCard
from dfx.features.base import Feature

TABLE_FEATURE = "dfx.features.Table"
BATCH_SIZE = 64


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


@dataclass(frozen=True)
class SegmentScores:
    """Scores of a batch of segments, on the CPU.

    Attributes:
        index: (batch,) number of the utterance.
        scores: (batch,) float32.
        embeddings: (batch, embedding_dim); None if they are not wanted, or the network gives none.
        levels_db: (batch,) RMS level in dBFS of each segment; None for feature maps.
    """

    index: Tensor
    scores: Tensor
    embeddings: Tensor | None
    levels_db: Tensor | None


class ScoringNetwork(Protocol):
    """Interface of a network that scores batches: a `DetectorNetwork` or an exported file."""

    @property
    def feature(self) -> Feature | None:
        """Feature of the network; None if it cannot be computed separately."""

    def score_batch(self, batch: Batch) -> Tensor:
        """Return the scores (batch,) of a batch of waveforms or feature maps, in float32."""

    def score_and_embed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Return the scores (batch,) and the embeddings (batch, embedding_dim); None if it gives no embeddings."""


@dataclass(frozen=True)
class SavedDetector:
    """Trained detector that scores audio; the weights are loaded at the first score.

    Attributes:
        name: shown in tables.
        file: checkpoint or exported file.
        config: the part of its configuration that rebuilds it (`network.CHECKPOINT_KEYS`).
        read_network: reads the weights onto a device.
        card: threshold, calibration and input statistics; None in a file without.
        trained_on: name of the corpus; empty if it is not known.
        dev_scores: score file of the dev split that chose the weights, where the run is known.
        eval_scores: score file of the eval split of the same corpus.
        run_config: whole configuration of its run.
        exported: whether the file holds the whole network as one program, so that no feature map can be given to it.
    """

    name: str
    file: Path
    config: dict[str, Any] = field(repr=False)
    read_network: Callable[[torch.device], ScoringNetwork] = field(repr=False)
    card: OperatingCard | None = field(default=None, repr=False)
    trained_on: str = ""
    dev_scores: Path | None = None
    eval_scores: Path | None = None
    run_config: Path | None = None
    exported: bool = False

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
        return files.file_digest(self.file)

    @functools.cached_property
    def network(self) -> ScoringNetwork:
        """Network with its weights, on `device`."""
        return self.read_network(self.device)

    @property
    def device(self) -> torch.device:
        """Device that computes the scores: the GPU if there is one, else the CPU."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def policy(
        self, eval_crop: str | None = None, segment_seconds: float | None = None, hop_seconds: float | None = None
    ) -> ScoringPolicy:
        """Return the crop and conditioning settings of the training, except for what is given here.

        Args:
            eval_crop: position of the segments.
            segment_seconds: length of the segments.
            hop_seconds: distance between sliding windows.

        Raises:
            ValueError: if a time is not above 0 and finite, or windows leave parts of a clip out.
        """
        for name, value in (("window_seconds", segment_seconds), ("hop_seconds", hop_seconds)):
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name}={value}: it is a time in seconds above 0.")
        data = self.config["data"]
        num_samples = max(1, round((segment_seconds or self.segment_seconds) * self.sample_rate))
        step = None if hop_seconds is None else max(1, round(hop_seconds * self.sample_rate))
        crop = Crop(num_samples, eval_crop or data["eval_crop"], data["pad"], step)
        if crop.hop > num_samples:
            raise ValueError(
                f"hop_seconds={hop_seconds} is longer than a window, {num_samples / self.sample_rate:g} s: parts of a "
                "clip would not be looked at. Give a shorter one."
            )
        whole_maps = bool(self.config["feature"].get("cache")) and not self.exported
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
        return self.score_stored_clip(ArrayStore([waveform], policy.sample_rate), 0)

    def score_stored_clip(self, clips: Any, row: int) -> float:
        """Score a clip of a store of waveforms that were conditioned as in training; see `score`.

        Raises:
            ValueError: if the score is not finite.
        """
        policy = self.policy()
        if policy.whole_maps:
            clips, row = ArrayStore([clips.read(row, 0, int(clips.lengths[row]))], policy.sample_rate), 0
        dataset = segment_dataset(
            self, policy, clips, np.array([row]), lambda feature: _whole_map(self, feature, clips)
        )
        batches = segment_scores(self, scoring_loader(dataset, BATCH_SIZE, num_workers=0))
        score = float(torch.cat([batch.scores for batch in batches]).double().mean())
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


def segment_dataset(
    detector: SavedDetector,
    policy: ScoringPolicy,
    clips: ReadableStore,
    rows: np.ndarray,
    compute_maps: Callable[[Feature], ReadableStore],
) -> AudioDataset:
    """Create a dataset of segments without labels for scoring, cut from clips or stored feature maps."""
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


def segment_scores(detector: SavedDetector, loader: DataLoader[Batch], embed: bool = False) -> Iterator[SegmentScores]:
    """Yield the scores of the segments of each batch, with embeddings if `embed` and the network gives them."""
    for batch in loader:
        with torch.inference_mode():
            moved = {name: part.to(detector.device) for name, part in batch.items()}
            if embed:
                scores, embeddings = detector.network.score_and_embed(moved)
            else:
                scores, embeddings = detector.network.score_batch(moved), None
            levels = None
            if "waveform" in batch:
                levels = 10 * torch.log10(batch["waveform"].square().mean(dim=1) + LEAST_POWER)
        yield SegmentScores(batch["index"], scores.cpu(), None if embeddings is None else embeddings.cpu(), levels)


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
