"""Answers as HTML for the page: verdict, probability, unsure band, warnings, score over time, audio statistics."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape as escaped
from typing import Any

from dfx.app.analysis import FileAnswer
from dfx.app.file_check import FileLimits
from dfx.app.live import LiveAnswer, LiveRecording
from dfx.detector.answers import FAKE, NO_ANSWER, REAL, UNSURE, ClipAnswer, DecisionRule, probability_text
from dfx.detector.detection_system import DetectionSystem
from dfx.reporting.figures.clip import SIZE, clip_picture

VERDICTS = {  # word, meaning, style
    REAL: ("BONA FIDE", "genuine speech", "real"),
    FAKE: ("SPOOF", "fake speech", "fake"),
    UNSURE: ("UNSURE", "no decision", "unsure"),
    NO_ANSWER: ("NO VERDICT", "the detector has no threshold", "unsure"),
}
NARROW_SIZE = (4.2, 5.6)  # inches of a figure
PHONE_PIXELS = 640
DRAWN_LLR = 8.0  # range of the live curve on either side of 0


def file_html(systems: Sequence[DetectionSystem], answer: FileAnswer) -> str:
    """Return the answers of all detectors about a file."""
    verdicts = "".join(
        _verdict_html(system.rule, one, system.name if len(systems) > 1 else "")
        for system, one in zip(systems, answer.answers, strict=True)
    )
    player = answer.answers[0].overview.player
    sound = ""
    if player:
        data = base64.b64encode(player).decode()
        sound = f'<audio controls src="data:audio/ogg;base64,{data}"></audio>'
    figures = "".join(
        _figure_html(system, one, len(systems) > 1) for system, one in zip(systems, answer.answers, strict=True)
    )
    return (
        f'<div class="dfx"><p class="file">{escaped(answer.name)}</p><div class="verdicts">{verdicts}</div>{sound}'
        f'<div class="figures">{figures}</div>{_statistics_html(answer)}</div>'
    )


def header_html(names: str, limits: FileLimits) -> str:
    """Return the head of the page: the detectors, and what the page takes and keeps."""
    return (
        f'<div class="dfx"><h1>Genuine or fake speech?</h1><p class="about">{escaped(names)}. Files of up to '
        f"{limits.mib:g} MiB and {limits.seconds:g} s; they are deleted after the answer.</p></div>"
    )


def refusal_html(text: str) -> str:
    """Return a sentence that says why there is no answer."""
    return f'<div class="dfx"><div class="refusal" role="alert">{escaped(text)}</div></div>'


def waiting_html(text: str) -> str:
    """Return a sentence about what goes on."""
    return f'<div class="dfx"><p class="waiting" role="status">{escaped(text)}</p></div>'


def live_html(recording: LiveRecording) -> str:
    """Return the answers of all detectors about a live recording so far."""
    named = len(recording.answers) > 1
    verdicts = "".join(_live_verdict_html(answer, recording.seconds, named) for answer in recording.answers)
    return f'<div class="dfx"><div class="verdicts">{verdicts}</div></div>'


def rule_sentence(rule: DecisionRule) -> str:
    """Say in plain words when the answer is bona fide, spoof or unsure."""
    if math.isnan(rule.threshold):
        return "This detector has no threshold: it gives a score and no verdict."
    if rule.tells_nothing:
        return "This detector is unsure about every recording."
    low, high = (_on_scale(rule, score) for score in (rule.high, rule.low))  # a low score is a high probability
    if rule.high <= rule.low:
        return f"SPOOF {_beyond(rule, high)}, else BONA FIDE."
    return (
        f"BONA FIDE {_beyond(rule, low, below=True)}, SPOOF {_beyond(rule, high)}; UNSURE between, where more than 5 % "
        "of genuine or of fake recordings were judged wrongly when the detector was developed."
    )


def _on_scale(rule: DecisionRule, score: float) -> str:
    return probability_text(rule.fake_probability(score)) if rule.calibrated else f"{score:.2f}"


def _beyond(rule: DecisionRule, limit: str, below: bool = False) -> str:
    if rule.calibrated:
        return f"{'below' if below else 'from'} {limit}"
    return f"at a score {'above' if below else 'up to'} {limit}"


def _verdict_html(rule: DecisionRule, answer: ClipAnswer, name: str) -> str:
    warnings = "".join(f"<li>{escaped(warning)}</li>" for warning in answer.warnings)
    return _card_html(
        answer.prediction,
        name,
        _probability_html(rule, answer.score),
        f'<p class="rule">{escaped(rule_sentence(rule))}</p>' + (f"<ul>{warnings}</ul>" if warnings else ""),
    )


def _card_html(prediction: str, name: str, *parts: str) -> str:
    word, meaning, look = VERDICTS[prediction]
    title = f'<p class="detector">{escaped(name)}</p>' if name else ""
    return f'<section class="verdict {look}">{title}<h2>{word}<small>{meaning}</small></h2>{"".join(parts)}</section>'


def _probability_html(rule: DecisionRule, score: float) -> str:
    """Say the probability of spoof, and draw it on a scale with the unsure band."""
    if not rule.calibrated:
        return f'<p class="probability"><b>{score:+.2f}</b> score, higher is more genuine</p>'
    chance = rule.fake_probability(score)
    start, end = (100 * rule.fake_probability(one) for one in (rule.high, rule.low))
    band = f'<i style="left:{start:.1f}%;width:{max(end - start, 0.6):.1f}%"></i>' if math.isfinite(start) else ""
    return (
        f'<p class="probability"><b>{probability_text(chance)}</b> probability of spoof</p>'
        f'<div class="scale" aria-hidden="true">{band}<b style="left:{100 * chance:.1f}%"></b></div>'
        '<div class="ends" aria-hidden="true"><span>bona fide</span><span>spoof</span></div>'
    )


def _figure_html(system: DetectionSystem, answer: ClipAnswer, named: bool) -> str:
    """Draw the clip for a wide screen and for a phone; narrow for both where figures stand side by side."""

    def picture(size: tuple[float, float]) -> str:
        png = clip_picture(answer, system.rule, size, system.name if named else "")
        return f"data:image/png;base64,{base64.b64encode(png).decode()}"

    narrow = picture(NARROW_SIZE)
    wide = narrow if named else picture(SIZE)
    return (
        f'<picture><source media="(max-width: {PHONE_PIXELS}px)" srcset="{narrow}">'
        f'<img alt="Waveform, spectrogram and score over time" src="{wide}"></picture>'
    )


def _statistics_html(answer: FileAnswer) -> str:
    pitch, energy, spectral = (answer.properties[key] for key in ("pitch", "energy", "spectral"))
    channels = {1: "mono", 2: "stereo"}.get(answer.header.channels, f"{answer.header.channels} channels")
    rows = [
        ("Length", f"{answer.answers[0].duration_seconds:.2f} s"),
        ("File", f"{answer.header.format}, {answer.header.sample_rate / 1000:g} kHz, {channels}"),
        ("Mean pitch", _number(pitch["mean_pitch_hz"], "{:.0f} Hz")),
        ("Pitch stability", _number(pitch["pitch_stability_score"], "{:.2f} of 1")),
        ("RMS energy", _number(energy["rms_energy"], "{:.3f} of full scale")),
        ("Silence", _number(energy["silence_ratio"], "{:.0%} of the time")),
        ("Spectral centroid", _number(spectral["spectral_centroid"], "{:.0f} Hz")),
        ("Spectral contrast", _number(spectral["spectral_contrast"], "{:.1f} dB")),
    ]
    return f"<h3>Audio statistics</h3><dl>{''.join(_row_html(rows))}</dl>"


def _row_html(rows: Iterable[tuple[str, str]]) -> Iterable[str]:
    return (f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in rows)


def _number(value: Any, form: str) -> str:
    return "not found" if value is None else form.format(value)


def _live_verdict_html(answer: LiveAnswer, seconds: float, named: bool) -> str:
    rule, name = answer.system.rule, answer.system.name if named else ""
    if answer.refusal or not answer.windows:
        first = answer.system.detectors[0].segment_seconds
        text = answer.refusal or f"{seconds:.1f} s heard; the first answer comes after {first:g} s."
        title = f'<p class="detector">{escaped(name)}</p>' if name else ""
        return f'<section class="verdict unsure">{title}<p class="waiting">{escaped(text)}</p></section>'
    if math.isnan(answer.score):
        now = '<p class="probability">silence: there is nothing to judge</p>'
    else:
        now = _probability_html(rule, answer.score)
    mean = answer.mean_score
    whole = ""
    if not math.isnan(mean):
        word = VERDICTS[rule.predict(mean)][0]
        chance = f", {probability_text(rule.fake_probability(mean))} probability of spoof" if rule.calibrated else ""
        whole = f'<p class="rule">Since the start, {seconds:.0f} s: <b>{word}</b>{chance} on average.</p>'
    return _card_html(answer.prediction, name, now, _curve_html(answer), whole)


def _curve_html(answer: LiveAnswer) -> str:
    """Draw the scores of the last minute, fake at the top, with the unsure band."""
    rule = answer.system.rule
    scores = [score for _, score in answer.windows]
    known = [score for score in scores if not math.isnan(score)] or [0.0]
    least, most = (-DRAWN_LLR, DRAWN_LLR) if rule.calibrated else (min(known) - 1e-6, max(known) + 1e-6)

    def height(score: float) -> float:
        return 100 * (min(max(score, least), most) - least) / (most - least)

    step = 400 / (answer.windows.maxlen or 1)
    points = [
        f"{400 - step * (len(scores) - 1 - i):.1f},{height(score):.1f}"
        for i, score in enumerate(scores)
        if not math.isnan(score)
    ]
    band = ""
    if not math.isnan(rule.threshold):
        low, high = height(rule.low), height(rule.high)
        band = f'<rect x="0" width="400" y="{low:.1f}" height="{max(high - low, 1):.1f}"/>'
    return (
        '<svg viewBox="0 0 400 100" preserveAspectRatio="none" role="img" aria-label="score over the last minute">'
        f'{band}<polyline points="{" ".join(points)}"/></svg>'
        '<div class="ends" aria-hidden="true"><span>the last minute, spoof at the top</span><span>now</span></div>'
    )
