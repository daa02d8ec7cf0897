from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dfx.metrics import cllr, eer, fuse, min_cllr
from dfx.tables.score_table import ScoreTable


def table(scores: np.ndarray, labels: np.ndarray, order: np.ndarray | None = None) -> ScoreTable:
    frame = pd.DataFrame({"id": [f"u{number}" for number in range(len(scores))], "attack": "-"})
    frame = frame.assign(label=labels, score=scores, codec="x")
    return ScoreTable(frame if order is None else frame.iloc[order])


def equal_error_rate(scored: ScoreTable) -> float:
    return eer(scored.bonafide, scored.spoof)[0]


def systems(seed: int) -> list[ScoreTable]:
    """Two systems of independent noise, the second much wider and in another order of trials."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [600, 1200])
    noise = rng.normal(size=(2, len(labels)))
    return [
        table(noise[0] + 1.6 * labels, labels),
        table(50 * (noise[1] + 1.4 * labels), labels, rng.permutation(len(labels))),
    ]


@pytest.mark.parametrize("method", ["logistic", "mean"])
def test_two_independent_systems_beat_each(method: str) -> None:
    dev, tested = systems(0), systems(1)
    fused, findings = fuse(tested, method, dev)
    assert findings == []
    assert equal_error_rate(fused) < min(equal_error_rate(system) for system in tested) - 0.03
    assert fused.table["id"].tolist() == tested[0].table["id"].tolist()
    assert fused.trials_hash == tested[1].trials_hash
    if method == "logistic":
        assert cllr(fused.bonafide, fused.spoof) == pytest.approx(
            min_cllr(fused.bonafide, fused.spoof), abs=0.04
        )
    turned, _ = fuse(
        [ScoreTable(system.table.iloc[::-1]) for system in tested],
        method,
        [ScoreTable(d.table.iloc[::-1]) for d in dev],
    )
    pd.testing.assert_series_equal(
        turned.table.set_index("id")["score"][::-1], fused.table.set_index("id")["score"]
    )


def test_eval_decides_nothing() -> None:
    dev, tested = systems(0), systems(1)
    wrong = [ScoreTable(system.table.assign(label=1 - system.table["label"])) for system in tested]
    expected = fuse(tested, "logistic", dev)[0].table["score"]
    np.testing.assert_array_equal(fuse(wrong, "logistic", dev)[0].table["score"], expected)


def test_without_dev_the_mean_is_of_raw_scores_and_scales_are_told() -> None:
    first, second = systems(0)
    fused, findings = fuse([first, second], "mean")
    expected = first.table.set_index("id")["score"] / 2 + second.table.set_index("id")["score"] / 2
    np.testing.assert_allclose(fused.table["score"], expected[fused.table["id"]])
    assert [finding.kind for finding in findings] == ["different-scales"]
    assert "in a plain mean the widest decides nearly alone" in findings[0].text
    assert fuse([first, first], "mean")[1] == []


def test_a_negative_weight_is_told() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], 500)
    noise = rng.normal(size=1000)
    good = table(1.0 * labels + noise, labels)
    echo = table(0.2 * labels + noise + 0.5 * rng.normal(size=1000), labels)  # mostly the noise of the first
    findings = fuse([good, echo], "logistic", [good, echo])[1]
    assert [finding.kind for finding in findings] == ["negative-weight"]
    assert "gives system 2 a negative weight" in findings[0].text


@pytest.mark.parametrize(
    ("change", "method", "sentence"),
    [
        (lambda a, b: ([a], None), "mean", "needs two systems at least, got 1"),
        (lambda a, b: ([a, b], None), "median", "no fusion 'median': use logistic or mean"),
        (lambda a, b: ([a, b], None), "logistic", "learns on dev, got no dev scores"),
        (lambda a, b: ([a, b], [a]), "logistic", "2 systems and 1 tables of dev"),
        (
            lambda a, b: ([a, ScoreTable(b.table[1:])], None),
            "mean",
            "1 and 2 hold different trials: 1800 and 1799",
        ),
        (
            lambda a, b: ([a, ScoreTable(b.table.assign(label=1 - b.table["label"]))], None),
            "mean",
            "1 and 2 have different labels for 'u0', 'u1'",
        ),
        (
            lambda a, b: ([a, b], [a, ScoreTable(b.table.assign(score=-b.table["score"]))]),
            "logistic",
            "AUC of system 2 on dev .* the wrong way round",
        ),
        (
            lambda a, b: ([a, b], [a, ScoreTable(b.table.assign(score=1.0))]),
            "mean",
            "All 1800 dev scores of system 2 are alike",
        ),
    ],
)
def test_what_cannot_be_fused_gives_a_sentence(change: object, method: str, sentence: str) -> None:
    tables, dev = change(*systems(0))  # type: ignore[operator]
    with pytest.raises(ValueError, match=sentence):
        fuse(tables, method, dev)
