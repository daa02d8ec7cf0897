"""Answers: clip scores, decision rules, fake segments, and warnings about unlike input."""

import math

import numpy as np
import pytest

from dfx.detector.answers import (
    FAKE,
    REAL,
    UNSURE,
    ClipWindows,
    ThresholdChoice,
    answer_clip,
    clip_score,
    decision_rule,
    fake_segments,
)
from dfx.detector.input_statistics import DISTANCE, MEASURES, fit_embedding_space, fit_input_reference
from dfx.detector.operating_card import OperatingCard, read_operating_card


def windows(*scores, hop=1.0, seconds=2.0, voiced=None):
    starts = np.arange(len(scores)) * hop
    return ClipWindows(starts, seconds, np.array(scores, float), np.array(voiced or [True] * len(scores)))


def card(bonafide, spoof, threshold=0.0, slope=1.0, intercept=0.0):
    return OperatingCard(np.sort(bonafide).astype(float), np.sort(spoof).astype(float), threshold, slope, intercept)


OVERLAPPING = card(np.arange(0, 100), np.arange(-80, 20), threshold=10.0)
SEPARATED = card(np.arange(10, 110), np.arange(-100, 0), threshold=5.0)


def test_scores_of_windows_become_one():
    clip = windows(3, -1, 1, 5, voiced=[True, False, True, False])
    assert clip_score(clip) == 2
    assert clip_score(clip, "maximum") == -1
    assert clip_score(clip, "top_k", 2) == 0
    assert clip_score(clip, "top_k", 99) == 2
    assert clip_score(clip, "voiced") == 2
    with pytest.raises(ValueError, match="use one of mean"):
        clip_score(clip, "median")


def test_fake_parts_are_found_and_merged():
    found = fake_segments(windows(5, 5, -5, -5, -5, 5, 5), 0.0)
    # Windows of 2 s every second: a second is the mean of the two windows that hold it.
    assert [(one.start_seconds, one.end_seconds) for one in found] == [(2.0, 6.0)]
    assert found[0].score == pytest.approx((0 - 5 - 5 + 0) / 4)
    assert fake_segments(windows(5, 5), 0.0) == ()
    assert [tuple(one)[:2] for one in fake_segments(windows(-5, -5), 0.0)] == [(0.0, 3.0)]
    assert fake_segments(windows(-5, -5), math.nan) == ()
    many = fake_segments(windows(*([-5, 5] * 10_000), hop=2.0), 0.0)
    assert len(many) == 10_000


def test_the_unsure_band_holds_what_would_be_wrong_too_often():
    rule = decision_rule([OVERLAPPING], ThresholdChoice(), "x")
    assert (rule.threshold, rule.source) == (10.0, "EER on dev")
    # 5 of 100 bona fide scores are at or below the lower limit, 5 of 100 spoof scores above the upper one.
    assert (np.sum(OVERLAPPING.bonafide <= rule.low), np.sum(OVERLAPPING.spoof > rule.high)) == (5, 5)
    assert [rule.predict(score) for score in (rule.low, 10.0, rule.high, rule.high + 1)] == [FAKE, UNSURE, UNSURE, REAL]
    sharp = decision_rule([SEPARATED], ThresholdChoice(), "x")
    assert sharp.low == sharp.high == sharp.threshold == 5.0


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.999])
def test_a_false_alarm_rate_is_kept_on_dev(rate):
    rule = decision_rule([OVERLAPPING], ThresholdChoice(false_alarm=rate), "x")
    assert np.mean(OVERLAPPING.bonafide <= rule.threshold) == pytest.approx(math.floor(100 * rate) / 100)


def test_a_threshold_of_the_user_is_unsure_where_dev_would_be_wrong():
    outliers = card(np.concatenate([[-60.0] * 3, np.arange(10, 107)]), np.arange(-100, -4), threshold=2.0)
    rule = decision_rule([outliers], ThresholdChoice(false_alarm=0.01), "x")
    assert rule.predict(-20.0) == UNSURE  # most spoof trials are above the threshold
    assert np.mean(outliers.spoof > rule.high) <= 0.05
    given = decision_rule([SEPARATED], ThresholdChoice(threshold=-90.0), "x")
    assert (given.predict(-95.0), given.predict(-50.0), given.predict(5.0)) == (FAKE, UNSURE, REAL)


def test_tied_scores_keep_the_false_alarm_rate():
    tied = card([1.0] * 50 + [2.0] * 50, np.arange(-50, 0), threshold=0.5)
    rule = decision_rule([tied], ThresholdChoice(false_alarm=0.01), "x")
    assert np.mean(tied.bonafide <= rule.threshold) == 0


def test_windows_side_by_side_are_one_segment():
    size = round(0.7 * 16000)
    clip = ClipWindows(np.arange(200) * size / 16000, size / 16000, np.full(200, -5.0), np.ones(200, bool))
    (found,) = fake_segments(clip, 0.0)
    assert (found.start_seconds, found.end_seconds) == pytest.approx((0.0, 140.0))


def test_costs_and_priors_give_the_bayes_threshold():
    scaled = card([1, 2, 3], [-1, -2, -3], slope=2.0, intercept=0.5)
    rule = decision_rule([scaled], ThresholdChoice(c_miss=1, c_fa=10, p_spoof=0.05), "x")
    assert rule.threshold == pytest.approx(math.log(10 * 0.05 / 0.95))
    assert rule.fake_probability(math.log(0.05 / 0.95)) == pytest.approx(0.5)
    assert decision_rule([scaled], ThresholdChoice(), "x").fake_probability(0.0) == pytest.approx(0.5)


