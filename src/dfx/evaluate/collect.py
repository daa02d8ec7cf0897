"""Everything that is to be judged: systems × corpora, and score files, as results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dfx.audio import segments
from dfx.evaluate import score_files
from dfx.evaluate.measure import Settings
from dfx.evaluate.result import Result
from dfx.evaluate.score_files import Files
from dfx.metrics import fusion
from dfx.metrics.doubts import doubts
from dfx.tables.findings import Finding, finding

WORDS = {"eval_crop": (*segments.POLICIES[1:], segments.SLIDING), "fuse": fusion.METHODS}
NEEDS = {  # key -> the key without which it would change nothing
    **dict.fromkeys(("key", "dev_scores", "llr"), "scores"),
    **dict.fromkeys(("others", "eval_crop"), "systems"),
    **{"dev_key": "dev_scores", "split": "dataset or scores"},
}


def check(cfg: DictConfig) -> None:
    """Refuse keys that say nothing, before anything is read.

    Raises:
        ValueError: if there is nothing to measure, a word is unknown, or a key is given in vain.
    """
    if not cfg.systems and not cfg.scores:
        raise ValueError(
            "There is nothing to measure: give systems=FILE (a checkpoint, an ONNX file, runs:/RUN_ID) or scores=FILE; "
            "--help shows examples."
        )
    for name, words in WORDS.items():
        if cfg[name] is not None and cfg[name] not in words:
            raise ValueError(f"{name}={cfg[name]}: use one of {', '.join(words)}.")
    if (cfg.bootstrap or 0) < 0 or cfg.batch_size < 1:
        raise ValueError(
            f"bootstrap={cfg.bootstrap}, batch_size={cfg.batch_size}: they must be positive; bootstrap=0: no intervals."
        )
    for name, needed in NEEDS.items():
        if cfg[name] not in (None, []) and not any(cfg[other] for other in needed.split(" or ")):
            raise ValueError(
                f"{name}={cfg[name]} says nothing without {needed}: give {needed}=…, or leave it out."
            )


def gather(cfg: DictConfig) -> list[Result]:
    """Everything that a configuration names, judged by nobody yet.

    Raises:
        ValueError: if files and corpora do not fit each other.
    """
    home = trials = None
    scored: list[Result] = []
    if cfg.systems or cfg.dataset:
        from dfx.evaluate import detectors

        home, trials = detectors.corpus(cfg)
        scored = detectors.scored(cfg, _plain(cfg.systems), home, trials) if cfg.systems else []
    files = Files(
        _plain(cfg.scores),
        _plain(cfg.key),
        _plain(cfg.dev_scores),
        _plain(cfg.dev_key),
        cfg.asv_key,
        cfg.split,
        cfg.llr,
    )
    return [*scored, *score_files.read(files, trials)]


def settings(cfg: DictConfig) -> Settings:
    """How to measure."""
    rates = score_files.rates(cfg.asv, cfg.asv_key, cfg.split)
    return Settings(tuple(cfg.by), cfg.bootstrap, rates, cfg.seed)


def _plain(value: Any) -> Any:
    """A list or mapping of the configuration as one of Python's."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def doubted(results: Sequence[Result]) -> list[Result]:
    """Each result with what looks odd in its scores, and a warning where dev is among what it judges."""
    return [
        replace(result, findings=(*result.findings, *doubts(result.table), *_judged_on_dev(result)))
        for result in results
    ]


def _judged_on_dev(result: Result) -> list[Finding]:
    """A threshold, calibration or fusion flatters on the trials that it was chosen on."""
    if result.dev is None:
        return []
    judged = set(zip(result.table.table["id"], result.table.table["label"], strict=True))
    chosen = list(zip(result.dev.table["id"], result.dev.table["label"], strict=True))
    shared = [name for name, label in chosen if (name, label) in judged]
    if 2 * len(shared) < len(chosen):  # corpora that number their trials share a few ids by chance
        return []
    text = (
        f"{len(shared)} of its trials also gave the threshold: accuracy, balanced accuracy and F1, and what is "
        "calibrated or fused, flatter here. Judge another split or corpus."
    )
    return [finding("judged-on-dev", "warning", text, shared)]
