"""The command on a published score file of ASVspoof 2019 LA gives the numbers of the organisers' own code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCORES = Path(__file__).parents[3] / "shared" / "data" / "scores"


@pytest.mark.skipif(not SCORES.is_dir(), reason="the published score files are not in ../shared/data/scores")
def test_golden_numbers(evaluate: Callable[..., dict[str, Any]]) -> None:
    found = evaluate(
        f"scores={SCORES / 'asvspoof2019_la_eval_cm_softmax.txt'}",
        f"asv={SCORES / 'asvspoof2019_la_eval_asv.txt'}",
    )
    (result,) = found["results"]
    values = {name: number["value"] for name, number in result["metrics"].items()}
    golden = {
        "eer": 0.05057773285300,
        "threshold": 0.994228482,
        "eer_interpolated": 0.05057783820530,
        "auc": 0.985349166571,
        "min_tdcf_2019": 0.120836818418,
        "min_tdcf_revised": 0.175989256106,
        "min_dcf": 0.114349047406,
        "act_dcf": 1.0,
        "cllr": 0.7921914596,
    }
    assert {name: values[name] for name in golden} == pytest.approx(golden, abs=1e-9)
    assert (result["bonafide"], result["spoof"]) == (7355, 63882)
    attacks = {name: number["value"] for name, number in result["by"]["attack"].items()}
    assert len(attacks) == 13
    assert attacks["A17"] == pytest.approx(0.234823, abs=1e-6)
