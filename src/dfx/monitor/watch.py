"""Test each period of the log against the reference."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig, ListConfig

from dfx.console import progress_bar
from dfx.detector import loading
from dfx.detector.sampling import evenly_spaced
from dfx.metrics.drift import DriftSample, MeasureDrift, check_rate, measure_drift
from dfx.monitor import periods, samples
from dfx.monitor.periods import Period, PeriodLength, time_text
from dfx.monitor.samples import DriftReference
from dfx.tracking.observations import LoggedSystem, ObservationStore

LEAST_ANSWERS = 30  # in a period
MOST_ANSWERS = 2000  # of a period or reference, spread evenly, are compared: more find differences that do not matter
LEAST_BLOCKS = 5  # whole periods with answers, in a reference from the log
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class TooFewAnswers(NamedTuple):
    """Sentence that says why nothing was compared."""

    text: str


@dataclass(frozen=True)
class WatchedPeriod:
    """Period of the log, compared with the reference.

    Attributes:
        start_ms: in milliseconds since 1970, UTC.
        end_ms: the same.
        count: of its answers.
        drift: by measure; empty for a period with too few answers.
        quantiles: measure -> its 5, 25, 50, 75 and 95 % values; a share stands for all five.
        means: measure -> its mean.
    """

    start_ms: int
    end_ms: int
    count: int
    drift: Mapping[str, MeasureDrift]
    quantiles: Mapping[str, Sequence[float]]
    means: Mapping[str, float]

    @property
    def drifted(self) -> list[str]:
        """Measures beyond their limit, the furthest first."""
        beyond = [name for name, found in self.drift.items() if found.drifted]
        return sorted(beyond, key=lambda name: -self.drift[name].excess)


@dataclass(frozen=True)
class WatchedLog:
    """Log of a detector, compared with the reference period by period.

    Attributes:
        name: of the detector.
        digest: of its file.
        place: where it was loaded from.
        length: of a period.
        periods: the oldest first; the last one raises the alarm.
        reference: what they are compared with.
        of_reference: quantiles and means of the reference, as a period.
        false_alarm: rate of a period without any change.
        notes: for the reader.
        seconds: that it took.
    """

    name: str
    digest: str
    place: str
    length: PeriodLength
    periods: Sequence[WatchedPeriod]
    reference: DriftReference
    of_reference: WatchedPeriod
    false_alarm: float
    notes: tuple[str, ...]
    seconds: float

    @property
    def latest(self) -> WatchedPeriod:
        """The last period."""
        return self.periods[-1]

    @property
    def drifted(self) -> list[str]:
        """Measures beyond their limit in the last period, the furthest first."""
        return self.latest.drifted

    def since(self, measure: str) -> WatchedPeriod:
        """Return the first period from which on a measure was beyond its limit without interruption."""
        found = self.latest
        for period in reversed(self.periods):
            if period.drift and measure not in period.drifted:
                break
            found = period if period.drift else found
        return found


def watch_log(cfg: DictConfig) -> WatchedLog | TooFewAnswers:
    """Compare the periods of a log with the reference that the configuration names.

    Raises:
        ValueError: if there is no log, detector or reference, or an option is invalid.
    """
    began = time.monotonic()
    length = periods.parse_length(cfg.period)
    since = None if cfg.since is None else periods.parse_time(cfg.since, "since")
    until = None if cfg.until is None else periods.parse_time(cfg.until, "until")
    check_rate(cfg.false_alarm)
    if not cfg.log:
        raise ValueError("Name the log, log=FILE: the file that python -m dfx.detect PATH log=FILE has made.")
    with ObservationStore(cfg.log) as store:
        systems, detector, notes = _choose_systems(store, cfg)
        if cfg.reference is None:
            reference = _dev_reference(systems[0], detector, cfg)
        else:
            reference = _log_reference(store, systems, length, *periods.parse_range(cfg.reference, "reference"))
        cut = periods.cut_periods(store, systems, length, since, until, reference.end_ms)
        if not cut or len(cut[-1].numbers) < LEAST_ANSWERS:
            return TooFewAnswers(_few_text(store, systems, length, cut, reference))
        watched = list[WatchedPeriod]()

        def compare() -> Any:
            for period in cut:
                watched.append(_watch_period(store, period, reference, length, cfg))
                yield 1

        progress_bar(compare(), "comparing", len(cut), show=len(cut) > 1)
    notes += reference.notes
    if cfg.reference is None:
        notes += _setting_notes(systems[0])
    own = _describe(reference.sample.measures, 0, 0, reference.count, {})
    place = systems[0].places[0] if cfg.model is None else str(cfg.model)
    seconds = time.monotonic() - began
    return WatchedLog(
        systems[0].name, systems[0].digest, place, length, watched, reference, own, cfg.false_alarm, notes, seconds
    )


def _choose_systems(store: ObservationStore, cfg: DictConfig) -> tuple[list[LoggedSystem], Any, tuple[str, ...]]:
    """Return the systems of the log whose answers are compared, and the detector if it was loaded."""
    if not store.systems:
        raise ValueError(f"The log {store.path} has no answers yet: python -m dfx.detect PATH log={store.path}.")
    detector = None
    digest = store.systems[0].digest
    if cfg.model is not None:
        places = list(cfg.model) if isinstance(cfg.model, ListConfig) else [cfg.model]
        detectors = [loading.load_detector(str(place), cfg.trust, cfg.cache) for place in places]
        detector, digest = detectors[0], "+".join(one.digest for one in detectors)
    known = [one for one in store.systems if one.digest == digest]
    if not known:
        names = ", ".join(dict.fromkeys(f"{one.name} ({', '.join(one.places)})" for one in store.systems))
        raise ValueError(
            f"The log {store.path} has no answers of {cfg.model}: it has those of {names}. Name one of these."
        )
    chosen = [one for one in known if one.settings == known[0].settings]
    notes = []
    if len(chosen) < len(known):
        notes.append(
            "The log has answers of this detector with other settings (threshold, windows, stream or files), which "
            "are left out: only those with the settings of the latest answer are compared."
        )
    if len({one.digest for one in store.systems}) > 1:
        notes.append("The log has answers of other detectors, too, which are left out.")
    return chosen, detector, tuple(notes)


def _dev_reference(system: LoggedSystem, detector: Any, cfg: DictConfig) -> DriftReference:
    if system.settings["kind"] == "stream":
        raise ValueError(
            "The answers are windows of a stream, and dev clips are means over the windows of a whole clip: the two "
            "differ without any drift. Give a part of the log as the reference, reference=FROM..TO."
        )
    if "+" in system.digest:
        raise ValueError(
            f"{system.name} is a fusion, which has no dev scores of its own: give a part of the log as the reference, "
            "reference=FROM..TO."
        )
    if detector is None:
        try:
            detector = loading.load_detector(system.places[0], cfg.trust, cfg.cache)
        except ValueError as error:
            raise ValueError(
                f"The detector of the log, {system.places[0]}, cannot be opened ({error}). Name it, model=PLACE, or "
                "give a part of the log as the reference, reference=FROM..TO."
            ) from error
        if detector.digest != system.digest:
            raise ValueError(
                f"{system.places[0]} is another detector now than when the latest answer was logged: name the one that "
                "the log is of, model=PLACE, or a log with answers of the new one."
            )
    return samples.dev_reference(detector, system.settings)


def _setting_notes(system: LoggedSystem) -> tuple[str, ...]:
    if (way := system.settings["aggregate"]) == "mean":
        return ()
    return (
        f"Answers are the {way} of their windows, dev clips the mean: the score differs without any drift. Take a part "
        "of the log as the reference, reference=FROM..TO.",
    )


def _log_reference(
    store: ObservationStore, systems: Sequence[LoggedSystem], length: PeriodLength, start: int, end: int
) -> DriftReference:
    numbers = store.find(systems, start, end)
    text = f"{time_text(start)} to {time_text(end)}"
    if len(numbers) < LEAST_ANSWERS:
        raise ValueError(
            f"The reference, {text}, has {len(numbers)} answers in the log: {LEAST_ANSWERS} are the least, and as "
            "many as in some periods are better. Give a longer one, reference=FROM..TO."
        )
    chosen = evenly_spaced(len(numbers), MOST_ANSWERS)
    answers = store.read(numbers[chosen])
    if length.answers:
        whole, blocks = len(numbers) // length.answers, chosen // length.answers
    else:
        whole, blocks = (end - start) // length.milliseconds, (answers.times - start) // length.milliseconds
    blocks = np.minimum(blocks, max(0, whole - 1))  # what is left after the last whole period belongs to that one
    if (count := len(np.unique(blocks))) < LEAST_BLOCKS:
        raise ValueError(
            f"The reference, {text}, has {count} whole period{'' if count == 1 else 's'} ({length}) with answers, and "
            f"ordinary changes from one to the next show in {LEAST_BLOCKS} at least, better in {samples.FEW_BLOCKS}. "
            "Give a longer one, reference=FROM..TO, or a shorter period=."
        )
    return samples.log_reference(answers, blocks, text, end)


def _watch_period(
    store: ObservationStore, period: Period, reference: DriftReference, length: PeriodLength, cfg: DictConfig
) -> WatchedPeriod:
    chosen = evenly_spaced(len(period.numbers), MOST_ANSWERS)
    answers = store.read(period.numbers[chosen])
    measures = samples.answer_measures(answers, reference.codings)
    # As a whole it is one block: how alike blocks are within themselves was measured on the reference.
    groups = np.zeros(len(answers), np.int64) if reference.end_ms else None
    drift: Mapping[str, MeasureDrift] = {}
    if len(answers) >= LEAST_ANSWERS:
        drift = measure_drift(reference.sample, DriftSample(measures, groups), cfg.false_alarm, cfg.seed)
    return _describe(measures, period.start_ms, period.end_ms, len(period.numbers), drift)


def _describe(
    measures: Mapping[str, NDArray[np.float64]], start: int, end: int, count: int, drift: Mapping[str, MeasureDrift]
) -> WatchedPeriod:
    quantiles, means = {}, {}
    for name, values in measures.items():
        known = values[np.isfinite(values)] if values.ndim == 1 else values[:0, 0]
        if len(known):
            means[name] = float(known.mean())
            shares = name in samples.SHARES
            quantiles[name] = [means[name]] * len(QUANTILES) if shares else np.quantile(known, QUANTILES).tolist()
    return WatchedPeriod(start, end, count, drift, quantiles, means)


def _few_text(
    store: ObservationStore,
    systems: Sequence[LoggedSystem],
    length: PeriodLength,
    cut: Sequence[Period],
    reference: DriftReference,
) -> str:
    count = len(cut[-1].numbers) if cut else 0
    known = store.time_range(systems)
    all_of_them = f", and the whole log goes from {time_text(known[0])} to {time_text(known[1])} UTC" if known else ""
    after = f" after the reference, which ends {time_text(reference.end_ms)}" if reference.end_ms else ""
    return (
        f"Too few answers to compare: the last {length} has {count}{after}{all_of_them}. {LEAST_ANSWERS} are the "
        "least: give a longer period=, or another until=. Nothing is said about drift."
    )
