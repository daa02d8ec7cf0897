"""Operating card of a detector: dev scores, threshold, calibration and input statistics, kept in its checkpoint.

It makes an answer of a score. It is written after dev was measured, and comes from dev alone.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from dfx import audio, console, files
from dfx.detector.datamodule import AudioDataset
from dfx.detector.input_statistics import (
    DISTANCE,
    EMBEDDING,
    SCORE,
    EmbeddingSpace,
    InputReference,
    ReferenceClips,
    fit_embedding_space,
    fit_input_reference,
    measure_waveform,
)
from dfx.detector.sampling import evenly_spaced
from dfx.metrics import auc, decision_threshold, learn_calibration, scores_tell_nothing
from dfx.metrics.bootstrap import UNKNOWN
from dfx.tables.labels import BONAFIDE, SPOOF
from dfx.tables.score_table import ScoreTable

if TYPE_CHECKING:
    from dfx.detector.datamodule import AudioDataModule

CARD_KEY = "operating_card"  # in a checkpoint; the same text in the metadata of an ONNX file, as JSON
VERSION = 1
MOST_SCORES = 2000  # of each class; of more, evenly spaced quantiles are kept
MOST_CLIPS = 500  # dev clips that are measured
MANY_WINDOWS = 1000  # that may take a minute
MOST_WINDOWS = 60  # of a dev clip, spread evenly, are scored for the reference
BATCH_SIZE = 64
WRONG_RATE = 0.05  # share of each class of dev beyond the limits of the unsure band

# batch -> scores (batch,) and embeddings (batch, embedding_dim)
ScoreAndEmbed = Callable[[dict[str, torch.Tensor]], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class OperatingCard:
    """Dev scores, threshold, calibration and input statistics of a detector.

    Attributes:
        bonafide: (trials,) scores of the bona fide dev trials, in rising order.
        spoof: (trials,) scores of the spoof dev trials, in rising order.
        threshold: of the EER on dev (`metrics.decision_threshold`).
        slope: of the calibration; None if dev allows none.
        intercept: of the calibration: slope * score + intercept is a log-likelihood ratio in nats.
        reference: statistics of the input; None if they are not known.
    """

    bonafide: NDArray[np.float64]
    spoof: NDArray[np.float64]
    threshold: float
    slope: float | None
    intercept: float = 0.0
    reference: InputReference | None = None

    @property
    def auc(self) -> float:
        """AUC on dev."""
        return auc(self.bonafide, self.spoof)

    @property
    def tells_nothing(self) -> bool:
        """Whether the dev scores cannot be told from chance."""
        return scores_tell_nothing(self.bonafide, self.spoof)

    def llr(self, score: float) -> float:
        """Convert a score to a log-likelihood ratio, in nats; NaN if dev allows no calibration."""
        return math.nan if self.slope is None else self.slope * score + self.intercept

    def false_alarm_threshold(self, rate: float) -> float:
        """Return the highest threshold that calls at most a share `rate` of the bona fide dev trials fake."""
        count = math.floor(rate * len(self.bonafide))
        if 0 < count < len(self.bonafide) and self.bonafide[count - 1] == self.bonafide[count]:
            return float(np.nextafter(self.bonafide[count], -math.inf))  # all that are tied stay above
        return _between(self.bonafide, count)

    def missed_fake_threshold(self, rate: float) -> float:
        """Return the lowest threshold that calls at most a share `rate` of the spoof dev trials bona fide."""
        return _between(self.spoof, len(self.spoof) - math.floor(rate * len(self.spoof)))

    def llr_threshold(self, llr: float) -> float:
        """Convert a log-likelihood ratio to the same threshold on the scores of the detector.

        Raises:
            ValueError: if dev allows no calibration.
        """
        if self.slope is None:
            raise ValueError(
                "A threshold from costs needs calibrated scores, and the dev scores of this detector allow no "
                f"calibration (its AUC on dev is {self.auc:.3f}): train it on more data, or give threshold=SCORE."
            )
        return (llr - self.intercept) / self.slope

    def unsure_band(self, threshold: float, rate: float = WRONG_RATE) -> tuple[float, float]:
        """Return the two limits of the scores between which the answer is UNSURE.

        Below the band at most `rate` of the bona fide dev trials are found, above it at most `rate` of the spoof
        trials. Where the threshold itself keeps both, the band is empty: both limits are the threshold.
        """
        return min(self.false_alarm_threshold(rate), threshold), max(self.missed_fake_threshold(rate), threshold)

    def to_dict(self) -> dict[str, Any]:
        """Convert the card to lists and numbers, for a checkpoint or JSON."""
        return {
            "version": VERSION,
            "bonafide": self.bonafide.tolist(),
            "spoof": self.spoof.tolist(),
            "threshold": self.threshold,
            "slope": self.slope,
            "intercept": self.intercept,
            "reference": self.reference.to_dict() if self.reference else None,
        }


def _between(scores: NDArray[np.float64], count: int) -> float:
    """Return a threshold with `count` of the sorted scores at or below it, midway between two scores."""
    if count <= 0:
        return float(np.nextafter(scores[0], -math.inf))
    if count >= len(scores):
        return float(scores[-1])
    low, high = scores[count - 1], scores[count]
    middle = low + (high - low) / 2
    return float(middle if middle < high else low)


def read_operating_card(values: Any, file: Path) -> OperatingCard | None:
    """Read the card from the contents of a detector file; None if it has none.

    Args:
        values: what stands under `CARD_KEY`; text is JSON. The file may be somebody else's.
        file: for messages.

    Raises:
        ValueError: if it is damaged.
    """
    if values is None:
        return None
    try:
        if isinstance(values, str):
            values = json.loads(values)
        if values["version"] != VERSION:
            raise ValueError(f"version {values['version']!r}")
        bonafide, spoof = (np.sort(np.asarray(values[name], np.float64)) for name in ("bonafide", "spoof"))
        slope = None if values["slope"] is None else float(values["slope"])
        numbers = [float(values["threshold"]), float(values["intercept"]), *([] if slope is None else [slope])]
        if not all(map(math.isfinite, numbers)) or not (slope is None or slope > 0):
            raise ValueError("a value is not a number, or the slope is not positive")
        for scores in (bonafide, spoof):
            if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
                raise ValueError("a class has no scores, or scores that are not numbers")
        reference = None if values["reference"] is None else InputReference.from_dict(values["reference"])
        return OperatingCard(bonafide, spoof, numbers[0], slope, numbers[1], reference)
    except Exception as error:  # whatever the contents of a foreign file make Python raise
        raise ValueError(
            f"The operating card of {file} (threshold and calibration) cannot be read ({error}): it is damaged, or of "
            "another version of dfx. Train or export the detector again."
        ) from error


def make_operating_card(
    dev: ScoreTable,
    data: AudioDataModule,
    network: ScoreAndEmbed,
    device: torch.device,
) -> OperatingCard:
    """Make the card of a trained detector from its dev split.

    Args:
        dev: scores of the dev split.
        data: the corpus.
        network: computes scores and embeddings of a batch, with the weights that gave these scores.
        device: of the weights.
    """
    try:
        calibration = learn_calibration(dev)
        slope, intercept = calibration.slope, calibration.intercept
    except ValueError:  # constant or backwards scores, about which the run has warned
        slope, intercept = None, 0.0
    threshold = decision_threshold(dev.bonafide, dev.spoof)
    try:
        reference = _input_reference(data, network, device)
    except ValueError as error:  # the run is finished; it only lacks the statistics
        console.say(
            f"Warning: the statistics of the input could not be computed ({error}): no clip is called unlike dev."
        )
        reference = None
    return OperatingCard(_kept(dev.bonafide), _kept(dev.spoof), threshold, slope, intercept, reference)


def _kept(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    ordered = np.sort(np.asarray(scores, np.float64))
    kept: NDArray[np.float64] = ordered[evenly_spaced(len(ordered), MOST_SCORES)]
    return kept


def _input_reference(data: AudioDataModule, network: ScoreAndEmbed, device: torch.device) -> InputReference | None:
    if data.store.sample_rate <= 1:  # ready features, no audio
        return None
    dataset = data.dataset("dev")
    classes = [np.flatnonzero(dataset.labels == label) for label in (BONAFIDE, SPOOF)]
    chosen = np.sort(np.concatenate([rows[evenly_spaced(len(rows), MOST_CLIPS // 2)] for rows in classes]))
    _, vectors = _score_and_embed(dataset, [(int(index), 0) for index in chosen], network, device)
    space = fit_embedding_space(vectors, dataset.labels[chosen] == BONAFIDE)
    columns = _columns_of_windows(dataset, chosen, space, network, device)
    clips = [measure_waveform(data.store, int(row)) for row in data.tables["dev"]["row"].to_numpy()[chosen]]
    columns |= {name: np.array([clip[name] for clip in clips]) for name in clips[0]}
    if DISTANCE in columns:
        for clip, distance in zip(clips, columns[DISTANCE].tolist(), strict=True):
            clip[DISTANCE] = distance
    reference = fit_input_reference(clips, space, _codings(data.tables["dev"]["path"].iloc[chosen]))
    speakers = _speaker_numbers(data.tables["dev"].iloc[chosen])
    return None if reference is None else replace(reference, clips=ReferenceClips(columns, speakers))


def _speaker_numbers(table: pd.DataFrame) -> NDArray[np.int64]:
    """Number the speakers of clips; a clip of an unknown speaker counts as one by itself."""
    speakers = table["speaker"].astype("str")
    alone = pd.Series(np.arange(len(table)), table.index).astype("str")
    return pd.factorize(speakers.mask(speakers.isin(UNKNOWN), "- " + alone))[0].astype(np.int64)


def _columns_of_windows(
    dataset: AudioDataset,
    chosen: NDArray[np.intp],
    space: EmbeddingSpace | None,
    network: ScoreAndEmbed,
    device: torch.device,
) -> dict[str, NDArray[np.float64]]:
    """Compute score, distance and coordinates of clips as in detection: means over sliding windows."""
    crop = dataset.crop._replace(policy="sliding")
    sliding = AudioDataset(dataset.store, dataset.rows[chosen], dataset.labels[chosen], crop)
    windows = [evenly_spaced(int(count), MOST_WINDOWS).tolist() for count in sliding.num_windows()]
    draws = [(clip, window) for clip, own in enumerate(windows) for window in own]
    if len(draws) > MANY_WINDOWS:
        console.say(f"Measuring {len(draws):,} windows of {len(chosen)} dev clips, as dfx.detect does.")
    scores, vectors = _score_and_embed(sliding, draws, network, device)
    starts = np.cumsum([0, *map(len, windows[:-1])])
    counts = np.array(list(map(len, windows)))

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        of_clips: NDArray[np.float64] = np.add.reduceat(values, starts) / counts
        return of_clips

    columns = {SCORE: mean(scores)}
    if space is not None:
        columns[DISTANCE] = mean(space.distance(vectors))
        coordinates = space.coordinates(vectors)
        columns |= {f"{EMBEDDING}{number}": mean(one) for number, one in enumerate(coordinates.T)}
    return columns


def _score_and_embed(
    dataset: AudioDataset, draws: Sequence[tuple[int, int]], network: ScoreAndEmbed, device: torch.device
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Compute scores (draws,) and embeddings (draws, embedding_dim) of segments."""
    scores, embeddings = [], []
    with torch.inference_mode():
        for first in range(0, len(draws), BATCH_SIZE):
            batch = dataset[list(draws[first : first + BATCH_SIZE])]
            score, embedding = network({name: part.to(device) for name, part in batch.items()})
            scores.append(score.cpu())
            embeddings.append(embedding.float().cpu())
    vectors = torch.cat(embeddings).numpy()
    if not np.isfinite(vectors).all():
        raise ValueError("an embedding is not finite")
    return torch.cat(scores).double().numpy(), vectors


def _codings(paths: Iterable[str]) -> Iterator[str]:
    """Yield the codec of each file, without files that no longer exist."""
    for path in paths:
        with contextlib.suppress(audio.AudioError):
            yield audio.probe_audio(path).coding


def add_card_to_checkpoint(source: Path, card: OperatingCard, target: Path) -> None:
    """Copy a checkpoint, with the operating card in it."""
    state: dict[str, Any] = torch.load(source, map_location="cpu", weights_only=True)
    with files.atomic_write(target) as temporary:
        torch.save({**state, CARD_KEY: card.to_dict()}, temporary)
