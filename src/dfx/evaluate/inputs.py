"""Inputs of an evaluation: check the keys, then score detectors or read score files."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from dfx import scorefiles
from dfx.audio import segments
from dfx.evaluate.result import Result
from dfx.metrics import fusion

if TYPE_CHECKING:
    from dfx.evaluate.trials import Trials

CHOICES = {"eval_crop": segments.EVAL_POLICIES, "fuse": fusion.METHODS}
NEEDS = {  # key -> the key without which it has no effect
    **dict.fromkeys(("key", "dev_scores", "llr"), "scores"),
    **dict.fromkeys(("others", "eval_crop"), "model"),
    **{"dev_key": "dev_scores", "split": "dataset or scores"},
}
SASV = "sasv-score"  # column of scores that also verify the speaker
UNKNOWN_CROP = "not known (score file)"


def check_input_keys(cfg: DictConfig) -> None:
    """Check the keys of the command before anything is read.

    Raises:
        ValueError: if there is nothing to measure, a value is unknown, or a key has no effect.
    """
    if not cfg.model and not cfg.scores:
        raise ValueError(
            "There is nothing to measure: give model=FILE (a checkpoint, an ONNX file, runs:/RUN_ID) or scores=FILE; "
            "--help shows examples."
        )
    for name, choices in CHOICES.items():
        if cfg[name] is not None and cfg[name] not in choices:
            raise ValueError(f"{name}={cfg[name]}: use one of {', '.join(choices)}.")
    if (cfg.bootstrap or 0) < 0 or cfg.batch_size < 1:
        raise ValueError(
            f"bootstrap={cfg.bootstrap}, batch_size={cfg.batch_size}: they must be positive; bootstrap=0: no intervals."
        )
    for name, needed in NEEDS.items():
        if cfg[name] not in (None, []) and not any(cfg[other] for other in needed.split(" or ")):
            raise ValueError(f"{name}={cfg[name]} has no effect without {needed}: give {needed}=…, or leave it out.")


def collect_inputs(cfg: DictConfig) -> list[Result]:
    """Score the detectors on the corpora and read the score files; return the results.

    Raises:
        ValueError: if files and corpora do not fit each other.
    """
    home = trials = None
    scored: list[Result] = []
    if cfg.model or cfg.dataset:
        from dfx.detector import build
        from dfx.evaluate import detectors
        from dfx.evaluate.trials import TrialCorpus

        home = TrialCorpus(build.build_dataset(cfg)) if cfg.dataset else None
        trials = home.trials(cfg.split or "eval") if home else None
        scored = detectors.score_detectors(cfg, _plain(cfg.model), home, trials) if cfg.model else []
    return [*scored, *(_read_score_files(cfg, trials) if cfg.scores else [])]


def _read_score_files(cfg: DictConfig, trials: Trials | None) -> list[Result]:
    """Read each score file into a result; without a key file, the labels come from the corpus."""
    files, dev_files = _named_files(cfg.scores), _named_files(cfg.dev_scores)
    if dev_files and len(dev_files) != len(files):
        raise ValueError(
            f"There are {len(files)} score files and {len(dev_files)} for dev, got "
            f"{', '.join(map(str, dev_files.values()))}: give each system its dev scores, in the same order."
        )
    corpus, key = _read_key(cfg.key)
    dev_key = _read_key(cfg.dev_key)[1]
    note, part = "", cfg.split
    if trials and not cfg.key:
        corpus, note, part = trials.name, trials.note, "all"  # they are those of the split already
        key = trials.manifest.table.iloc[trials.rows].drop(columns=["path", "split"])
    results = []
    for (name, file), dev_file in itertools.zip_longest(files.items(), dev_files.values()):
        scores = scorefiles.read_scores(file)
        table, findings = scorefiles.join_scores(scores, key, file.name, part)
        sasv = dev = None
        if cfg.asv_key and SASV in scores:
            sasv = scorefiles.read_asv_scores(file, cfg.asv_key, SASV, cfg.split)
        if dev_file:
            of_file = scorefiles.read_scores(dev_file)
            part_of_dev = scorefiles.dev_part(of_file if dev_key is None else dev_key)
            dev, of_dev = scorefiles.join_scores(of_file, dev_key, dev_file.name, part_of_dev)
            findings = [*findings, *of_dev]
        results.append(
            Result(
                name,
                corpus or f"trials {table.trials_hash[:8]}",
                table,
                UNKNOWN_CROP,
                cfg.llr,
                dev,
                dev_file.name if dev_file else "",
                findings=tuple(findings),
                note=note,
                sasv=sasv,
            )
        )
    return results


def _read_key(given: Any) -> tuple[str, pd.DataFrame | None]:
    """Read a key file, given as FILE or {CORPUS: FILE}; return the corpus name and the table, or "" and None."""
    for name, file in _named_files(given).items():
        return name, scorefiles.read_key(file)
    return "", None


def _named_files(given: Any) -> dict[str, Path]:
    """Map names to files: given names, or file names, with the folder where several are the same."""
    given = _plain(given)
    if isinstance(given, Mapping):
        return {str(name): scorefiles.existing_score_file(file) for name, file in given.items()}
    files = [scorefiles.existing_score_file(file) for file in ([given] if isinstance(given, str) else given or [])]
    stems = [file.stem for file in files]
    names = [file.stem if stems.count(file.stem) == 1 else f"{file.parent.name}/{file.stem}" for file in files]
    twice = [str(file) for file, name in zip(files, names, strict=True) if names.count(name) > 1]
    if twice:
        raise ValueError(
            f"Score files need different names, got {', '.join(twice)}: name them, scores={{NAME: FILE, NAME: FILE}}."
        )
    return dict(zip(names, files, strict=True))


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
