"""A system on trials: every utterance cut as the system was trained for, scored once and kept.

Scores lie in the cache, `scores/<key>.csv`, under a key over everything that they depend on: the system's file, the
recordings and the policy of cutting. What was scored is not scored again, whatever the report is about.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from dfx import console
from dfx.audio.conditioned_store import Waveforms, conditioned
from dfx.audio.conditioning import Conditions
from dfx.audio.segments import Crop
from dfx.audio.store import fingerprint, open_store
from dfx.detector import build
from dfx.detector.datamodule import AudioDataset, Batch
from dfx.detector.feature_store import FeatureStore, open_features
from dfx.detector.sampling import SequentialBatches
from dfx.evaluate.systems import System
from dfx.evaluate.trials import Trials
from dfx.files import cache_dir
from dfx.tables.manifest import Manifest
from dfx.tables.score_table import ScoreTable

VERSION = 2  # of the way scores are made: a new number makes them all anew


class Options(NamedTuple):
    """How to score, besides what the system itself says.

    Attributes:
        eval_crop: policy of cutting instead of the system's own.
        batch_size: segments at once.
        num_workers: processes that load them.
        max_bad_fraction: more bad files than this are an error.
        cache: folder of what dfx keeps; the usual one if None.
    """

    eval_crop: str | None = None
    batch_size: int = 64
    num_workers: int = 0
    max_bad_fraction: float = 0.01
    cache: str | None = None


class Policy(NamedTuple):
    """What of an utterance a system hears.

    Attributes:
        sample_rate: in Hz.
        crop: the stretch.
        conditions: what is done to a clip before.
        maps: whether the stretch is cut from the map of the whole clip, as where `feature.cache=true` keeps maps.
    """

    sample_rate: int
    crop: Crop
    conditions: Conditions
    maps: bool

    def __str__(self) -> str:
        seconds = self.crop.num_samples / self.sample_rate
        steps = [
            f"{name} {value:g}" for name, value in self.conditions._asdict().items() if value is not None
        ]
        stretch = f"{self.crop.policy} {seconds:g} s" + (" of the map of the whole clip" if self.maps else "")
        return ", ".join([stretch, f"{self.crop.pad} where shorter", *steps])


def policy(system: System, eval_crop: str | None = None) -> Policy:
    """What the system was trained for, with another policy of cutting if one is given."""
    data = system.config["data"]
    sample_rate = int(system.config["sample_rate"])
    samples = round(system.config["segment_seconds"] * sample_rate)
    crop = Crop(samples, eval_crop or data["eval_crop"], data["pad"])
    return Policy(sample_rate, crop, Conditions.of(system.config["conditioning"]), system.keeps_maps)


def score(system: System, trials: Trials, options: Options) -> tuple[ScoreTable, pd.DataFrame]:
    """Scores of all trials that can be read, from the cache where they are there.

    Returns:
        The score table with the metadata of the corpus, and the files that could not be read: id, reason.

    Raises:
        ValueError: if too many files are bad, or a score is not a finite number.
    """
    heard = policy(system, options.eval_crop)
    kept = _place(system, trials, heard, options.cache)
    if not kept.exists():
        _write(kept, _score(system, trials, heard, options))
    made = pd.read_csv(
        kept, dtype={"id": str, "reason": str}, keep_default_na=False, na_values={"score": [""]}
    )
    bad = made.loc[made["reason"] != "", ["id", "reason"]].reset_index(drop=True)
    table = trials.manifest.table.iloc[trials.rows]
    table = table.drop(columns=["path"] if table["split"].nunique() > 1 else ["path", "split"])
    # In the order of the corpus, as the scores were written.
    table = table.assign(score=made["score"].to_numpy())[(made["reason"] == "").to_numpy()]
    return ScoreTable(table), bad


def _score(system: System, trials: Trials, heard: Policy, options: Options) -> pd.DataFrame:
    """Columns id, score and reason, a row a trial; a bad file has a reason instead of a score."""
    manifest = trials.manifest
    store = open_store(manifest, heard.sample_rate, options.cache, options.max_bad_fraction)
    clips = conditioned(store, manifest, heard.conditions)
    reasons = dict(zip(store.bad["id"], store.bad["reason"], strict=True))
    ids = manifest.table["id"].to_numpy()[trials.rows]
    usable = np.flatnonzero(clips.lengths[trials.rows] > 0)
    rows = trials.rows[usable]
    labels = manifest.table["label"].to_numpy(np.int64)[rows]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    source, crop, scorer = _prepared(system, clips, manifest, rows, heard, options, device)
    dataset = AudioDataset(source, rows, labels, crop)
    windows = crop.num_windows(source.lengths[rows])
    sampler = SequentialBatches(len(rows), options.batch_size, windows=windows)
    loader = DataLoader(
        dataset,
        sampler=sampler,
        batch_size=None,
        num_workers=options.num_workers,
        generator=torch.Generator(),
    )
    sums = np.zeros(len(rows))
    label = f"{system.name} on {trials.name}"
    console.advancing(_run(scorer, loader, device, sums), label, int(windows.sum()), show=True)
    scores = np.full(len(ids), np.nan)
    scores[usable] = sums / windows
    made = pd.DataFrame({"id": ids, "score": scores, "reason": ""})
    left_out = np.setdiff1d(np.arange(len(ids)), usable)
    made.loc[left_out, "reason"] = [reasons.get(ids[at], "no samples") or "bad file" for at in left_out]
    _refuse_nan(system, trials, made)
    return made


def _prepared(
    system: System,
    clips: Waveforms,
    manifest: Manifest,
    rows: np.ndarray,
    heard: Policy,
    options: Options,
    device: torch.device,
) -> tuple[Waveforms | FeatureStore, Crop, Callable[[Batch], Tensor]]:
    """What is cut, how, and the function from a batch of cuts to scores (batch,): as in the run of the system."""
    if not heard.maps:
        scorer = system.load(device)
        return clips, heard.crop, lambda batch: scorer(batch["waveform"])
    detector = build.load_detector(system.file).to(device)
    feature = detector.feature
    config = system.config["feature"]
    maps = open_features(feature, clips, manifest, rows, config, heard.conditions, options.cache, device)
    crop = heard.crop._replace(num_samples=feature.output_shape(heard.crop.num_samples).frames)
    return maps, crop, lambda batch: detector.loss.score(detector.embed(batch)).float()


def _run(
    scorer: Callable[[Batch], Tensor], loader: Any, device: torch.device, sums: np.ndarray
) -> Generator[int]:
    """Add the scores of all segments to `sums`, and count them."""
    with torch.inference_mode():
        for batch in loader:
            scores = scorer({name: part.to(device) for name, part in batch.items()}).double().cpu().numpy()
            np.add.at(sums, batch["index"].numpy(), scores)
            yield len(scores)


def _refuse_nan(system: System, trials: Trials, made: pd.DataFrame) -> None:
    wrong = made[(made["reason"] == "") & ~np.isfinite(made["score"])]
    if len(wrong):
        raise ValueError(
            f"{system.name} gives {len(wrong)} of {len(made)} trials of {trials.name} a score that is not a finite "
            f"number: {', '.join(wrong['id'].head(5))}. Look at these recordings, and at the training of the detector."
        )


def _place(system: System, trials: Trials, heard: Policy, cache: str | None) -> Path:
    chosen = Manifest(trials.manifest.table.iloc[trials.rows], require_split=False)
    what = [VERSION, system.digest, fingerprint(chosen), chosen.table["id"].tolist(), heard.sample_rate]
    text = json.dumps([*what, list(heard.crop), list(heard.conditions)])
    root = Path(cache).expanduser() if cache else cache_dir()
    return root.absolute() / "scores" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.csv"


def _write(path: Path, made: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    made.to_csv(temporary, index=False)
    temporary.replace(path)
