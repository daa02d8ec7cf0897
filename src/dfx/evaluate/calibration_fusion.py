"""Calibration and fusion of systems, with parameters learnt on dev."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from dfx import metrics
from dfx.evaluate.result import Result

NEEDS_DEV = "Give dev_scores=FILE dev_key=FILE, or a system that comes with its own."


def calibrate_results(results: Sequence[Result]) -> list[Result]:
    """Convert the scores of each result to log-likelihood ratios, with a calibration learnt on dev.

    Raises:
        ValueError: if one has no dev scores.
    """
    calibrated = []
    for result in results:
        if result.dev is None:
            raise ValueError(f"{result.name} cannot be calibrated: it has no dev scores. {NEEDS_DEV}")
        calibration = metrics.learn_calibration(result.dev, result.system)
        calibrated.append(
            replace(
                result,
                system=f"{result.system}, calibrated",
                table=calibration.apply(result.table),
                dev=calibration.apply(result.dev),
                llr=True,
                calibrated=True,
                findings=calibration.findings,
            )
        )
    return calibrated


def fuse_results(results: Sequence[Result], method: str) -> list[Result]:
    """Fuse all systems into one, on each corpus with scores of two or more systems.

    Raises:
        ValueError: if there is no such corpus, the trials differ, or logistic fusion lacks dev scores.
    """
    fused = []
    for corpus in dict.fromkeys(result.corpus for result in results):
        members = [result for result in results if result.corpus == corpus]
        if len(members) > 1:
            fused.append(_fuse_on_corpus(members, method))
    if not fused:
        raise ValueError(
            f"fuse={method} needs two systems on one corpus, got {len({r.system for r in results})}: name more of "
            "them, model=[A,B] or scores=[A,B]."
        )
    return fused


def _fuse_on_corpus(members: Sequence[Result], method: str) -> Result:
    lacking = [member.system for member in members if member.dev is None]
    if lacking and method == "logistic":
        raise ValueError(
            f"fuse=logistic is learnt on dev; there are no dev scores of {', '.join(lacking)}. {NEEDS_DEV}"
        )
    devs = None if lacking else [member.dev for member in members if member.dev is not None]
    table, findings = metrics.fuse_scores([member.table for member in members], method, devs)
    sources = [] if lacking else sorted({member.dev_source for member in members})
    return replace(
        members[0],  # corpus and error rates of speaker verification, which are those of the trials
        system=f"fusion ({method})",
        table=table,
        dev=None if devs is None else metrics.fuse_scores(devs, method, devs)[0],
        llr=method == "logistic",
        dev_source="; ".join(sources),
        trained_on="",
        bad=pd.concat([member.bad for member in members]).drop_duplicates("id", ignore_index=True),
        sasv=None,
        crop="; ".join(sorted({member.crop for member in members})),
        findings=tuple(findings),
    )
