"""Fusion of the scores of several systems, by logistic regression learnt on dev or by the mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dfx.metrics.calibration import fit_logistic_calibration, learn_calibration
from dfx.metrics.eer import FloatArray
from dfx.tables.findings import Finding, make_finding
from dfx.tables.score_table import ScoreTable, scores_side_by_side

METHODS = ("logistic", "mean")
MAX_SCALE_RATIO = 3.0  # ratio of standard deviations; above it one system decides a mean almost alone


def fuse_scores(
    tables: Sequence[ScoreTable], method: str = "logistic", dev: Sequence[ScoreTable] | None = None
) -> tuple[ScoreTable, list[Finding]]:
    """Fuse the scores of several systems on the same trials into one score table.

    Args:
        tables: scores of the trials, one table for each system; their labels are not used.
        method: logistic, a weighted sum learnt on dev whose result is a log-likelihood ratio; or mean, of the scores
            calibrated on dev, and of the raw scores without dev.
        dev: scores of the dev trials, in the same order of systems.

    Returns:
        The trials of the first table, in its order and with its metadata; and findings: `separated`,
        `negative-weight`, `different-scales`.

    Raises:
        ValueError: if the trials of the systems differ, dev is missing for logistic, or a system ranks dev the wrong
            way round.

    Source: as in `dfx.metrics.calibration`.
    """
    scores = scores_side_by_side(tables).T
    if dev is None:
        if method == "logistic":
            raise ValueError("Logistic fusion learns on dev, got no dev scores: give those too, or take method=mean.")
        return tables[0].with_scores(scores.mean(axis=1)), _different_scales(scores)
    names = [f"system {number}" for number in range(1, len(dev) + 1)]
    if method == "mean":
        parts = [learn_calibration(table, name) for table, name in zip(dev, names, strict=True)]
        ratios = scores * [part.slope for part in parts] + [part.intercept for part in parts]
        return tables[0].with_scores(ratios.mean(axis=1)), [note for part in parts for note in part.findings]
    weights, intercept, found = fit_logistic_calibration(dev, names)
    findings = list(found)
    negative = [number for number, weight in enumerate(weights, start=1) if weight < 0]
    if negative:
        text = (
            f"Logistic fusion gives system {', '.join(map(str, negative))} a negative weight (weights "
            f"{', '.join(f'{weight:.3g}' for weight in weights)}): it corrects the others where they err alike, and "
            "may not on other trials. Compare with the fusion without it."
        )
        findings.append(make_finding("negative-weight", "warning", text, count=len(negative)))
    return tables[0].with_scores(scores @ np.array(weights) + intercept), findings


def _different_scales(scores: FloatArray) -> list[Finding]:
    deviations = scores.std(axis=0)
    if deviations.max() <= MAX_SCALE_RATIO * deviations.min():
        return []
    text = (
        f"The scores of the systems have standard deviations of {', '.join(f'{value:.3g}' for value in deviations)}: "
        "in a plain mean the widest decides nearly alone. Give dev scores, so that each is calibrated first."
    )
    return [make_finding("different-scales", "warning", text, count=scores.shape[1])]
