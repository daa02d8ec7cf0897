"""Find shortcuts: numbers such as length, sample rate or loudness that separate the classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx.audio.measures import FILE_SCALARS, SCALARS, ClipScalar
from dfx.metrics import auc_placements, delong_auc_deviation
from dfx.tables.findings import Finding, make_finding
from dfx.tables.labels import BONAFIDE, SPOOF
from dfx.tables.manifest import SPLITS

MULTIPLES = (128, 160, 200, 256, 300, 512)  # hops of vocoders and frame shifts, in samples
NOTABLE, STRONG, DECISIVE = 0.55, 0.6, 0.75  # AUC of a note, a warning and an error
SIGMAS = 3.0  # standard deviations from chance: one of 30 scalars exceeds it by chance in one of 12 corpora
MIN_CLIPS = 10  # least number in each class
MAX_LISTED = 4  # scalars of a family in a finding
Z95 = 1.959964

FAMILIES = {  # what a scalar is a trace of
    "length": ("duration", *(f"multiple_{n}" for n in MULTIPLES)),
    "band": ("sample_rate", "bandwidth", "relative_bandwidth", "cliff"),
    "silence": ("leading_silence", "trailing_silence"),
    "level": ("loudness", "peak", "clipped"),
    "noise": ("noise_floor", "zeros"),
    "offset": ("dc",),
    "file": ("bits", "effective_bits", "channels", "format"),
}
NAMES = tuple(name for names in FAMILIES.values() for name in names)
TITLES = {
    scalar.name: scalar.label
    for scalar in (
        *SCALARS,
        *FILE_SCALARS,
        *(ClipScalar(f"multiple_{n}", f"length: a multiple of {n}") for n in MULTIPLES),
    )
}
SUBJECTS = {
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


class ShortcutAuc(NamedTuple):
    """AUC with its 95 % confidence interval and its standard deviation."""

    auc: float
    low: float
    high: float
    deviation: float

    @property
    def strength(self) -> float:
        """Larger value of AUC and 1 - AUC: .5 is chance, 1 separates the classes."""
        return max(self.auc, 1 - self.auc)

    @property
    def is_chance(self) -> bool:
        """Whether the AUC is within three standard deviations of .5."""
        return self.deviation == 0 or abs(self.auc - 0.5) / self.deviation <= SIGMAS

    def reversed(self) -> ShortcutAuc:
        """Return the AUC of the negated values."""
        return ShortcutAuc(1 - self.auc, 1 - self.high, 1 - self.low, self.deviation)


def shortcut_auc_of_values(table: pd.DataFrame, values: NDArray[np.floating]) -> ShortcutAuc | None:
    """Compute the AUC of a scalar: probability that its value is higher for a spoof clip than for bona fide.

    `values` is (rows,); a tie counts half.

    Clips count as independent; if they share speakers or sentences, the true interval is wider. None if a class has
    fewer than 10 clips.

    Source: as in `dfx.metrics.delong_auc_deviation`.
    """
    label = table["label"].to_numpy()
    spoof, bonafide = values[label == SPOOF], values[label == BONAFIDE]
    fewer = min(len(spoof), len(bonafide))
    if fewer < MIN_CLIPS:
        return None
    by_spoof, by_bonafide = auc_placements(spoof, bonafide)
    value, deviation = float(by_spoof.mean()), delong_auc_deviation(by_spoof, by_bonafide)
    if value in (0.0, 1.0):
        deviation = 1 / fewer  # the formula gives 0 for any number of clips
    return ShortcutAuc(value, max(0.0, value - Z95 * deviation), min(1.0, value + Z95 * deviation), deviation)


def shortcut_values(table: pd.DataFrame, name: str, codes: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the values of one scalar, (rows,); a file format is replaced by its code."""
    if name.startswith("multiple_"):
        samples = table["num_samples"].to_numpy(np.int64)
        return np.asarray(samples % int(name.removeprefix("multiple_")) == 0, np.float64)
    if name == "format":
        return np.asarray(table["format"].astype("str").map(codes).fillna(0.5), np.float64)
    return np.asarray(table[name], np.float64)


def shortcut_format_codes(table: pd.DataFrame) -> dict[str, float]:
    """Compute a code for each file format: its share of spoof, with equal weight for both classes."""
    forms = table["format"].astype("str")
    spoof, bonafide = (forms[table["label"] == label].value_counts(normalize=True) for label in (SPOOF, BONAFIDE))
    shares = {name: (spoof.get(name, 0.0), bonafide.get(name, 0.0)) for name in forms.unique()}
    return {str(name): float(fake / (fake + real)) for name, (fake, real) in shares.items()}


