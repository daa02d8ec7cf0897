"""Check that the inputs of an evaluation fit each other: scores, dev scores, columns, speaker verification."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from dfx import metrics, scorefiles
from dfx.evaluate.result import Result
from dfx.metrics import suspicious_scores
from dfx.tables.findings import Finding, make_finding, some_items
from dfx.tables.labels import SPOOF

FIXED_RATES = "asvspoof5"  # in place of a file: the error rates that the evaluation plan of ASVspoof 5 fixes
FIXED_ATTACKS = frozenset(f"A{number:02d}" for number in range(1, 33))  # of ASVspoof 5
MIN_SHARED = 0.5  # share of the spoof trials of speaker verification; below it, its rates are of other trials


def with_input_findings(results: Sequence[Result]) -> list[Result]:
    """Add findings to the results: suspicious scores, and dev scores that do not belong to them."""
    return [
        replace(result, findings=(*result.findings, *suspicious_scores(result.table), *_dev_findings(result)))
        for result in results
    ]


def with_contrary_columns(results: Sequence[Result], by: Sequence[str]) -> list[Result]:
    """Add a finding where results of the same trials contradict each other in a column, such as the attack."""
    first: dict[str, Result] = {}
    checked = []
    for result in results:
        other = first.setdefault(result.table.trials_hash, result)
        if other is not result:
            columns = ["id", *(name for name in by if name in result.table.table and name in other.table.table)]
            own, others = (one.table.table[columns].sort_values("id", ignore_index=True) for one in (result, other))
            found = scorefiles.contrary_columns(others, own, f"{other.name} and {result.name}")
            result = replace(result, findings=(*result.findings, *found))
        checked.append(result)
    return checked


def with_asv_rates(results: Sequence[Result], cfg: DictConfig) -> list[Result]:
    """Add the error rates of speaker verification to the results, for the t-DCF.

    A result on other trials than those of speaker verification gets none, and a finding.

    Raises:
        ValueError: if no result has an attack, or a trial, in common with speaker verification.
    """
    if cfg.asv is None:
        return list(results)
    if cfg.asv == FIXED_RATES:
        return [replace(one, asv=metrics.ASVSPOOF5_RATES, findings=(*one.findings, *_fixed(one))) for one in results]
    trials = scorefiles.read_asv_trials(cfg.asv, cfg.asv_key or None, part=cfg.split)
    rates = metrics.asv_rates(*trials.scores)
    checked = [_with_rates(result, trials, rates, str(cfg.asv)) for result in results]
    if all(result.asv is None for result in checked):
        raise ValueError(" ".join(found.text for found in checked[0].findings if found.kind == "other-asv-trials"))
    return checked


def _with_rates(result: Result, trials: scorefiles.AsvTrials, rates: metrics.AsvRates, file: str) -> Result:
    attacks = set(result.table.attacks())
    unshared = ""
    if attacks and trials.attacks and not attacks & trials.attacks:
        unshared = f"attacks {some_items(sorted(trials.attacks))}, and {result.name} has {some_items(sorted(attacks))}"
    shared = _shared_trials(result, trials)
    if shared == 0 and not unshared:
        name = result.table.table["id"].iloc[0]
        unshared = f"spoof trials {some_items(sorted(trials.ids)[:1])}, and {result.name} such as {name!r}"
    if unshared:
        text = (
            f"{file} is of other trials than {result.name}: it has {unshared}. A t-DCF needs scores of speaker "
            "verification on the same trials: give those of this corpus, or leave asv out."
        )
        return replace(result, findings=(*result.findings, make_finding("other-asv-trials", "warning", text)))
    findings = []
    if attacks and trials.attacks and attacks != trials.attacks:
        only = sorted(attacks ^ trials.attacks)
        text = (
            f"The t-DCF of {result.name} takes error rates of speaker verification on other attacks: "
            f"{some_items(only)} are only in one of {file} and the scores. Give scores of speaker verification on "
            "the same trials."
        )
        findings.append(make_finding("asv-attacks-differ", "warning", text, only))
    elif shared is not None and shared < MIN_SHARED:
        text = (
            f"Only {shared:.0%} of the spoof trials of {file} are trials of {result.name}: its t-DCF takes error rates "
            "of other trials. Give scores of speaker verification on the same trials, or choose their part, split=PART."
        )
        findings.append(make_finding("asv-trials-differ", "warning", text))
    return replace(result, asv=rates, findings=(*result.findings, *findings))


def _shared_trials(result: Result, trials: scorefiles.AsvTrials) -> float | None:
    """Return the share of the ASV system's spoof trials that a result has too; None if it is not known."""
    if not trials.ids:
        return None
    wanted = scorefiles.without_folder_and_extension(pd.Series(sorted(trials.ids), dtype="str"))
    spoof = result.table.table[result.table.table["label"] == SPOOF]["id"].astype("str")
    ids = scorefiles.without_folder_and_extension(spoof)
    known = set(ids) | set(ids.str.rpartition(" ")[2])  # track 2 of ASVspoof 5: `SPEAKER ID`
    return float(np.mean([one in known for one in wanted]))


def _fixed(result: Result) -> list[Finding]:
    attacks = set(result.table.attacks())
    if not attacks or attacks & FIXED_ATTACKS:
        return []
    text = (
        f"asv={FIXED_RATES} are the error rates of speaker verification on ASVspoof 5, and {result.name} has attacks "
        f"that are not in it ({some_items(sorted(attacks))}): its t-DCF compares with nothing. Give the scores of "
        "speaker verification on this corpus, asv=FILE."
    )
    return [make_finding("asv-attacks-differ", "warning", text, sorted(attacks))]


def _dev_findings(result: Result) -> Iterator[Finding]:
    if result.dev is None:
        return
    judged = set(zip(result.table.table["id"], result.table.table["label"], strict=True))
    chosen = list(zip(result.dev.table["id"], result.dev.table["label"], strict=True))
    shared = [name for name, label in chosen if (name, label) in judged]
    if 2 * len(shared) >= len(chosen):  # corpora that number their trials share a few ids by chance
        text = (
            f"{len(shared)} of its trials also gave the threshold: accuracy, balanced accuracy and F1, and calibrated "
            "or fused scores, look better here than they are. Judge another split or corpus."
        )
        yield make_finding("judged-on-dev", "warning", text, shared)
    threshold, scores = metrics.decision_threshold(result.dev.bonafide, result.dev.spoof), result.table.table["score"]
    if not scores.min() < threshold <= scores.max():
        text = (
            f"All {len(scores)} scores of {result.name} ({scores.min():g} to {scores.max():g}) are on one side of the "
            f"threshold from dev, {threshold:g}: are the dev scores of the same system and on the same scale? Accuracy "
            "and F1 say nothing here."
        )
        yield make_finding("threshold-outside", "warning", text, count=len(scores))
