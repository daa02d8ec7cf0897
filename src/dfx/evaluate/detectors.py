"""Systems × corpora, as results; everything here needs torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from omegaconf import DictConfig

from dfx.console import say
from dfx.detector import build
from dfx.evaluate import scoring
from dfx.evaluate.result import Result
from dfx.evaluate.scoring import Options
from dfx.evaluate.systems import Given, System, find
from dfx.evaluate.trials import Corpus, Trials, checked_split, further
from dfx.tables.score_table import ScoreTable


def corpus(cfg: DictConfig) -> tuple[Corpus | None, Trials | None]:
    """The corpus of a configuration and its trials; None where it names none."""
    home = Corpus(build.dataset(cfg)) if cfg.dataset else None
    return home, home.trials(checked_split(cfg.split or "eval", "split")) if home else None


def scored(cfg: DictConfig, given: Given, home: Corpus | None, trials: Trials | None) -> list[Result]:
    """Each system that a configuration names on each corpus.

    Args:
        cfg: the configuration.
        given: the systems.
        home: corpus whose dev split decides for systems without dev scores of their own.
        trials: of this corpus.

    Raises:
        ValueError: if there is no corpus and a system is no run.
    """
    if cfg.num_threads:
        torch.set_num_threads(cfg.num_threads)
    options = Options(cfg.eval_crop, cfg.batch_size, cfg.num_workers, cfg.max_bad_fraction, cfg.cache)
    systems = find(given)
    corpora = [*([trials] if trials else []), *further(list(cfg.others), build.others(cfg))]
    if not corpora:
        return [_kept(system, options) for system in systems]
    return [result for system in systems for result in _on_each(system, corpora, home, options)]


def _on_each(
    system: System, corpora: Sequence[Trials], home: Corpus | None, options: Options
) -> list[Result]:
    dev, source = _dev(system, home, options)
    crop = str(scoring.policy(system, options.eval_crop))
    results = []
    for trials in corpora:
        table, bad = scoring.score(system, trials, options)
        what = (crop, system.llr, dev, source, system.trained_on, bad)
        results.append(Result(system.name, trials.name, table, *what, note=trials.note))
    return results


def _dev(system: System, home: Corpus | None, options: Options) -> tuple[ScoreTable | None, str]:
    """Dev scores made the way the others are: those of the run where it cut alike, else of the corpus' dev split."""
    own = system.config["data"]["eval_crop"]
    if system.dev and options.eval_crop in (None, own):
        return ScoreTable.read(system.dev), "dev split of its training"
    trials = home.dev() if home else None
    if trials is None:
        return None, ""
    say(f"{system.name}: the threshold comes from {trials.name}.")
    return scoring.score(system, trials, options)[0], trials.name


def _kept(system: System, options: Options) -> Result:
    if system.eval is None:
        raise ValueError(
            f"{system.name} ({system.file}) is to be measured, but on what? Name a corpus, dataset=NAME; only a run "
            "that dfx.train has finished, runs:/RUN_ID, has scores of its own."
        )
    if options.eval_crop:
        raise ValueError(
            f"eval_crop={options.eval_crop}: another crop means other scores; name the corpus that is to be scored, "
            "dataset=NAME."
        )
    return Result(
        system.name,
        system.trained_on,
        ScoreTable.read(system.eval),
        str(scoring.policy(system)),
        system.llr,
        ScoreTable.read(system.dev) if system.dev else None,
        "dev split of its training" if system.dev else "",
        system.trained_on,
    )
