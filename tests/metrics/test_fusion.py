import numpy as np
import pandas as pd
import pytest

from dfx.metrics import cllr, eer, fuse_scores, min_cllr
from dfx.tables.score_table import ScoreTable


def table(scores, labels):
    ids = [f"u{number}" for number in range(len(scores))]
    return ScoreTable(pd.DataFrame({"id": ids, "attack": "-", "label": labels, "score": scores}))


def equal_error_rate(scored):
    return eer(scored.bonafide, scored.spoof)[0]


def systems(seed):
    """Two systems of independent noise, the second much wider and in another order of trials."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [600, 1200])
    noise = rng.normal(size=(2, len(labels)))
    second = table(50 * (noise[1] + 1.4 * labels), labels)
    order = rng.permutation(len(labels))
    return [table(noise[0] + 1.6 * labels, labels), ScoreTable(second.table.iloc[order])]


@pytest.mark.parametrize("method", ["logistic", "mean"])
def test_two_independent_systems_beat_each(method):
    dev, tested = systems(0), systems(1)
    fused, findings = fuse_scores(tested, method, dev)
    assert findings == []
    assert equal_error_rate(fused) < min(equal_error_rate(system) for system in tested) - 0.03
    assert fused.table["id"].tolist() == tested[0].table["id"].tolist()
    assert fused.trials_hash == tested[1].trials_hash
    if method == "logistic":
        least = min_cllr(fused.bonafide, fused.spoof)
        assert cllr(fused.bonafide, fused.spoof) == pytest.approx(least, abs=0.04)
    reversed_rows = [[ScoreTable(one.table.iloc[::-1]) for one in tables] for tables in (tested, dev)]
    again, _ = fuse_scores(reversed_rows[0], method, reversed_rows[1])
    pd.testing.assert_frame_equal(again.table[::-1].reset_index(drop=True), fused.table)


def test_eval_decides_nothing():
    dev, tested = systems(0), systems(1)
    wrong = [ScoreTable(system.table.assign(label=1 - system.table["label"])) for system in tested]
    expected = fuse_scores(tested, "logistic", dev)[0].table["score"]
    np.testing.assert_array_equal(fuse_scores(wrong, "logistic", dev)[0].table["score"], expected)


def test_without_dev_the_mean_is_of_raw_scores_and_scales_are_told():
    first, second = systems(0)
    fused, findings = fuse_scores([first, second], "mean")
    expected = first.table.set_index("id")["score"] / 2 + second.table.set_index("id")["score"] / 2
    np.testing.assert_allclose(fused.table["score"], expected[fused.table["id"]])
    assert [finding.kind for finding in findings] == ["different-scales"]
    assert "in a plain mean the widest decides nearly alone" in findings[0].text
    assert fuse_scores([first, first], "mean")[1] == []


def test_a_negative_weight_is_told():
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], 500)
    noise = rng.normal(size=1000)
    good = table(1.0 * labels + noise, labels)
    echo = table(0.2 * labels + noise + 0.5 * rng.normal(size=1000), labels)  # mostly the noise of the first
    findings = fuse_scores([good, echo], "logistic", [good, echo])[1]
    assert [finding.kind for finding in findings] == ["negative-weight"]
    assert "gives system 2 a negative weight" in findings[0].text


def changed(system, **columns):
    return ScoreTable(system.table.assign(**columns))


FIRST, SECOND = systems(0)
BOTH = [FIRST, SECOND]
OTHER_LABELS = changed(SECOND, label=1 - SECOND.table["label"])
NEGATED = changed(SECOND, score=-SECOND.table["score"])


@pytest.mark.parametrize(
    ("tables", "dev", "method", "sentence"),
    [
        (BOTH, None, "logistic", "learns on dev, got no dev scores"),
        ([FIRST, ScoreTable(SECOND.table[1:])], None, "mean", "hold different trials: 1800 and 1799, and 'u"),
        ([FIRST, OTHER_LABELS], None, "mean", "1 and 2 have different labels for 'u0', 'u1'"),
        (BOTH, [FIRST, NEGATED], "logistic", "AUC of system 2 on dev .* the wrong way round"),
        (BOTH, [FIRST, changed(SECOND, score=1.0)], "mean", "All 1800 dev scores of system 2 are alike"),
    ],
)
def test_what_cannot_be_fused_is_an_error(tables, dev, method, sentence):
    with pytest.raises(ValueError, match=sentence):
        fuse_scores(tables, method, dev)