def evaluate_shortcut_scalars(table: pd.DataFrame, others: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Compute the AUC of each scalar on the whole corpus, on its splits and on other corpora.

    The direction on splits and other corpora is that of train.

    Args:
        table: usable rows of the corpus.
        others: usable rows of other corpora, by name.

    Returns:
        A row for each scalar: `name`, `title`, `family`; `auc`, its interval `low` and `high`, `strength` and
        `is_chance` on the whole corpus (None if it cannot be computed), `higher_in`: the class with higher values;
        `bonafide` and `spoof`: `mean` and `median` of the class; `places`: for each split and other corpus `auc`,
        `low`, `high` in the direction of train: below .5, the scalar misleads there.
    """
    train = table[table["split"] == "train"]
    whole_codes, train_codes = shortcut_format_codes(table), shortcut_format_codes(train)
    places = {split: table[table["split"] == split] for split in SPLITS} | dict(others)
    rows = []
    for family, names in FAMILIES.items():
        for name in names:
            whole = shortcut_auc_of_values(table, shortcut_values(table, name, whole_codes))
            first = shortcut_auc_of_values(train, shortcut_values(train, name, train_codes))
            row: dict[str, Any] = {
                "name": name,
                "title": TITLES[name],
                "family": family,
                **_auc_columns(whole),
            }
            for label, word in ((BONAFIDE, "bonafide"), (SPOOF, "spoof")):
                found = shortcut_values(table[table["label"] == label], name, {})
                known = len(found) and name != "format"
                row[word] = {"mean": float(found.mean()), "median": float(np.median(found))} if known else None
            row["places"] = {}
            for place, clips in places.items():
                there = first and shortcut_auc_of_values(clips, shortcut_values(clips, name, train_codes))
                if first and there:
                    there = there if first.auc >= 0.5 else there.reversed()
                    row["places"][place] = {"auc": there.auc, "low": there.low, "high": there.high}
            rows.append(row)
    return rows


def find_shortcuts(rows: list[dict[str, Any]], table: pd.DataFrame, sample_rate: int) -> Iterator[Finding]:
    """Yield a finding for each family of scalars that separates the classes better than chance.

    Args:
        rows: result of `evaluate_shortcut_scalars`.
        table: usable rows of the corpus.
        sample_rate: sample rate of the detectors, in Hz.
    """
    for family, subject in SUBJECTS.items():
        telling = [
            row for row in rows if row["family"] == family and (row["strength"] or 0) > NOTABLE and not row["is_chance"]
        ]
        if not telling:
            continue
        telling.sort(key=_order)
        best = telling[0]["strength"]
        severity = "error" if best >= DECISIVE else "warning" if best >= STRONG else "note"
        listed = "; ".join(map(_in_words, _without_further_multiples(telling)[:MAX_LISTED]))
        advice = ADVICE[family].format(bandwidth_hz=_common_band_hz(table, sample_rate))
        yield make_finding(
            f"shortcut-{family}",
            severity,
            f"{subject} gives the class away: {listed}. What to do: {advice}.",
            count=len(telling),
        )


def _common_band_hz(table: pd.DataFrame, sample_rate: int) -> int:
    """Choose a cut-off in Hz for all clips, 10 % below the bandwidth that most clips of each class reach."""
    filled = table["bandwidth"].clip(upper=sample_rate / 2).groupby(table["label"]).quantile(0.25)
    return max(100, int(0.9 * float(filled.min()) / 100) * 100)


def _auc_columns(whole: ShortcutAuc | None) -> dict[str, Any]:
    if whole is None:
        return dict.fromkeys(("auc", "low", "high", "strength", "is_chance", "higher_in"))
    higher_in = None if whole.auc == 0.5 else "spoof" if whole.auc > 0.5 else "bona fide"
    return {
        **{"auc": whole.auc, "low": whole.low, "high": whole.high},
        **{"strength": whole.strength, "is_chance": whole.is_chance, "higher_in": higher_in},
    }


def _order(row: dict[str, Any]) -> tuple[float, int]:
    """Make a sort key for scalars: the strongest first.

    Of equally strong multiples the largest is first, since it implies the others.
    """
    number = row["name"].removeprefix("multiple_")
    return -round(row["strength"], 2), -int(number) if number.isdigit() else 0


def _without_further_multiples(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    multiples = [row for row in rows if row["name"].startswith("multiple_")]
    return [row for row in rows if row not in multiples[1:]]


def _in_words(row: dict[str, Any]) -> str:
    low, high = sorted(end if row["auc"] >= 0.5 else 1 - end for end in (row["low"], row["high"]))
    if row["name"].startswith("multiple_"):
        spoof, bonafide = row["spoof"]["mean"], row["bonafide"]["mean"]
        shares = f", true of {spoof:.0%} of the spoof and {bonafide:.0%} of the bona fide clips"
    elif row["name"] == "format":
        shares = ""
    else:
        shares = f", {'higher' if row['auc'] >= 0.5 else 'lower'} in spoof"
    there = row["places"].get("eval")
    beyond = f"; from train to eval {there['auc']:.2f}" if there else ""
    title = row["title"].removeprefix("length: ")
    return f"{title}, AUC {row['strength']:.2f} ({low:.2f} to {high:.2f}){shares}{beyond}"
