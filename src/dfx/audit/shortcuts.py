"""Scalars that need no listening: how well each tells the classes apart, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx.audit.ranking import Area, area
from dfx.tables.findings import Finding, finding
from dfx.tables.labels import BONAFIDE, SPOOF
from dfx.tables.manifest import SPLITS

MULTIPLES = (128, 160, 200, 256, 300, 512)  # hops of vocoders and frame shifts, in samples
NOTABLE, STRONG, DECISIVE = 0.55, 0.6, 0.75  # AUC that makes a note, a warning and an error
SIGMAS = 3.0  # standard deviations from chance: of 30 scalars one goes beyond by chance in 12 corpora
MIN_CLIPS = 10  # of each class
MOST_LISTED = 4  # scalars of a family


class Scalar(NamedTuple):
    """A number that every clip has; `family` says what it is a trace of."""

    name: str
    title: str
    family: str


SCALARS = (
    Scalar("duration", "duration (s)", "length"),
    *(Scalar(f"multiple_{n}", f"length: a multiple of {n}", "length") for n in MULTIPLES),
    Scalar("sample_rate", "sample rate (Hz)", "band"),
    Scalar("bandwidth", "bandwidth at -65 dB (Hz)", "band"),
    Scalar("relative_bandwidth", "band filled, of what the rate allows", "band"),
    Scalar("cliff", "steepest fall of the spectrum (dB)", "band"),
    Scalar("leading_silence", "leading silence (s)", "silence"),
    Scalar("trailing_silence", "trailing silence (s)", "silence"),
    Scalar("loudness", "loudness (dBFS RMS)", "level"),
    Scalar("peak", "peak (dBFS)", "level"),
    Scalar("clipped", "clipped samples", "level"),
    Scalar("noise_floor", "noise floor (dBFS)", "noise"),
    Scalar("zeros", "exact zeros", "noise"),
    Scalar("dc", "mean, away from 0 (of full scale)", "offset"),
    Scalar("bits", "bit depth of the file", "file"),
    Scalar("effective_bits", "bits that the values use", "file"),
    Scalar("channels", "channels", "file"),
    Scalar("format", "file format", "file"),
)
WORDS = {
    "length": "The length of a clip",
    "band": "The sample rate or the band that a clip fills",
    "silence": "The silence at the ends",
    "level": "The level",
    "noise": "The noise floor",
    "offset": "The mean of the samples",
    "file": "The format of the file, or a codec that it went through,",
}
ADVICE = {
    "length": "train on crops of one length (data.train_crop=random, the default), choose segment_seconds below the "
    "shorter clips, and give no detector whole files",
    "band": "bring both classes to one band: conditioning.bandwidth_hz={bandwidth_hz}",
    "silence": "cut the ends of both classes, conditioning.trim_db=40, and report with and without",
    "level": "bring all clips to one loudness: conditioning.loudness_db=-23",
    "noise": "add noise to both classes in training (augment=rawboost), and report the systems that stand out apart",
    "offset": "take the mean out of the files of both classes (a high-pass at 20 Hz), or the systems that have it",
    "file": "convert both classes alike, with one codec and one format, or take out what only one class has",
}


def values(table: pd.DataFrame, name: str, codes: Mapping[str, float]) -> NDArray[np.float64]:
    """(rows,) values of one scalar; a format is given the share of spoof that `codes` says it has."""
    if name.startswith("multiple_"):
        samples = table["num_samples"].to_numpy(np.int64)
        return np.asarray(samples % int(name.removeprefix("multiple_")) == 0, np.float64)
    if name == "format":
        return np.asarray(table["format"].astype("str").map(codes).fillna(0.5), np.float64)
    return np.asarray(table[name], np.float64)


def format_codes(table: pd.DataFrame) -> dict[str, float]:
    """For each file format, the share of spoof among its clips, the classes weighted alike."""
    forms = table["format"].astype("str")
    spoof, bonafide = (
        forms[table["label"] == label].value_counts(normalize=True) for label in (SPOOF, BONAFIDE)
    )
    shares = {name: (spoof.get(name, 0.0), bonafide.get(name, 0.0)) for name in forms.unique()}
    return {str(name): float(fake / (fake + real)) for name, (fake, real) in shares.items()}


def measured(table: pd.DataFrame, scalar_values: NDArray[np.floating]) -> Area | None:
    """The AUC of a scalar between the classes of a table; None where a class is missing or nearly so."""
    label = table["label"].to_numpy()
    spoof, bonafide = scalar_values[label == SPOOF], scalar_values[label == BONAFIDE]
    return area(spoof, bonafide) if min(len(spoof), len(bonafide)) >= MIN_CLIPS else None


def look(table: pd.DataFrame, others: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """A row for each scalar: its AUC on the whole corpus, and from train to the other splits and corpora.

    An AUC is how often a spoof clip has the higher value. From train to elsewhere it is turned so that it is .5 or
    more on train: below .5 elsewhere, the scalar misleads there.

    Args:
        table: usable rows of the corpus.
        others: usable rows of other corpora, by name.
    """
    train = table[table["split"] == "train"]
    whole_codes, train_codes = format_codes(table), format_codes(train)
    places = {split: table[table["split"] == split] for split in SPLITS} | dict(others)
    rows = []
    for scalar in SCALARS:
        whole = measured(table, values(table, scalar.name, whole_codes))
        first = measured(train, values(train, scalar.name, train_codes))
        row: dict[str, Any] = {**scalar._asdict(), "whole": whole, "places": {}}
        for label, word in ((BONAFIDE, "bonafide"), (SPOOF, "spoof")):
            if scalar.name != "format":
                found = values(table[table["label"] == label], scalar.name, {})
                row[word] = (float(found.mean()), float(np.median(found))) if len(found) else None
        for name, place in places.items():
            there = measured(place, values(place, scalar.name, train_codes)) if first else None
            if first and there:
                row["places"][name] = Area(there.auc if first.auc >= 0.5 else 1 - there.auc, there.deviation)
        rows.append(row)
    return rows


def findings(rows: list[dict[str, Any]], table: pd.DataFrame, sample_rate: int) -> Iterator[Finding]:
    """One for each family with a scalar that tells the classes apart beyond chance, with all that do."""
    for family, words in WORDS.items():
        telling = [
            row
            for row in rows
            if row["family"] == family
            and row["whole"]
            and row["whole"].strength > NOTABLE
            and row["whole"].sigmas > SIGMAS
        ]
        if not telling:
            continue
        telling.sort(key=_order)
        best = telling[0]["whole"].strength
        severity = "error" if best >= DECISIVE else "warning" if best >= STRONG else "note"
        listed = "; ".join(map(_told, _different(telling)[:MOST_LISTED]))
        advice = ADVICE[family].format(bandwidth_hz=common_band_hz(table, sample_rate))
        yield finding(
            f"shortcut-{family}",
            severity,
            f"{words} gives the class away: {listed}. What to do: {advice}.",
            count=len(telling),
        )


def common_band_hz(table: pd.DataFrame, sample_rate: int) -> int:
    """A band that three of four clips of either class fill, with room for a filter's slope: 7,200 Hz for 16 kHz."""
    filled = table["bandwidth"].clip(upper=sample_rate / 2).groupby(table["label"]).quantile(0.25)
    return max(100, int(0.9 * float(filled.min()) / 100) * 100)