def test_detectors_are_averaged():
    rule = decision_rule([SEPARATED, card(np.arange(10, 110), np.arange(-100, 0), 7.0)], ThresholdChoice(), "x")
    assert rule.threshold == pytest.approx(6.0)
    assert rule.source == "mean of the detectors' own thresholds: EER on dev"
    with pytest.raises(ValueError, match="no operating card"):
        decision_rule([SEPARATED, None], ThresholdChoice(), "x")
    with pytest.raises(ValueError, match="allows no calibration"):
        decision_rule([SEPARATED, card([1], [0], slope=None)], ThresholdChoice(), "x")


def test_a_detector_that_guesses_says_so_with_every_answer():
    random = np.random.default_rng(0)
    guesses = card(random.normal(size=50), random.normal(size=50), threshold=0.0)
    rule = decision_rule([guesses], ThresholdChoice(), "lcnn")
    answer = answer_clip("a.wav", 3.0, windows(9, 9), 9.0, rule, [], {"loudness": -20.0})
    assert answer.prediction == UNSURE
    assert "lcnn cannot be told from chance on its own dev split" in answer.warnings[0]


def test_silence_and_unlike_input_are_unsure():
    rule = decision_rule([SEPARATED], ThresholdChoice(), "x")
    usual = answer_clip("a.wav", 3.0, windows(9, 9), 9.0, rule, [], {"loudness": -20.0})
    assert (usual.prediction, usual.warnings) == (REAL, ())
    silent = answer_clip("a.wav", 3.0, windows(9, 9), 9.0, rule, [], {"loudness": -90.0})
    unlike = answer_clip("a.wav", 3.0, windows(9, 9), 9.0, rule, ["bandwidth 3400 Hz"], {"loudness": -20.0})
    assert (silent.prediction, unlike.prediction) == (UNSURE, UNSURE)
    assert "silent (-90 dBFS)" in silent.warnings[0]
    assert "bandwidth 3400 Hz" in unlike.warnings[0]


@pytest.fixture
def reference():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(400, 8))
    bonafide = np.arange(400) % 2 == 0
    vectors[bonafide] += 3
    space = fit_embedding_space(vectors, bonafide)
    clips = [dict(zip(MEASURES, random.normal(size=len(MEASURES)), strict=True)) for _ in range(400)]
    for clip, distance in zip(clips, space.distance(vectors), strict=True):
        clip["bandwidth"] = 7900 + 20 * clip["bandwidth"]
        clip[DISTANCE] = float(distance)
    return clips, fit_input_reference(clips, space)


def test_five_percent_of_dev_are_unlike_dev(reference):
    clips, fitted = reference
    assert sum(bool(fitted.deviations(clip)) for clip in clips) == pytest.approx(20, abs=1)


def test_other_input_is_unlike_dev(reference):
    clips, fitted = reference
    narrow = clips[0] | {"bandwidth": 3400.0}
    assert next(iter(fitted.deviations(narrow))).name == "bandwidth"
    assert "bandwidth" in str(fitted.deviations(narrow)[0])
    assert fitted.space.distance(np.full((1, 8), 30.0))[0] > 5 * fitted.ranges[DISTANCE][2]
    assert fit_input_reference(clips[:10], None) is None
    assert fit_embedding_space(np.zeros((400, 8)), np.arange(400) % 2 == 0) is None


def test_a_codec_that_dev_has_not_is_unlike_dev(reference):
    clips, _ = reference
    fitted = fit_input_reference(clips, None, ["lossless", "vorbis", "lossless"])
    assert fitted.unlike_coding("mp3") == "coding mp3 (dev: lossless, vorbis)"
    assert fitted.unlike_coding("vorbis") == fitted.unlike_coding("") == ""
    only_mp3 = fit_input_reference(clips, None, ["mp3"])
    assert only_mp3.unlike_coding("lossless") == "coding lossless (dev: mp3)"
    assert fit_input_reference(clips, None).unlike_coding("mp3") == ""  # the codecs of dev are not known


def test_a_card_is_the_same_after_a_file(reference, tmp_path):
    _, fitted = reference
    whole = OperatingCard(np.array([1.0, 2.0]), np.array([-1.0]), 0.5, 2.0, 0.1, fitted)
    again = read_operating_card(whole.to_dict(), tmp_path)
    assert again.llr(3.0) == whole.llr(3.0)
    assert again.reference.limit == fitted.limit
    assert again.reference.space.distance(np.ones((1, 8)))[0] == pytest.approx(
        fitted.space.distance(np.ones((1, 8)))[0], rel=1e-5
    )
    assert read_operating_card(None, tmp_path) is None
    for damage in (
        {"version": 9},
        {"slope": -1.0},
        {"spoof": []},
        {"bonafide": [math.nan]},
        {"threshold": "x"},
        {"threshold": 10**400},
        {"reference": whole.to_dict()["reference"] | {"limit": math.inf}},
        {"reference": whole.to_dict()["reference"] | {"centres": [[math.nan] * 8] * 2}},
        {"reference": whole.to_dict()["reference"] | {"directions": [0.0] * 8}},
        {"reference": {"ranges": {}}},
        {"reference": whole.to_dict()["reference"] | {"codings": "mp3"}},
        {"reference": whole.to_dict()["reference"] | {"codings": ["\x1b[2J"]}},
        {"reference": whole.to_dict()["reference"] | {"centres": [[0.0]]}},
    ):
        with pytest.raises(ValueError, match=r"operating card of .* cannot be read"):
            read_operating_card(whole.to_dict() | damage, tmp_path)
    for junk in ("{", "[]", [], 3, "[" * 100_000):
        with pytest.raises(ValueError, match=r"operating card of .* cannot be read"):
            read_operating_card(junk, tmp_path)
