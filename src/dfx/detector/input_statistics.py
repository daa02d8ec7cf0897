"""Statistics of what a detector was developed on, to notice input that is unlike it.

A clip is described by measures of the waveform that the network gets (level, noise, bandwidth, traces of a codec) and
by the distance of its embedding from those of the dev split. Each value is compared with the middle of the dev clips,
in units of the half-width of their 95 % range on that side. The largest of these deviations decides; its limit is
passed by 5 % of the dev clips themselves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dfx.audio.measures import SCALARS, ClipScalars

Floats = NDArray[np.float64]

FALSE_ALARMS = 0.05  # share of dev clips beyond the limit
RANGE = (2.5, 50.0, 97.5)  # percentiles of the dev clips that a measure is compared with
BLOCK_SECONDS, MOST_BLOCKS = 10.0, 6  # of a long clip, spread evenly, are measured
LEAST_CLIPS = 20  # fewer say nothing about a range
CLIPS_PER_DIMENSION, MOST_DIMENSIONS = 20, 16  # of the embedding
DISTANCE = "distance"
MOST_CODINGS = 50  # codecs of dev files; more are no card of dfx
SCORE = "score"
EMBEDDING = "embedding_"  # start of the names of the coordinates of an embedding

# Measures and the least half-width of their range: smaller differences cannot be heard or are chance.
MEASURES = {
    "loudness": 1.0,
    "noise_floor": 2.0,
    "bandwidth": 100.0,
    "cliff": 2.0,
    "effective_bits": 0.5,
    "clipped": 0.001,
    "zeros": 0.02,
    "dc": 0.002,
}
TITLES = {scalar.name: scalar.title for scalar in SCALARS} | {DISTANCE: "distance of the embedding"}
UNITS = {scalar.name: scalar.unit for scalar in SCALARS} | {DISTANCE: ""}


class Clips(Protocol):
    """Interface of a store that gives the waveforms of clips."""

    sample_rate: int
    lengths: NDArray[np.int64]

    def read(self, row: int, start: int = 0, num_samples: int | None = None) -> NDArray[Any]:
        """Read up to `num_samples` samples of one row, from `start`."""


def measure_waveform(clips: Clips, row: int) -> dict[str, float]:
    """Measure the waveform of a clip as the network gets it: values of `MEASURES`.

    Of a clip longer than a minute six blocks of 10 s are measured, so the time does not grow with its length.
    """
    scalars = ClipScalars(clips.sample_rate)
    for start, count in _blocks(int(clips.lengths[row]), round(BLOCK_SECONDS * clips.sample_rate)):
        scalars.add(clips.read(row, start, count))
    values = scalars.values()
    return {name: float(values[name]) for name in MEASURES}


def _blocks(length: int, size: int) -> Iterator[tuple[int, int]]:
    if length <= MOST_BLOCKS * size:
        yield from ((start, size) for start in range(0, length, size))
        return
    for number in range(MOST_BLOCKS):
        yield (length - size) * number // (MOST_BLOCKS - 1), size


class Deviation(NamedTuple):
    """Measure of a clip that is unlike the dev clips: name, value and the 95 % range of the dev clips."""

    name: str
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        unit = f" {UNITS[self.name]}" if UNITS[self.name] else ""
        return f"{TITLES[self.name]} {self.value:.4g}{unit} (95 % of dev: {self.low:.4g} to {self.high:.4g})"


@dataclass(frozen=True)
class EmbeddingSpace:
    """Centres of the two classes in dev and the scale of each direction, to measure distances of embeddings.

    Attributes:
        centres: (2, embedding_dim), of spoof and of bona fide.
        directions: (embedding_dim, dimensions), divided by the deviation within the classes.
    """

    centres: Floats
    directions: Floats

    def distance(self, embeddings: NDArray[Any]) -> Floats:
        """Compute the distances (clips,) of embeddings (clips, embedding_dim) from the nearer centre of a class."""
        offsets = np.asarray(embeddings, np.float64)[:, None] - self.centres
        distances: Floats = np.sqrt(np.square(offsets @ self.directions).sum(axis=2).min(axis=1))
        return distances

    def coordinates(self, embeddings: NDArray[Any]) -> Floats:
        """Project embeddings (clips, embedding_dim) on the directions: (clips, dimensions), 0 between the centres."""
        values: Floats = (np.asarray(embeddings, np.float64) - self.centres.mean(axis=0)) @ self.directions
        return values


def fit_embedding_space(embeddings: NDArray[Any], bonafide: NDArray[np.bool_]) -> EmbeddingSpace | None:
    """Fit the space of embeddings (clips, embedding_dim) of both classes; None if the clips are too few.

    Source: Lee et al., "A simple unified framework for detecting out-of-distribution samples", NeurIPS 2018, equation
    2, on the directions in which the embeddings differ most.
    """
    dimensions = min(MOST_DIMENSIONS, len(embeddings) // CLIPS_PER_DIMENSION, embeddings.shape[1])
    if dimensions < 1:
        return None
    values = np.asarray(embeddings, np.float64)
    centres = np.stack([values[~bonafide].mean(axis=0), values[bonafide].mean(axis=0)])
    within = values - centres[bonafide.astype(int)]
    _, deviations, directions = np.linalg.svd(within / math.sqrt(len(values)), full_matrices=False)
    dimensions = min(dimensions, int(np.count_nonzero(deviations > deviations[0] * 1e-6)))
    if dimensions < 1 or deviations[0] == 0:
        return None
    return EmbeddingSpace(centres, directions[:dimensions].T / deviations[:dimensions])


class ReferenceClips(NamedTuple):
    """Values of the dev clips themselves, as `dfx.detect` computes them: what `dfx.monitor` compares answers with.

    Attributes:
        columns: name -> values (clips,): score, measures, distance, coordinates of the embedding.
        speakers: (clips,) number of the speaker; a clip of an unknown speaker has a number of its own.
    """

    columns: Mapping[str, Floats]
    speakers: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Convert the values to lists, with six digits."""
        columns = {name: [float(f"{value:.6g}") for value in values] for name, values in self.columns.items()}
        return {"columns": columns, "speakers": self.speakers.tolist()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> ReferenceClips:
        """Read the values from lists.

        Raises:
            ValueError, KeyError, TypeError: if they are something else.
        """
        columns = {str(name): np.asarray(one, np.float64) for name, one in values["columns"].items()}
        speakers = np.asarray(values["speakers"], np.int64)
        shapes = {one.shape for one in (speakers, *columns.values())}
        if SCORE not in columns or len(shapes) != 1 or speakers.ndim != 1:
            raise ValueError("the reference clips have another shape")
        if not all(np.isfinite(one).all() for one in columns.values()):
            raise ValueError("the reference clips have values that are not finite")
        return ReferenceClips(columns, speakers)


@dataclass(frozen=True)
class InputReference:
    """Reference of the dev clips: range of each measure, and the limit of the largest deviation.

    Attributes:
        ranges: measure -> its 2.5 %, 50 % and 97.5 % values on dev.
        limit: of the largest deviation; 5 % of the dev clips are beyond it.
        space: of the embeddings; None where the network gives none.
        codings: codecs of the dev files (`AudioInfo.coding`); empty if they are not known.
        clips: the dev clips themselves; None in a file that an earlier version of dfx wrote.
    """

    ranges: Mapping[str, tuple[float, float, float]]
    limit: float
    space: EmbeddingSpace | None = None
    codings: tuple[str, ...] = ()
    clips: ReferenceClips | None = None

    def deviations(self, values: Mapping[str, float]) -> list[Deviation]:
        """List the measures of a clip that are unlike dev, the most unusual first; none for a usual clip.

        Values that the reference does not have are left out, and so are values that are not there.
        """
        sizes = {name: self._size(name, values[name]) for name in self.ranges if name in values}
        beyond = sorted((name for name in sizes if sizes[name] > self.limit), key=lambda name: -sizes[name])
        return [Deviation(name, values[name], self.ranges[name][0], self.ranges[name][2]) for name in beyond]

    def unlike_coding(self, coding: str) -> str:
        """Describe a codec that no dev file has; empty for a known one.

        A detector that has never heard a codec may call all that went through it genuine, or all fake.
        """
        if not coding or not self.codings or coding in self.codings:
            return ""
        return f"coding {coding} (dev: {', '.join(self.codings)})"

    def _size(self, name: str, value: float) -> float:
        low, middle, high = self.ranges[name]
        width = high - middle if value > middle else middle - low
        return abs(value - middle) / max(width, MEASURES.get(name, 1e-6))

    def to_dict(self) -> dict[str, Any]:
        """Convert the reference to lists and numbers, for a checkpoint or JSON."""
        values: dict[str, Any] = {"limit": self.limit, "ranges": {name: list(one) for name, one in self.ranges.items()}}
        values["codings"] = list(self.codings)
        if self.space:
            values["centres"] = self.space.centres.astype(np.float32).tolist()
            values["directions"] = self.space.directions.astype(np.float32).tolist()
        if self.clips:
            values["clips"] = self.clips.to_dict()
        return values

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> InputReference:
        """Read a reference from lists and numbers.

        Raises:
            ValueError, KeyError, TypeError: if they are something else.
        """
        known = [*MEASURES, DISTANCE]
        ranges = {name: _three(values["ranges"][name]) for name in known if name in values["ranges"]}
        space = None
        if DISTANCE in ranges:
            centres, directions = (np.asarray(values[name], np.float64) for name in ("centres", "directions"))
            if centres.ndim != 2 or len(centres) != 2 or directions.ndim != 2 or len(directions) != centres.shape[1]:
                raise ValueError("the space of embeddings has another shape")
            if not (np.isfinite(centres).all() and np.isfinite(directions).all()):
                raise ValueError("the space of embeddings has values that are not finite")
            space = EmbeddingSpace(centres, directions)
        limit = float(values["limit"])
        if not 0 < limit < math.inf:
            raise ValueError("the limit is not a positive number")
        codings = values.get("codings", [])
        if not isinstance(codings, list) or len(codings) > MOST_CODINGS or not all(map(_is_codec, codings)):
            raise ValueError("the codings are no list of names")
        clips = ReferenceClips.from_dict(values["clips"]) if "clips" in values else None
        return InputReference(ranges, limit, space, tuple(codings), clips)


def _is_codec(name: object) -> bool:
    """Whether this may be the name of a codec; it is printed, so it holds no control characters."""
    return isinstance(name, str) and re.fullmatch(r"[\w-]{1,40}", name, re.ASCII) is not None


def _three(values: Sequence[Any]) -> tuple[float, float, float]:
    low, middle, high = (float(value) for value in values)
    if not -math.inf < low <= middle <= high < math.inf:
        raise ValueError("a range is not in order")
    return low, middle, high


def fit_input_reference(
    clips: Sequence[Mapping[str, float]], space: EmbeddingSpace | None, codings: Iterable[str] = ()
) -> InputReference | None:
    """Fit the reference to the measures of dev clips; None if the clips are too few.

    Args:
        clips: measures of each dev clip (`measure_waveform`), with `DISTANCE` if there is a space of embeddings.
        space: of the embeddings.
        codings: codec of each dev file.
    """
    if len(clips) < LEAST_CLIPS:
        return None
    ranges = {name: _three(np.percentile([clip[name] for clip in clips], RANGE).tolist()) for name in clips[0]}
    all_of_them = InputReference(ranges, 0.0, space)
    largest = [max(all_of_them._size(name, value) for name, value in clip.items()) for clip in clips]
    limit = float(np.percentile(largest, 100 * (1 - FALSE_ALARMS)))
    return InputReference(ranges, limit, space, tuple(sorted(set(codings))))
