from __future__ import annotations

import pandas as pd
import pytest

from dfx.reporting.run_results import seen_unseen_eer
from dfx.tables.score_table import ScoreTable


def test_spoof_of_unknown_attack_is_neither_seen_nor_unseen():
    attack = ["-", "-", "A1", "A2", "-"]
    table = pd.DataFrame({"id": list("abcde"), "attack": attack, "label": [1, 1, 0, 0, 0]})
    scores = ScoreTable(table.assign(score=[2.0, 3.0, 0.0, 9.0, 9.0]))
    assert seen_unseen_eer(scores, {"-", "A1"}) == pytest.approx({"eer_seen": 0.0, "eer_unseen": 1.0})
    unknown = ScoreTable(scores.table[scores.table["attack"] == "-"])
    assert seen_unseen_eer(unknown, {"-"}) == {}
