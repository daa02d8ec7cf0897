from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dfx.metrics import act_dcf, auc, calibrate, cllr, eer, fuse, min_cllr, min_dcf
from dfx.tables.score_table import ScoreTable

BONAFIDE, SPOOF = 1500, 6000


def table(scores: np.ndarray, labels: np.ndarray, order: np.ndarray | None = None) -> ScoreTable:
    frame = pd.DataFrame({"id": [f"u{number}" for number in range(len(scores))], "attack": "-"})
    frame = frame.assign(label=labels, score=scores, codec="x")
    return ScoreTable(frame if order is None else frame.iloc[order])


def simulated(seed: int, distance: float = 2.0, num: tuple[int, int] = (BONAFIDE, SPOOF)) -> ScoreTable:
    """Gaussian scores, scaled and shifted: `distance` standard deviations between the classes."""
    labels = np.repeat([1, 0], num)
    scores = np.random.default_rng(seed).normal(size=len(labels)) + distance * labels
    return table(0.01 * scores - 7, labels)


def rates(scored: ScoreTable) -> tuple[float, float]:
    return eer(scored.bonafide, scored.spoof)[0], auc(scored.bonafide, scored.spoof)


def test_calibration_keeps_the_order_and_makes_ratios_of_scores() -> None:
    dev, other = simulated(0), simulated(1)
    calibration = calibrate(dev)
    on_dev, on_other = calibration.apply(dev), calibration.apply(other)
    assert calibration.findings == ()
    assert rates(on_dev) == rates(dev)
    assert rates(on_other) == rates(other)
    assert cllr(on_dev.bonafide, on_dev.spoof) < cllr(dev.bonafide, dev.spoof)
    for part in (on_dev, on_other):
        assert cllr(part.bonafide, part.spoof) == pytest.approx(min_cllr(part.bonafide, part.spoof), abs=0.02)
        least = min_dcf(part.bonafide, part.spoof)
        assert least <= act_dcf(part.bonafide, part.spoof) < least + 0.03
    # two Gaussians of one deviation: the ratio is a straight line of slope distance / deviation through the middle
    assert calibration.slope == pytest.approx(2 / 0.01, rel=0.05)
    assert -calibration.intercept / calibration.slope == pytest.approx(-7 + 0.01, abs=0.001)
    assert list(on_dev.table["codec"].unique()) == ["x"]


def test_the_proportion_of_the_classes_does_not_move_a_ratio() -> None:
    few = calibrate(simulated(0, num=(1500, 1500)))
    many = calibrate(simulated(0, num=(1500, 30000)))
    zero = -7 + 0.01  # the middle between the classes
    assert few.slope * zero + few.intercept == pytest.approx(0, abs=0.1)
    assert many.slope * zero + many.intercept == pytest.approx(0, abs=0.1)


def test_classes_weigh_the_same_however_few_trials_one_has() -> None:
    dev = simulated(0, distance=1.0, num=(12, 1000))
    probability = 1 / (1 + np.exp(-calibrate(dev).apply(dev).table["score"]))
    assert probability.groupby(dev.table["label"]).mean().sum() == pytest.approx(1, abs=1e-6)


def test_the_scale_and_the_order_of_the_trials_do_not_matter() -> None:
    dev = simulated(0)
    order = np.random.default_rng(5).permutation(len(dev))
    first, again = calibrate(dev), calibrate(ScoreTable(dev.table.iloc[order]))
    assert (first.slope, first.intercept) == (again.slope, again.intercept)
    scaled = ScoreTable(dev.table.assign(score=dev.table["score"] * 1e6))
    expected = first.apply(dev).table["score"]
    np.testing.assert_allclose(calibrate(scaled).apply(scaled).table["score"], expected, atol=1e-6)


def test_a_dev_set_without_errors_is_bounded_and_told() -> None:
    labels = np.repeat([1, 0], [20, 50])
    dev = table(labels + np.random.default_rng(0).uniform(0, 0.1, 70), labels)
    calibration = calibrate(dev)
    scores = calibration.apply(dev).table["score"]
    assert calibration.slope > 0
    assert np.abs(scores).max() < 1.5 * np.log(51)
    assert [finding.kind for finding in calibration.findings] == ["separated"]
    assert "The 70 dev trials are separated without an error by the system" in calibration.findings[0].text


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        (
            -np.repeat([1.0, 0.0], 50) + np.linspace(0, 1, 100),
            "AUC of the system on dev .* the wrong way round",
        ),
        (np.ones(100), "All 100 dev scores of the system are alike"),
        (
            np.r_[np.linspace(0, 1, 50) - 0.02, np.linspace(0, 1, 50)],
            "found a slope of -.*, where the AUC is 0.490 .* dfx does not turn",
        ),
    ],
)
def test_scores_that_do_not_rank_are_not_calibrated(scores: np.ndarray, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        calibrate(table(scores, np.repeat([1, 0], 50)))


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
    assert rates(fused)[0] < min(rates(system)[0] for system in tested) - 0.03
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
