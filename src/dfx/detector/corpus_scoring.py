"""Score the utterances of a corpus with a trained detector, and cache the scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dfx import console, files
from dfx.audio.conditioning import VERSION as CONDITIONING_VERSION
from dfx.audio.parts import DEFAULT_LIMITS, DecodingLimits
from dfx.audio.store import VERSION as STORE_VERSION
from dfx.audio.store import open_store, recordings_fingerprint
from dfx.detector.dataset import scoring_loader
from dfx.detector.feature_maps import VERSION as MAPS_VERSION
from dfx.detector.feature_maps import open_feature_maps
from dfx.detector.score_collector import ScoreCollector
from dfx.detector.scoring import BATCH_SIZE, SavedDetector, ScoringPolicy, segment_dataset, segment_scores
from dfx.tables.manifest import Manifest
from dfx.tables.score_table import COLUMNS, ScoreTable

VERSION = 3  # of the computation of scores; increase it to compute all of them again


class ScoringOptions(NamedTuple):
    """Options of `score_manifest`.

    Attributes:
        eval_crop: position of the segments instead of the detector's own: first, centre, sliding or chunks.
        batch_size: segments at once.
        num_workers: processes that load them.
        max_bad_fraction: more bad files than this are an error.
        cache: folder of decoded audio and scores; the default one if None.
        limits: of decoding a file.
    """

    eval_crop: str | None = None
    batch_size: int = BATCH_SIZE
    num_workers: int = 0
    max_bad_fraction: float = 0.01
    cache: str | None = None
    limits: DecodingLimits = DEFAULT_LIMITS


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
        how = policy.sample_rate, policy.conditions, options.cache, options.max_bad_fraction
        clips = open_store(manifest, *how, limits=options.limits)
        usable = clips.lengths[rows] > 0
        reasons = dict(zip(clips.bad["id"], clips.bad["reason"], strict=True))
        bad = trials[["id"]][~usable].reset_index(drop=True)
        bad = bad.assign(reason=[reasons.get(name, "no samples") for name in bad["id"]])
        if cached is None or set(cached.table["id"]) != set(trials["id"][usable]):
            config, chosen = detector.config["feature"], rows[usable]
            more = (config, policy.conditions, options.cache, detector.device)
            dataset = segment_dataset(
                detector, policy, clips, chosen, lambda f: open_feature_maps(f, clips, manifest, chosen, *more)
            )
            loader = scoring_loader(dataset, options.batch_size, options.num_workers)
            collector = ScoreCollector(trials[usable], name)

            def collect() -> Generator[int]:
                for batch in segment_scores(detector, loader):
                    collector.add(batch.index, batch.scores)
                    yield len(batch.scores)

            console.progress_bar(collect(), f"{detector.name} on {name}", int(dataset.num_windows().sum()), show=True)
            cached = ScoreTable(collector.finish().table[COLUMNS])
            with files.atomic_write(path) as temporary:
                cached.write(temporary)
    scores = trials["id"][usable].map(cached.table.set_index("id")["score"])
    return ScoreTable(trials[usable].assign(score=scores)), bad


def _cached_scores(
    detector: SavedDetector, manifest: Manifest, rows: np.ndarray, policy: ScoringPolicy, options: ScoringOptions
) -> Path:
    """Path of the cached scores: a hash of everything that determines them."""
    chosen = Manifest(manifest.table.iloc[rows], require_split=False)
    facts = [
        [VERSION, STORE_VERSION, CONDITIONING_VERSION, MAPS_VERSION],
        detector.digest,
        recordings_fingerprint(chosen),
        chosen.table["id"].tolist(),
        options.limits.hours,
        *policy,
    ]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    return files.cache_dir(options.cache) / "scores" / f"{key}.csv"
