"""Document of the answers about files: table for the terminal, page with players and plots."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator, Sequence

from dfx.detector.answers import FAKE, UNSURE, ClipAnswer, DecisionRule, headline, probability_text
from dfx.reporting.document import Document
from dfx.reporting.document_parts import (
    DocumentHeading,
    DocumentNotice,
    DocumentPart,
    DocumentPicture,
    DocumentPlayer,
    DocumentText,
    counted,
)
from dfx.reporting.document_table import DocumentCell, DocumentTable

MOST_DRAWN = 60  # clips with player and plot on the page, the most fake first
MOST_SHOWN = 40  # clips on the terminal
MOST_SEGMENTS = 4  # in a table cell


class MostFake:
    """Collector of the most fake clips, whose pictures and sounds stay in memory."""

    def __init__(self, most: int = MOST_DRAWN) -> None:
        self._most = most
        self._heap: list[tuple[float, int, ClipAnswer]] = []
        self._count = 0

    def add(self, answer: ClipAnswer) -> None:
        """Add a clip, and forget the picture of the least fake one if there are too many."""
        self._count += 1
        if answer.overview is not None:
            entry = (-answer.score, -self._count, answer)
            (heapq.heappushpop if len(self._heap) >= self._most else heapq.heappush)(self._heap, entry)

    def answers(self) -> list[ClipAnswer]:
        """Return the clips, the most fake first."""
        return [answer for _, _, answer in sorted(self._heap, reverse=True)]


def answers_document(
    answers: Sequence[ClipAnswer], drawn: Sequence[ClipAnswer], rule: DecisionRule, model: str
) -> Document:
    """Build the document of the answers.

    Args:
        answers: about all clips.
        drawn: those with an overview, the most fake first.
        rule: of the decisions.
        model: name of the detector.
    """
    ordered = sorted((one for one in answers if not one.reason), key=lambda one: one.score)
    bad = [one for one in answers if one.reason]
    shared = [DocumentText(text, "warning") for text in rule.warnings]
    facts = [DocumentText(text, "about") for text in (f"Detector: {model}", rule_text(rule))]
    parts: list[DocumentPart] = [*facts, *shared, answers_table([*ordered, *bad], rule)]
    for number, answer in enumerate(drawn):
        parts += _clip_parts(number, answer, rule)
    return Document("detection", f"Detection in {counted(len(answers), 'file')}", parts)


def _clip_parts(number: int, answer: ClipAnswer, rule: DecisionRule) -> Iterator[DocumentPart]:
    # Matplotlib takes a second, which answers in a terminal do not need.
    from dfx.reporting.figures.clip import clip_figure

    seen = answer.overview
    yield DocumentHeading(answer.path)
    yield DocumentText(headline(answer))
    for warning in own_warnings(answer, rule):
        yield DocumentNotice(warning)
    if seen.player:
        yield DocumentPlayer(seen.player, answer.path)
    yield DocumentPicture(f"clip{number}", clip_figure(answer, rule))


def answers_table(answers: Sequence[ClipAnswer], rule: DecisionRule, notes: bool = True) -> DocumentTable:
    """Make the table of answers, with a row for each clip; `notes` adds the column of notes."""
    names = names_below(answer.path for answer in answers)
    rows: list[list[str | DocumentCell]] = []
    for answer in answers:
        row: list[str | DocumentCell] = [names[answer.path]]
        if answer.reason:
            row += ["no answer", "", "", ""]
        else:
            look = {FAKE: "bad"}.get(answer.prediction, "")
            row.append(DocumentCell(answer.prediction or "-", "", look))
            row.append(probability_text(answer.fake_probability) if rule.calibrated else "")
            row += [f"{answer.score:+.2f}", f"{answer.duration_seconds:.1f} s"]
        rows.append([*row, *([DocumentCell("", clip_notes(answer, rule), "prose")] if notes else [])])
    heads = ["file", "answer", "fake", "LLR" if rule.calibrated else "score", "length", *(["notes"] if notes else [])]
    return DocumentTable("", heads, rows, words=("answer", "notes"))


def names_below(paths: Iterable[str]) -> dict[str, str]:
    """Return the names of files below the deepest folder that holds them all, by path."""
    paths = list(paths)
    try:
        folder = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120
    except ValueError:  # absolute and relative ones
        folder = ""
    return {path: os.path.relpath(path, folder) if folder else path for path in paths}


def clip_notes(answer: ClipAnswer, rule: DecisionRule) -> str:
    """Return the notes on a clip: its fake parts, its warnings, or the reason why it has no answer."""
    return answer.reason or " ".join([*_segments(answer), *own_warnings(answer, rule)])


def _segments(answer: ClipAnswer) -> list[str]:
    """Describe the fake parts of a clip; empty if the whole clip is fake, or no part of it."""
    found = answer.segments
    whole = len(found) == 1 and found[0].end_seconds - found[0].start_seconds >= answer.duration_seconds - 0.01
    if not found or whole:
        return []
    times = [f"{one.start_seconds:.1f}-{one.end_seconds:.1f} s" for one in found[:MOST_SEGMENTS]]
    return ["Fake at " + ", ".join(times) + (" …." if len(found) > MOST_SEGMENTS else ".")]


def own_warnings(answer: ClipAnswer, rule: DecisionRule) -> list[str]:
    """Return the warnings about this clip alone, without those that every answer has."""
    return [warning for warning in answer.warnings if warning not in rule.warnings]


def rule_text(rule: DecisionRule) -> str:
    """Describe the decision rule in a sentence."""
    unit = "LLR" if rule.calibrated else "score"
    if rule.threshold != rule.threshold:
        return "No threshold: give threshold=SCORE for predictions."
    text = f"FAKE at {unit} {rule.threshold:+.2f} or less ({rule.source})"
    if rule.high > rule.low:
        text += f"; {UNSURE} from {rule.low:+.2f} to {rule.high:+.2f}, where more than 5 % of a class of dev are wrong"
    return text + (f"; probabilities at a prior of {rule.p_spoof:g}." if rule.calibrated else ".")


def summary_text(answers: Sequence[ClipAnswer]) -> str:
    """Count the answers of each kind in a sentence."""
    words = [one.prediction or ("no answer" if one.reason else "scored") for one in answers]
    parts = [f"{words.count(word)} {word}" for word in dict.fromkeys(sorted(words, reverse=True))]
    return f"{counted(len(answers), 'file')}: {', '.join(parts)}"
