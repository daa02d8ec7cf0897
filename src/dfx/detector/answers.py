"""Answer of a detector about a clip: score, probability of fake, prediction, fake segments and warnings.

Scores of windows become one score of the clip, and a decision rule from dev makes the prediction. A prediction is
UNSURE between the limits of the rule, for input that is unlike dev, and if dev itself was not told from chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfx.detector.operating_card import OperatingCard
from dfx.metrics import posterior

Scores = NDArray[np.float64]

REAL, FAKE, UNSURE, NO_ANSWER = "REAL", "FAKE", "UNSURE", ""
UNSURE_CAUSES = ("silent", "unlike dev", "chance on dev", "between the limits")
AGGREGATES = ("mean", "maximum", "top_k", "voiced")
SILENT_DBFS = -70.0  # RMS level below which a clip holds no speech


class ClipWindows(NamedTuple):
    """Windows of a clip and their scores.

    Attributes:
        starts: (windows,) in seconds.
        seconds: length of a window; of the clip, if that is shorter.
        scores: (windows,) log-likelihood ratios, or plain scores of a detector without calibration.
        voiced: (windows,) whether a window holds sound near the level of the clip.
    """

    starts: Scores
    seconds: float
    scores: Scores
    voiced: NDArray[np.bool_]


class ClipSegment(NamedTuple):
    """Part of a clip whose scores are at or below the threshold: start and end in seconds, mean score."""

    start_seconds: float
    end_seconds: float
    score: float


@dataclass(frozen=True)
class DecisionRule:
    """Rule that turns the score of a clip into a prediction.

    Attributes:
        threshold: FAKE at or below, REAL above.
        low: end of FAKE; between `low` and `high` the answer is unsure.
        high: start of REAL.
        calibrated: whether scores are log-likelihood ratios.
        p_spoof: prior probability of fake, for `fake_probability`.
        source: origin of the threshold, for people.
        tells_nothing: whether the detector cannot be told from chance on dev.
        warnings: that go with every answer.
    """

    threshold: float
    low: float
    high: float
    calibrated: bool
    p_spoof: float
    source: str
    tells_nothing: bool = False
    warnings: tuple[str, ...] = ()

    def predict(self, score: float) -> str:
        """Return REAL, FAKE or UNSURE for the score of a clip; NO_ANSWER without a threshold."""
        if math.isnan(self.threshold):
            return NO_ANSWER
        if self.tells_nothing:
            return UNSURE
        return FAKE if score <= self.low else REAL if score > self.high else UNSURE

    def fake_probability(self, score: float) -> float:
        """Return the probability of fake of a score; NaN without calibration."""
        if not self.calibrated:
            return math.nan
        return 1.0 - float(posterior(np.array(score), 1 - self.p_spoof, self.p_spoof))


class ThresholdChoice(NamedTuple):
    """User's choice of the threshold: a score, a false-alarm rate, or costs; without any, the EER threshold of dev.

    Attributes:
        threshold: score of the decision; log-likelihood ratio if the detector is calibrated.
        false_alarm: share of bona fide dev trials that may be called fake.
        c_miss: cost of calling bona fide fake.
        c_fa: cost of calling fake bona fide.
        p_spoof: prior probability of fake.
    """

    threshold: float | None = None
    false_alarm: float | None = None
    c_miss: float | None = None
    c_fa: float | None = None
    p_spoof: float = 0.5


def decision_rule(cards: Sequence[OperatingCard | None], choice: ThresholdChoice, name: str) -> DecisionRule:
    """Make the decision rule of a detector, or of several whose log-likelihood ratios are averaged.

    Args:
        cards: of each detector.
        choice: wanted operating point.
        name: of the detector, for messages.

    Raises:
        ValueError: if the choice contradicts itself or needs what the cards do not have.
    """
    _check_choice(choice)
    known = [card for card in cards if card is not None]
    if len(known) < len(cards):
        if len(cards) > 1 or choice.false_alarm is not None or choice.c_miss is not None:
            raise ValueError(
                f"{name} has no operating card: no dev scores to choose a threshold, or to fuse it with others. Train "
                "or export it again with this version of dfx, or give threshold=SCORE."
            )
        given = math.nan if choice.threshold is None else choice.threshold
        warning = (
            f"{name} has no operating card, as an earlier version of dfx made it: its scores are not calibrated"
            + (
                ", and without threshold=SCORE there is no prediction. Train it again."
                if choice.threshold is None
                else "."
            )
        )
        return DecisionRule(given, given, given, False, choice.p_spoof, "given", warnings=(warning,))
    calibrated = all(card.slope is not None for card in known)
    if not calibrated and len(known) > 1:
        raise ValueError(f"{name}: dev allows no calibration of one of these detectors; leave it out of the fusion.")
    warnings = [
        f"{name} cannot be told from chance on its own dev split (AUC {card.auc:.2f}): its answers mean nothing."
        for card in known
        if card.tells_nothing
    ]
    raw = [_raw_threshold(card, choice) for card in known]
    limits = [(one, *card.unsure_band(one)) for card, one in zip(known, raw, strict=True)]
    if calibrated:
        limits = [tuple(card.llr(value) for value in one) for card, one in zip(known, limits, strict=True)]  # type: ignore[misc]
    threshold, low, high = np.mean(limits, axis=0).tolist()
    if choice.threshold is not None:
        threshold, low, high = choice.threshold, min(low, choice.threshold), max(high, choice.threshold)
    source = _source(choice) if len(known) == 1 or choice.threshold is not None else _source_of_several(choice)
    return DecisionRule(threshold, low, high, calibrated, choice.p_spoof, source, bool(warnings), tuple(warnings))


def _check_choice(choice: ThresholdChoice) -> None:
    costs = [cost for cost in (choice.c_miss, choice.c_fa) if cost is not None]
    if len(costs) == 1 or not all(0 < cost < math.inf for cost in costs):
        raise ValueError(f"Costs are two positive numbers, got c_miss={choice.c_miss}, c_fa={choice.c_fa}: give both.")
    if choice.threshold is not None and not math.isfinite(choice.threshold):
        raise ValueError(f"threshold={choice.threshold}: it is a number, the score at or below which a clip is fake.")
    if not 0 < choice.p_spoof < 1:
        raise ValueError(f"p_spoof={choice.p_spoof}: the prior probability of fake lies between 0 and 1.")
    if choice.false_alarm is not None and not 0 <= choice.false_alarm < 1:
        raise ValueError(f"false_alarm={choice.false_alarm}: it is a share of bona fide recordings, from 0 to 1.")
    if sum(one is not None for one in (choice.threshold, choice.false_alarm, choice.c_miss)) > 1:
        raise ValueError("threshold, false_alarm and c_miss with c_fa each choose the threshold: give one of them.")


def _raw_threshold(card: OperatingCard, choice: ThresholdChoice) -> float:
    if choice.threshold is not None:
        return choice.threshold if card.slope is None else card.llr_threshold(choice.threshold)
    if choice.false_alarm is not None:
        return card.false_alarm_threshold(choice.false_alarm)
    if choice.c_miss is not None and choice.c_fa is not None:
        odds = choice.p_spoof / (1 - choice.p_spoof)
        return card.llr_threshold(math.log(choice.c_fa / choice.c_miss * odds))
    return card.threshold


def _source(choice: ThresholdChoice) -> str:
    if choice.threshold is not None:
        return "given"
    if choice.false_alarm is not None:
        return f"{100 * choice.false_alarm:g} % of bona fide dev trials are called fake"
    if choice.c_miss is not None:
        return f"costs {choice.c_miss:g} and {choice.c_fa:g}, prior of fake {choice.p_spoof:g}"
    return "EER on dev"


def _source_of_several(choice: ThresholdChoice) -> str:
    # Their trials are not known, so the error rates of the mean are not those of the detectors.
    return f"mean of the detectors' own thresholds: {_source(choice)}"


@dataclass(frozen=True)
class ClipAnswer:
    """Answer about one clip.

    Attributes:
        path: the file, as it was named.
        reason: why it has no answer; empty for a clip with one.
        duration_seconds: length of the clip.
        prediction: REAL, FAKE or UNSURE; empty if there is no threshold.
        score: log-likelihood ratio (nats) of bona fide to fake, or the plain score of a detector without calibration.
        fake_probability: at the prior of the rule; NaN without calibration.
        windows: scores over time.
        segments: fake parts of the clip.
        warnings: sentences for the user.
        measures: of the waveform, `input_statistics.MEASURES`.
        overview: what the caller computed of the waveform, for a picture.
        unsure: why the answer is UNSURE, one of `UNSURE_CAUSES`; empty for another answer.
        coding: codec of the file (`AudioInfo.coding`); empty if it is not known.
        distance: of the embedding from dev; None if the network gives none. Of the first detector, as `coordinates`.
        coordinates: of the embedding, see `input_statistics.EmbeddingSpace`.
    """

    path: str
    reason: str = ""
    duration_seconds: float = math.nan
    prediction: str = NO_ANSWER
    score: float = math.nan
    fake_probability: float = math.nan
    windows: ClipWindows | None = None
    segments: tuple[ClipSegment, ...] = ()
    warnings: tuple[str, ...] = ()
    measures: dict[str, float] = field(default_factory=dict)
    overview: Any = None
    unsure: str = ""
    coding: str = ""
    distance: float | None = None
    coordinates: tuple[float, ...] = ()


def clip_score(windows: ClipWindows, aggregate: str = "mean", top_k: int = 3) -> float:
    """Compute the score of a clip from the scores of its windows.

    Args:
        windows: with their scores.
        aggregate: `mean`; `maximum`: the most fake window; `top_k`: mean of the `top_k` most fake windows; `voiced`:
            mean of the windows that hold sound.
        top_k: number of windows for `top_k`.

    Raises:
        ValueError: if `aggregate` is unknown, or `top_k` below 1.
    """
    scores = np.sort(windows.scores)
    if aggregate == "mean":
        return float(scores.mean())
    if aggregate == "maximum":
        return float(scores[0])
    if aggregate == "top_k":
        if top_k < 1:
            raise ValueError(f"top_k={top_k}: it is a number of windows, 1 or more.")
        return float(scores[:top_k].mean())
    if aggregate == "voiced":
        chosen = windows.scores[windows.voiced] if windows.voiced.any() else windows.scores
        return float(chosen.mean())
    raise ValueError(f"aggregate={aggregate!r}: use one of {', '.join(AGGREGATES)}.")


def fake_segments(windows: ClipWindows, threshold: float) -> tuple[ClipSegment, ...]:
    """Find the parts of a clip whose score is at or below the threshold.

    The score of a moment is the mean over the windows that hold it.
    """
    if math.isnan(threshold):
        return ()
    # Rounded, or the end of a window would differ from the start of the next one in its last bit.
    starts, ends = windows.starts.round(6), (windows.starts + windows.seconds).round(6)
    edges = np.unique(np.concatenate([starts, ends]))
    first, last = np.searchsorted(edges, starts), np.searchsorted(edges, ends)
    sums, counts = np.zeros(len(edges)), np.zeros(len(edges))
    np.add.at(sums, first, windows.scores)
    np.add.at(sums, last, -windows.scores)
    np.add.at(counts, first, 1)
    np.add.at(counts, last, -1)
    covered = np.cumsum(counts)[:-1]
    level = np.divide(np.cumsum(sums)[:-1], covered, out=np.full(len(covered), np.inf), where=covered > 0)
    below = np.concatenate([[False], level <= threshold, [False]])
    turns = np.flatnonzero(below[1:] != below[:-1])
    lengths = np.diff(edges)
    return tuple(
        ClipSegment(
            float(edges[begin]), float(edges[end]), float(np.average(level[begin:end], weights=lengths[begin:end]))
        )
        for begin, end in zip(turns[::2], turns[1::2], strict=True)
    )


def answer_clip(
    path: str,
    duration_seconds: float,
    windows: ClipWindows,
    score: float,
    rule: DecisionRule,
    unlike: Sequence[str],
    measures: dict[str, float],
    overview: Any = None,
) -> ClipAnswer:
    """Make the answer about a clip from its score and the scores of its windows.

    Args:
        path: of the clip, as it was named.
        duration_seconds: its length.
        windows: their scores.
        score: of the clip (`clip_score`).
        rule: threshold and limits.
        unlike: measures that are unlike the dev split, as text.
        measures: of the waveform.
        overview: passed on.
    """
    prediction = rule.predict(score)
    unsure = ("chance on dev" if rule.tells_nothing else "between the limits") if prediction == UNSURE else ""
    warnings = list(rule.warnings)
    if measures and measures["loudness"] < SILENT_DBFS:
        warnings.append(f"The clip is silent ({measures['loudness']:.0f} dBFS): there is nothing to judge.")
        prediction, unsure = UNSURE, "silent"
    elif unlike:
        warnings.append(f"Unlike the dev data of the detector: {'; '.join(unlike)}.")
        prediction, unsure = UNSURE, "unlike dev"
    segments = fake_segments(windows, rule.threshold)
    probability = rule.fake_probability(score)
    return ClipAnswer(
        path,
        "",
        duration_seconds,
        prediction,
        score,
        probability,
        windows,
        segments,
        tuple(warnings),
        measures,
        overview,
        unsure,
    )


def headline(answer: ClipAnswer) -> str:
    """Describe the answer in a few words: `FAKE, probability of fake 98.0 %`."""
    word = {REAL: "real", FAKE: "FAKE"}.get(answer.prediction, answer.prediction.lower() or "no threshold")
    if np.isfinite(answer.fake_probability):
        return f"{word}, probability of fake {probability_text(answer.fake_probability)}"
    return f"{word}, score {answer.score:.3f}"


def probability_text(probability: float) -> str:
    """Format a probability as percent, never as 0 % or 100 %."""
    if probability > 0.999:
        return "> 99.9 %"
    if probability < 0.001:
        return "< 0.1 %"
    return f"{100 * probability:.1f} %"
