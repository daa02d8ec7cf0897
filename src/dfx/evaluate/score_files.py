"""Scores that others made, as results: any system in the world, in the organisers' formats."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from dfx import scorefiles
from dfx.evaluate.result import Result
from dfx.metrics import ASVSPOOF5_RATES, AsvRates, asv_rates

if TYPE_CHECKING:
    from dfx.evaluate.trials import Trials

FIXED = "asvspoof5"  # in the place of a file: the rates that the evaluation plan of ASVspoof 5 fixes
SASV = "sasv-score"  # column of scores that also verify the speaker
NOT_KNOWN = "not known (score file)"
Given = str | Sequence[str] | Mapping[str, str] | None


class Files(NamedTuple):
    """Score files and what belongs to them, as the user names them: a file, a list, or a mapping of names to files.

    Attributes:
        scores: of one or more systems.
        key: what the trials are; None where the files say it, or a corpus does. As a mapping, `{CORPUS: FILE}`.
        dev_scores: of the same systems in the same order, on trials that may decide.
        dev_key: what those trials are.
        asv_key: kinds of the trials, for scores that also verify the speaker.
        part: which trials of the key, `eval`, `progress`, `dev`, `all`, …; None: as `scorefiles.join` chooses.
        llr: whether the scores are log-likelihood ratios; None: not known.
    """

    scores: Given
    key: Given = None
    dev_scores: Given = None
    dev_key: Given = None
    asv_key: str | None = None
    part: str | None = None
    llr: bool | None = None


def read(files: Files, trials: Trials | None) -> list[Result]:
    """A result for each score file.

    Args:
        files: the files.
        trials: of the corpus that is the key where there is no other.

    Raises:
        ValueError: if a file cannot be read or does not fit its key, or there are more dev files than files, or fewer.
    """
    scores, devs = named(files.scores), named(files.dev_scores)
    if devs and len(devs) != len(scores):
        raise ValueError(
            f"There are {len(scores)} score files and {len(devs)} of dev, got {', '.join(map(str, devs.values()))}: "
            "give each system its dev scores, in the same order."
        )
    corpus, key = _key(files.key, trials)
    dev_key = _key(files.dev_key, None)[1]
    results = []
    for (name, file), dev_file in itertools.zip_longest(scores.items(), devs.values()):
        found = scorefiles.read_scores(file)
        joined, findings = scorefiles.join(found, key, file.name, files.part)
        sasv = None
        if files.asv_key and SASV in found:
            sasv = scorefiles.read_asv(file, _existing(files.asv_key), SASV, files.part)
        dev = None
        if dev_file:
            dev, more = scorefiles.join(scorefiles.read_scores(dev_file), dev_key, dev_file.name)
            findings = [*findings, *more]
        results.append(
            Result(
                name,
                corpus or f"trials {joined.trials_hash[:8]}",
                joined,
                NOT_KNOWN,
                files.llr,
                dev,
                dev_file.name if dev_file else "",
                findings=tuple(findings),
                note=trials.note if trials and not files.key else "",
                sasv=sasv,
            )
        )
    return results


def rates(asv: str | None, asv_key: str | None = None, part: str | None = None) -> AsvRates | None:
    """Error rates of the speaker verification system that t-DCF needs, from its scores of a part; None without."""
    if asv is None or asv == FIXED:
        return ASVSPOOF5_RATES if asv else None
    key = _existing(asv_key) if asv_key else None
    return asv_rates(*scorefiles.read_asv(_existing(asv), key, part=part))


def named(given: Given) -> dict[str, Path]:
    """Files by name; the name of a file that is not given one is its own, with its folder's where that is not enough.

    Raises:
        ValueError: if a file is not there, or given twice.
    """
    if isinstance(given, Mapping):
        return {str(name): _existing(str(place)) for name, place in given.items()}
    places = [_existing(str(place)) for place in ([given] if isinstance(given, str) else given or [])]
    stems = [place.stem for place in places]
    names = [
        place.stem if stems.count(place.stem) == 1 else f"{place.parent.name}/{place.stem}"
        for place in places
    ]
    twice = [str(place) for place, name in zip(places, names, strict=True) if names.count(name) > 1]
    if twice:
        raise ValueError(
            f"Score files need names of their own, got {', '.join(twice)}: scores={{NAME: FILE, NAME: FILE}} "
            "gives them."
        )
    return dict(zip(names, places, strict=True))


def _existing(place: str) -> Path:
    file = Path(place).expanduser()
    if not file.is_file():
        raise ValueError(f"There is no file {place!r}: give the path of a table of scores, or of its key.")
    return file


def _key(key: Given, trials: Trials | None) -> tuple[str, pd.DataFrame | None]:
    """Name and table of the trials."""
    if key:
        ((name, file),) = list(named(key).items())[:1]
        return name, scorefiles.read_key(file)
    if trials is None:
        return "", None
    return trials.name, trials.manifest.table.iloc[trials.rows].drop(columns=["path", "split"])
