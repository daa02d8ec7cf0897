"""Load trained detectors and score them on corpora; importing this module imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from omegaconf import DictConfig

from dfx.audio.parts import DecodingLimits
from dfx.console import say
from dfx.detector import build, loading
from dfx.detector.corpus_scoring import ScoringOptions, score_manifest
from dfx.detector.scoring import SavedDetector
from dfx.evaluate.result import Result
from dfx.evaluate.trials import TrialCorpus, Trials, trials_of_corpora
from dfx.tables.score_table import ScoreTable

FROM_RUN = "dev split of its training"
Given = str | Sequence[str] | Mapping[str, str] | None


def _load_all(given: Given, cfg: DictConfig) -> list[SavedDetector]:
    """Load detectors from a path, a list of paths, or a mapping from names to paths; see `dfx.load`."""
    load = partial(loading.load_detector, trust=cfg.trust, cache=cfg.cache)
    if isinstance(given, Mapping):
        found = [replace(load(place), name=str(name)) for name, place in given.items()]
    else:
        found = [load(place) for place in ([given] if isinstance(given, str) else given or [])]
    for number, detector in enumerate(found):
        twin = next((other for other in found[:number] if other.digest == detector.digest), None)
        if twin:
            raise ValueError(f"{detector.file} and {twin.file} are the same file: name each system once.")
    names = [detector.name for detector in found]
    return [replace(one, name=f"{one.name} {one.digest[:6]}") if names.count(one.name) > 1 else one for one in found]


def score_detectors(cfg: DictConfig, given: Given, home: TrialCorpus | None, trials: Trials | None) -> list[Result]:
    """Score each detector on each corpus of the configuration.

    Without a corpus, the scores that the runs have stored are used.

    Args:
        cfg: the configuration.
        given: the systems.
        home: corpus whose dev split gives thresholds to systems without dev scores of their own.
        trials: trials of this corpus.

    Raises:
        ValueError: if there is no corpus and a system is not a run.
    """
    if cfg.num_threads:
        torch.set_num_threads(cfg.num_threads)
    how = cfg.eval_crop, cfg.batch_size, cfg.num_workers, cfg.max_bad_fraction, cfg.cache
    options = ScoringOptions(*how, DecodingLimits(**cfg.limits))
    detectors = _load_all(given, cfg)
    corpora = [*([trials] if trials else []), *trials_of_corpora(cfg.others, build.build_other_datasets(cfg))]
    if not corpora:
        return [_scores_of_run(detector, options) for detector in detectors]
    results = []
    while detectors:
        detector = detectors.pop(0)  # its weights are freed when it has scored
        dev, source = _dev_scores(detector, home, options)
        about = (str(detector.policy(options.eval_crop)), detector.llr, dev, source, detector.trained_on)
        for one in corpora:
            table, bad = score_manifest(detector, one.manifest, one.rows, options, one.name)
            results.append(Result(detector.name, one.name, table, *about, bad, note=one.note))
    return results


def _dev_scores(
    detector: SavedDetector, home: TrialCorpus | None, options: ScoringOptions
) -> tuple[ScoreTable | None, str]:
    """Return the dev scores of a detector: those of its run, or new scores of the corpus' dev split.

    The scores of the run are used if their crop is the same.
    """
    if detector.dev_scores and options.eval_crop in (None, detector.policy().crop.policy):
        return ScoreTable.read(detector.dev_scores), FROM_RUN
    trials = home.dev_trials() if home else None
    if trials is None:
        return None, ""
    say(f"{detector.name}: the threshold comes from {trials.name}.")
    return score_manifest(detector, trials.manifest, trials.rows, options, trials.name)[0], trials.name


def _scores_of_run(detector: SavedDetector, options: ScoringOptions) -> Result:
    if detector.eval_scores is None:
        raise ValueError(
            f"{detector.name} ({detector.file}) has no stored scores: name a corpus to score, dataset=NAME. Only a "
            "run that dfx.train has finished, runs:/RUN_ID, has stored scores."
        )
    if options.eval_crop:
        raise ValueError(
            f"eval_crop={options.eval_crop}: another crop needs other scores than the stored ones: name the corpus to "
            "score, dataset=NAME."
        )
    dev = ScoreTable.read(detector.dev_scores) if detector.dev_scores else None
    return Result(
        detector.name,
        detector.trained_on,
        ScoreTable.read(detector.eval_scores),
        str(detector.policy()),
        detector.llr,
        dev,
        FROM_RUN if dev else "",
        detector.trained_on,
    )
