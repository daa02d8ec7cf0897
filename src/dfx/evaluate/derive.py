"""Results made of other results: calibrated on dev, fused; both are score tables again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dfx.evaluate.result import Result
from dfx.metrics import fusion

NEEDS_DEV = "Give dev_scores=FILE dev_key=FILE, or a system that comes with its own."


def calibrated(results: Sequence[Result]) -> list[Result]:
    """Each result with its scores brought to log-likelihood ratios, as dev says.

    Raises:
        ValueError: if one has no dev scores.
    """
    made = []
    for result in results:
        if result.dev is None:
            raise ValueError(f"{result.name} cannot be calibrated: it has no dev scores. {NEEDS_DEV}")
        calibration = fusion.calibrate(result.dev)
        made.append(
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
    return made


def fused(results: Sequence[Result], method: str) -> list[Result]:
    """The systems as one, for each corpus that several have scored.

    Raises:
        ValueError: if there is no such corpus, the trials differ, or logistic fusion lacks dev scores.
    """
    made = []
    for corpus in dict.fromkeys(result.corpus for result in results):
        parts = [result for result in results if result.corpus == corpus]
        if len(parts) > 1:
            made.append(_fused(parts, method))
    if not made:
        raise ValueError(
            f"fuse={method} needs two systems on one corpus, got {len({r.system for r in results})}: name more of "
            "them, systems=[A,B] or scores=[A,B]."
        )
    return made


def _fused(parts: Sequence[Result], method: str) -> Result:
    lacking = [part.system for part in parts if part.dev is None]
    if lacking and method == "logistic":
        raise ValueError(
            f"fuse=logistic is learnt on dev, and {', '.join(lacking)} has no dev scores. {NEEDS_DEV}"
        )
    devs = None if lacking else [part.dev for part in parts if part.dev is not None]
    table, findings = fusion.fuse([part.table for part in parts], method, devs)
    dev = None if devs is None else fusion.fuse(devs, method, devs)[0]
    first = parts[0]
    crops = {part.crop for part in parts}
    return replace(
        first,
        system=f"fusion ({method})",
        table=table,
        dev=dev,
        llr=method == "logistic",
        trained_on="",
        crop=first.crop if len(crops) == 1 else "; ".join(sorted(crops)),
        findings=tuple(findings),
    )