def _order(row: dict[str, Any]) -> tuple[float, int]:
    """The most telling first; of multiples that tell the same the largest, since it implies the others."""
    number = row["name"].removeprefix("multiple_")
    return -round(row["whole"].strength, 2), -int(number) if number.isdigit() else 0


def _different(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without the second and further multiples: what is a multiple of 256 is one of 128."""
    multiples = [row for row in rows if row["name"].startswith("multiple_")]
    return [row for row in rows if row not in multiples[1:]]


def _told(row: dict[str, Any]) -> str:
    whole: Area = row["whole"]
    low, high = sorted(value if whole.auc >= 0.5 else 1 - value for value in whole.interval)
    if row["name"].startswith("multiple_"):
        shares = f", true of {row['spoof'][0]:.0%} of the spoof and {row['bonafide'][0]:.0%} of the bona fide clips"
    elif row["name"] == "format":
        shares = ""
    else:
        shares = f", {'higher' if whole.auc >= 0.5 else 'lower'} in spoof"
    there = row["places"].get("eval")
    beyond = f"; from train to eval {there.auc:.2f}" if there else ""
    title = row["title"].removeprefix("length: ")
    return f"{title}, AUC {whole.strength:.2f} ({low:.2f} to {high:.2f}){shares}{beyond}"
