"""Periods of the log: parse times and lengths, and find the answers of each period."""

from __future__ import annotations

import datetime
import itertools
import re
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfx.tracking.observations import LoggedSystem, ObservationStore

MOST_PERIODS = 30  # that are drawn, unless `since` asks for more
MOST_ASKED = 366  # with `since`
UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


class Period(NamedTuple):
    """Period of the log.

    Attributes:
        start_ms: in milliseconds since 1970, UTC.
        end_ms: the same.
        numbers: (answers,) of its answers, in the order of time.
    """

    start_ms: int
    end_ms: int
    numbers: NDArray[np.int64]


class PeriodLength(NamedTuple):
    """Length of a period: a time, or a number of answers. The other one is 0."""

    milliseconds: int
    answers: int

    def __str__(self) -> str:
        if self.answers:
            return f"{self.answers:,} answers"
        unit = next(name for name in reversed(UNITS_MS) if not self.milliseconds % UNITS_MS[name])
        count = self.milliseconds // UNITS_MS[unit]
        word = {"m": "minute", "h": "hour", "d": "day", "w": "week"}[unit]
        return word if count == 1 else f"{count} {word}s"


def parse_length(text: object) -> PeriodLength:
    """Parse the length of a period: `30m`, `12h`, `1d`, `2w`, or a number of answers.

    Raises:
        ValueError: if it is none of these.
    """
    found = re.fullmatch(r"([1-9]\d*)([mhdw]?)", str(text))
    if not found:
        raise ValueError(
            f"period={text}: it is a time (30m, 12h, 1d, 2w) or a number of answers (1000); write it without spaces."
        )
    count, unit = int(found[1]), found[2]
    return PeriodLength(count * UNITS_MS[unit], 0) if unit else PeriodLength(0, count)


def parse_time(text: object, key: str) -> int:
    """Parse a time in UTC, and return milliseconds since 1970.

    Raises:
        ValueError: if it is no time.
    """
    try:
        found = datetime.datetime.fromisoformat(str(text).strip())
    except ValueError:
        raise ValueError(
            f"{key}={text}: it is a day or a time in UTC, such as 2026-11-01 or 2026-11-01T12:00."
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=datetime.UTC)
    return round(found.timestamp() * 1000)


def parse_range(text: str, key: str) -> tuple[int, int]:
    """Parse `FROM..TO`, and return both times in milliseconds since 1970.

    Raises:
        ValueError: if it is something else, or ends before it begins.
    """
    first, dots, last = str(text).partition("..")
    if not dots:
        raise ValueError(f"{key}={text}: give a range of times, FROM..TO, such as 2026-11-01..2026-11-15.")
    start, end = parse_time(first, key), parse_time(last, key)
    if start >= end:
        raise ValueError(f"{key}={text}: the range ends before it begins; give the earlier time first.")
    return start, end


def time_text(milliseconds: float) -> str:
    """Format a time in UTC: `2026-11-01 12:00`."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC).strftime("%Y-%m-%d %H:%M")


def cut_periods(
    store: ObservationStore,
    systems: Sequence[LoggedSystem],
    length: PeriodLength,
    since_ms: int | None,
    until_ms: int | None,
    after_ms: int,
) -> list[Period]:
    """Cut the log into periods that end at `until_ms`, the oldest first; periods before the first answer are left out.

    Args:
        store: the log.
        systems: detectors and settings whose answers count.
        length: of each period.
        since_ms: start of the oldest period; None: as many periods as are drawn.
        until_ms: end of the newest period; None: now.
        after_ms: the oldest period starts here or later: the end of the reference.
    """
    end = int(time.time() * 1000) + 1 if until_ms is None else until_ms
    known = store.time_range(systems)
    if known is None or known[0] >= end:
        return []
    start = max(known[0], after_ms, since_ms if since_ms is not None else 0)
    most = MOST_PERIODS if since_ms is None else MOST_ASKED
    if length.answers:
        return _cut_by_count(store, systems, length.answers, start, end, most)
    count = max(1, min(most, -(-(end - start) // length.milliseconds)))
    limits = [end - number * length.milliseconds for number in range(count, -1, -1)]
    periods = [
        Period(first, last, store.find(systems, max(first, after_ms), last))
        for first, last in itertools.pairwise(limits)
    ]
    return list(itertools.dropwhile(lambda period: not len(period.numbers), periods))


def _cut_by_count(
    store: ObservationStore, systems: Sequence[LoggedSystem], answers: int, start: int, end: int, most: int
) -> list[Period]:
    numbers = store.find(systems, start, end, last=answers * most)
    count = max(1, len(numbers) // answers)
    parts = [numbers[max(0, len(numbers) - answers * (one + 1)) : len(numbers) - answers * one] for one in range(count)]
    periods = []
    for part in reversed(parts):
        if len(part):
            first, last = store.read(part[[0, -1]]).times[[0, -1]]
            periods.append(Period(int(first), int(last) + 1, part))
    return periods
