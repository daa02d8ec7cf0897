"""Detect fakes in audio files of any format and length: decode, score windows, and answer for each file.

Files are decoded a batch at a time into a waveform store below the cache folder, which is removed afterwards, so that
memory does not grow with the length of a file and a file that crashes its decoder stops nothing. The scores of finished
files are kept: a command that was stopped continues, and another threshold costs nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfx import audio, files
from dfx.audio.conditioning import VERSION as CONDITIONING_VERSION
from dfx.audio.parts import DEFAULT_LIMITS, DecodingLimits
from dfx.audio.segments import Crop
from dfx.audio.store import VERSION as STORE_VERSION
from dfx.audio.store import WaveformStore, open_store
from dfx.detector.answers import ClipAnswer, ClipWindows, DecisionRule, answer_clip, clip_score
from dfx.detector.dataset import scoring_loader
from dfx.detector.feature_maps import VERSION as MAPS_VERSION
from dfx.detector.feature_maps import open_feature_maps
from dfx.detector.input_statistics import DISTANCE, InputReference, measure_waveform
from dfx.detector.kept_scores import KeptScores, ScoredClip, file_identity
from dfx.detector.scoring import SavedDetector, ScoringPolicy, segment_dataset, segment_scores
from dfx.tables.manifest import FileList

VERSION = 4  # of the kept scores; increase it to compute them again
BATCH_FILES, BATCH_BYTES = 1000, 256 << 20  # of source files decoded together
VOICED_DB = 40.0  # a window this far below the loudest one holds no speech
Overview = Callable[[WaveformStore, int], Any]


@dataclass(frozen=True)
class DetectionOptions:
    """Windows, aggregation and resources of `detect_files`.

    Attributes:
        window_seconds: length of a window; that of the detector's segments if None.
        hop_seconds: distance between windows; half a window if None.
        strict_length: refuse a clip that is shorter than a window, instead of repeating it.
        aggregate: see `answers.clip_score`.
        top_k: see `answers.clip_score`.
        batch_size: windows at once.
        num_workers: decoding processes; one for each core if None.
        cache: folder of kept scores and of audio while it is scored; the default one if None.
        rerun: score files again that were scored before.
        limits: of decoding a file; one beyond them has no score.
    """

    window_seconds: float | None = None
    hop_seconds: float | None = None
    strict_length: bool = False
    aggregate: str = "mean"
    top_k: int = 3
    batch_size: int = 16  # of windows; more exceed the cache of a CPU
    num_workers: int | None = None
    cache: str | None = None
    rerun: bool = False
    limits: DecodingLimits = DEFAULT_LIMITS


def detect_files(
    detectors: Sequence[SavedDetector],
    rule: DecisionRule,
    paths: Sequence[str],
    options: DetectionOptions | None = None,
    overview: Overview | None = None,
) -> Iterator[ClipAnswer]:
    """Yield an answer for each file, in order; a file that cannot be read has an answer with a reason.

    Args:
        detectors: one, or several whose log-likelihood ratios are averaged.
        rule: see `answers.decision_rule`.
        paths: audio or video files.
        options: windows, aggregation and resources.
        overview: computes what the caller wants to draw, from the store and the row of a clip.

    Raises:
        ValueError: if an option is invalid, the network cannot take windows of that length, or the disk is full.
    """
    options = options or DetectionOptions()
    policies = [_policy(detector, options) for detector in detectors]
    systems = [[detector.digest, *map(str, policy)] for detector, policy in zip(detectors, policies, strict=True)]
    versions = [VERSION, STORE_VERSION, CONDITIONING_VERSION, MAPS_VERSION]
    facts = [*versions, options.strict_length, options.limits.hours, systems]
    journal = KeptScores(facts, [] if options.rerun else paths, options.cache)
    root = files.cache_dir(options.cache) / "detect"
    with contextlib.closing(journal):
        for batch in _batches(paths):
            identities = [file_identity(path) for path in batch]
            known = {path: journal.known.get(identity) for path, identity in zip(batch, identities, strict=True)}
            wanted = [path for path in batch if known[path] is None or (overview and not known[path].reason)]  # type: ignore[union-attr]
            with files.temporary_folder(root) as folder:
                stores = _open_stores(detectors, wanted, str(folder), options) if wanted else {}
                scored = _score_batch(detectors, policies, stores, wanted, known, str(folder), options)
                rows = {path: row for row, path in enumerate(wanted)}
                for path, identity in zip(batch, identities, strict=True):
                    clip = known[path]
                    if clip is None:
                        clip = next(scored)
                        journal.add(identity, clip)
                    picture = None
                    if overview and not clip.reason:
                        store = stores[policies[0].sample_rate, policies[0].conditions]
                        # A file with kept scores may have become bad since.
                        picture = overview(store, rows[path]) if store.lengths[rows[path]] > 0 else None
                    yield _answer(path, clip, detectors, policies, rule, options, picture)


def _policy(detector: SavedDetector, options: DetectionOptions) -> ScoringPolicy:
    policy = detector.policy("sliding", options.window_seconds, options.hop_seconds)
    if options.aggregate == "voiced" and policy.whole_maps:
        raise ValueError(
            f"aggregate=voiced needs the waveform of each window, and {detector.name} takes parts of the map of a "
            "whole clip (feature.cache=true): use mean, maximum or top_k."
        )
    return policy


def _batches(paths: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for path in paths:
        own = file_identity(path).size
        if batch and (len(batch) >= BATCH_FILES or size + own > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += own
    if batch:
        yield batch


def _open_stores(
    detectors: Sequence[SavedDetector], paths: Sequence[str], folder: str, options: DetectionOptions
) -> dict[Any, WaveformStore]:
    """Decode files for all detectors, once for each sample rate and conditioning."""
    stores: dict[Any, WaveformStore] = {}
    for detector in detectors:
        policy = detector.policy()
        key = policy.sample_rate, policy.conditions
        if key not in stores:
            how = *key, folder, 1.0, options.num_workers
            stores[key] = open_store(FileList(paths), *how, progress=False, limits=options.limits)
    return stores


def _score_batch(
    detectors: Sequence[SavedDetector],
    policies: Sequence[ScoringPolicy],
    stores: dict[Any, WaveformStore],
    paths: Sequence[str],
    known: dict[str, ScoredClip | None],
    folder: str,
    options: DetectionOptions,
) -> Iterator[ScoredClip]:
    """Yield the scores of the files that are not known, in order."""
    rows = [row for row, path in enumerate(paths) if known[path] is None]
    if not rows:
        return
    clips = [stores[policy.sample_rate, policy.conditions] for policy in policies]
    reasons = [_reasons(store, policy.crop, options) for store, policy in zip(clips, policies, strict=True)]
    good = np.array([row for row in rows if not any(reason.get(row) for reason in reasons)], int)
    windows = [
        _clip_windows(detector, policy, store, paths, good, folder, options)
        for detector, policy, store in zip(detectors, policies, clips, strict=True)
    ]
    usable = set(good.tolist())
    for row in rows:
        if row not in usable:
            reason = next(reason[row] for reason in reasons if reason.get(row))
            yield ScoredClip(reason, [], [], [], [], [], [], "")
            continue
        found = [next(one) for one in windows]
        if not all(np.isfinite(one.scores).all() for one in found):
            yield ScoredClip("the detector gives it a score that is not a finite number", [], [], [], [], [], [], "")
            continue
        yield ScoredClip(
            "",
            [int(store.lengths[row]) for store in clips],
            [one.scores for one in found],
            [one.levels for one in found],
            [one.distance for one in found],
            [one.coordinates for one in found],
            [measure_waveform(store, row) for store in clips],
            _coding(paths[row]),
        )


def _coding(path: str) -> str:
    """Return the codec of a decoded file; empty if the file no longer exists."""
    try:
        return audio.probe_audio(path).coding
    except audio.AudioError:
        return ""


def _reasons(store: WaveformStore, crop: Crop, options: DetectionOptions) -> dict[int, str]:
    """Return the reason for each clip that cannot be scored, by row."""
    found: dict[int, str] = dict(zip(np.flatnonzero(store.lengths < 0).tolist(), store.bad["reason"], strict=True))
    found |= {row: "no samples" for row in np.flatnonzero(store.lengths == 0).tolist()}
    if options.strict_length:
        for row in np.flatnonzero((store.lengths > 0) & (store.lengths < crop.num_samples)).tolist():
            seconds = store.lengths[row] / store.sample_rate
            found[row] = (
                f"it lasts {seconds:.2f} s, shorter than a window of {crop.num_samples / store.sample_rate:g} s, and "
                "strict_length=true refuses it"
            )
    return found


class _NetworkValues(NamedTuple):
    """Scores and levels of the windows of a clip, distance and coordinates of its embedding."""

    scores: list[float]
    levels: list[float]
    distance: float | None
    coordinates: list[float]


def _clip_windows(
    detector: SavedDetector,
    policy: ScoringPolicy,
    store: WaveformStore,
    paths: Sequence[str],
    rows: NDArray[np.intp],
    folder: str,
    options: DetectionOptions,
) -> Iterator[_NetworkValues]:
    """Yield what the network says of each clip, in order."""
    if not len(rows):
        return
    reference = detector.card.reference if detector.card else None
    space = reference.space if reference else None
    more = (detector.config["feature"], policy.conditions, folder, detector.device, False)
    dataset = segment_dataset(
        detector, policy, store, rows, lambda f: open_feature_maps(f, store, FileList(paths), rows, *more)
    )
    counts = dataset.num_windows()
    loader = scoring_loader(dataset, options.batch_size, num_workers=0)
    done, scores, levels, distances = 0, list[float](), list[float](), list[float]()
    coordinates: list[NDArray[np.float64]] = []
    for batch in segment_scores(detector, loader, space is not None):
        scores += batch.scores.double().tolist()
        levels += [] if batch.levels_db is None else batch.levels_db.tolist()
        if space is not None and batch.embeddings is not None:
            if batch.embeddings.shape[1] != space.centres.shape[1]:
                raise ValueError(
                    f"The operating card of {detector.file} is of another network: its embeddings have "
                    f"{space.centres.shape[1]} values, got {batch.embeddings.shape[1]}. Train or export it again."
                )
            vectors = batch.embeddings.float().numpy()
            distances += space.distance(vectors).tolist()
            coordinates += list(space.coordinates(vectors))
        while done < len(counts) and len(scores) >= counts[done]:
            count = int(counts[done])
            distance = float(np.mean(distances[:count])) if distances else None
            mean = np.mean(coordinates[:count], axis=0).round(4).tolist() if coordinates else []
            yield _NetworkValues(scores[:count], levels[:count], distance, mean)
            del scores[:count], levels[:count], distances[:count], coordinates[:count]
            done += 1


def _answer(
    path: str,
    clip: ScoredClip,
    detectors: Sequence[SavedDetector],
    policies: Sequence[ScoringPolicy],
    rule: DecisionRule,
    options: DetectionOptions,
    picture: Any,
) -> ClipAnswer:
    if clip.reason:
        return ClipAnswer(path, clip.reason)
    crops = [policy.crop for policy in policies]
    rates = [policy.sample_rate for policy in policies]
    starts = [_starts(crop, length) for crop, length in zip(crops, clip.num_samples, strict=True)]
    seconds = [start / rate for start, rate in zip(starts, rates, strict=True)]
    scores = [
        np.array(one) if not rule.calibrated or detector.card is None else np.array([detector.card.llr(s) for s in one])
        for one, detector in zip(clip.scores, detectors, strict=True)
    ]
    duration = clip.num_samples[0] / rates[0]
    lengths = [min(crop.num_samples / rate, duration) for crop, rate in zip(crops, rates, strict=True)]
    own = [
        ClipWindows(at, length, score, _voiced(levels, len(score)))
        for at, length, score, levels in zip(seconds, lengths, scores, clip.levels, strict=True)
    ]
    score = float(np.mean([clip_score(one, options.aggregate, options.top_k) for one in own]))
    # The curve of several detectors has the windows of the first one.
    windows = own[0]._replace(scores=np.mean([_in_windows(one, own[0]) for one in own], axis=0))
    unlike = [
        text
        for detector, values, distance in zip(detectors, clip.measures, clip.distances, strict=True)
        for text in _deviations(detector.card.reference if detector.card else None, values, distance, clip.coding)
    ]
    unlike = list(dict.fromkeys(unlike))  # detectors of one corpus have the same
    answer = answer_clip(path, duration, windows, score, rule, unlike, clip.measures[0], picture)
    return replace(answer, coding=clip.coding, distance=clip.distances[0], coordinates=tuple(clip.coordinates[0]))


def _voiced(levels: Sequence[float], count: int) -> NDArray[np.bool_]:
    """Return which windows hold sound, (windows,); all if their levels are not known."""
    return np.array(levels) > max(levels) - VOICED_DB if levels else np.ones(count, bool)


def _in_windows(curve: ClipWindows, wanted: ClipWindows) -> NDArray[np.float64]:
    """Convert scores over time to other windows: each gets the mean of the scores that lie in it."""
    if len(curve.starts) == len(wanted.starts) and np.array_equal(curve.starts, wanted.starts):
        return curve.scores
    centres = curve.starts + curve.seconds / 2
    first = np.searchsorted(centres, wanted.starts)
    last = np.searchsorted(centres, wanted.starts + wanted.seconds, side="right")
    sums = np.concatenate([[0.0], np.cumsum(curve.scores)])
    counts = last - first
    mean = (sums[last] - sums[first]) / np.maximum(counts, 1)
    at_centre = np.interp(wanted.starts + wanted.seconds / 2, centres, curve.scores)
    chosen: NDArray[np.float64] = np.where(counts > 0, mean, at_centre)
    return chosen


def _deviations(
    reference: InputReference | None, measures: dict[str, float], distance: float | None, coding: str
) -> list[str]:
    if reference is None:
        return []
    found = reference.deviations(measures | ({} if distance is None else {DISTANCE: distance}))
    return [text for text in (reference.unlike_coding(coding), *map(str, found)) if text]


def _starts(crop: Crop, length: int) -> NDArray[np.int64]:
    """Return the first sample of each window of a clip, (windows,)."""
    count = int(crop.num_windows(np.array([length]))[0])
    return np.minimum(np.arange(count) * crop.hop, max(length - crop.num_samples, 0))
