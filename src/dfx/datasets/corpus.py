"""Base classes of datasets: `Dataset`, and `Corpus` for published corpora with a known folder layout."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfx.audio.audio_files import list_audio_files
from dfx.datasets.splits import divide_into_splits, split_without_class_text
from dfx.files import DATA
from dfx.tables.findings import Finding, make_finding, some_items
from dfx.tables.labels import BONAFIDE, NAMES, parse_label
from dfx.tables.manifest import ALL, NO_ATTACK, UNNAMED_ATTACK, Manifest

TOTAL = "total"  # key of `facts.rows`, as `ALL` is: both classes together


class Dataset(ABC):
    """Base class of datasets: recordings with labels and splits.

    Attributes:
        note: a sentence that every report of a run on it shows; empty for ordinary recordings.
        findings: problems that `manifest()` found (rows without a file, unexpected counts …); set by that call.
    """

    note: str = ""
    findings: Sequence[Finding] = ()

    @abstractmethod
    def manifest(self) -> Manifest:
        """Return the manifest of all utterances; every row has a split.

        Raises:
            ValueError: if the files are not laid out as expected.
        """

    def vectors(self) -> NDArray[np.float32] | None:
        """Return precomputed features (rows of the manifest, columns) if the dataset has no audio, else None."""
        return None


class GenuineSource(NamedTuple):
    """Genuine recordings on which a corpus of fakes is based: name, usual folders and web page."""

    name: str  # for messages
    option: str  # name of the option for their folder: "mailabs_root"
    folders: tuple[str, ...]  # usual names of the folder
    mark: str  # relative glob pattern of something inside the folder
    page: str  # web page to obtain them from


@dataclass(kw_only=True, eq=False, repr=False)
class Corpus(Dataset):
    """Base class of published corpora; a subclass defines `name`, `tree`, `marks` and `table`.

    All corpora share these options; a subclass that has more declares them as further fields.

    Args:
        root: its folder, or one that contains it; None: below `$DFX_DATA`.
        facts: what its authors publish, from the YAML: `page`, `licence`, `citation`, `folders` (usual names of its
            folder), `labels` (word -> bonafide or spoof), `rows` (split or all -> class or total -> number),
            `downloads`.
        groups: for a corpus without official splits, the columns whose values stay within one split; none: every row is
            divided by itself.
        split_file: CSV (id, split) that fixes these splits; written if it does not exist.
    """

    name: str = field(init=False)  # as in dataset=NAME
    tree: str = field(init=False)  # the expected folder layout, shown if the folder is not found
    marks: tuple[str, ...] = field(init=False)  # glob patterns: a folder that matches any of them is this corpus
    fractions: ClassVar[dict[str, float] | None] = None  # share of each split; None: `splits.FRACTIONS`

    root: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    groups: Sequence[str] | None = None
    split_file: str | None = None

    def __post_init__(self) -> None:
        self.facts = self.facts or {}
        self.groups = list(self.groups or [])

    @abstractmethod
    def table(self) -> pd.DataFrame:
        """Read the protocol of the corpus: id, path, label and all other columns.

        The path is absolute, the label is a word of the corpus. `attack`, `speaker` and every other column are kept.
        `split` is there only if the corpus has official splits. `paths_by_name` and `paths_by_id` add the paths.
        """

    def manifest(self) -> Manifest:
        """Build the manifest of the corpus, and store the problems found in `findings`."""
        self.findings = ()
        table = self.table()
        table = table.assign(label=self._parse_labels(table))
        bonafide = table["label"] == BONAFIDE
        attack = table["attack"].fillna("").astype("str") if "attack" in table else pd.Series("", table.index)
        attack = attack.mask(~bonafide & attack.isin(["", NO_ATTACK]), UNNAMED_ATTACK)
        table["attack"] = attack.mask(bonafide, NO_ATTACK)
        if "split" not in table:
            table["split"] = self.split_rows(table, Path(self.split_file).expanduser() if self.split_file else None)
            if not self._lacks_class() and (text := split_without_class_text(table, self.groups or [])):
                self.add_finding("split-without-class", "warning", f"{self.name}: {text}")
        manifest = Manifest(table, name=self.name)
        self._compare_counts(manifest)
        return manifest

    def split_rows(self, table: pd.DataFrame, file: Path | None) -> pd.Series:
        """Assign a split to each row of a corpus without official splits, as `divide_into_splits` does."""
        return divide_into_splits(table, self.groups or [], file, self.fractions)

    def add_finding(
        self, kind: str, severity: str, text: str, items: Iterable[Any] = (), count: int | None = None
    ) -> None:
        """Append a finding to `findings`."""
        self.findings = (*self.findings, make_finding(kind, severity, text, items, count))

    def folder(self) -> Path:
        """Find the folder of the corpus, at or below `root` or `$DFX_DATA`.

        A sub-folder has to have one of the usual names.

        Raises:
            ValueError: if it is not found; says what is expected, what was found, and where to obtain the corpus.
        """
        given = self.root or os.environ.get(DATA)
        base = Path(given).expanduser() if given else None
        names = map(str, self.facts.get("folders", [self.name]))
        found = _find_folder([base] if base else [], names, self.marks)
        if found is None:
            raise self.not_found(base)
        return found

    def find(self, *patterns: str) -> Path | None:
        """Return the first file or folder that matches a glob pattern, relative to the corpus, or None."""
        root = self.folder()
        found = (path for pattern in patterns for path in sorted(root.glob(pattern)))
        return next((path for path in found if not path.name.startswith(".")), None)

    def require(self, *patterns: str, advice: str = "") -> Path:
        """Find a file or folder as `find` does; if there is none, raise a ValueError that ends with `advice`."""
        path = self.find(*patterns)
        if path is None:
            raise self.not_found(self.folder(), f"; no {' or '.join(patterns[:3])}", advice)
        return path

    def subfolders(self, *patterns: str) -> list[Path]:
        """Return the sorted folders of the corpus that match a relative glob pattern."""
        root = self.folder()
        return sorted({place for pattern in patterns for place in root.glob(pattern) if place.is_dir()})

    def genuine_folder(self, source: GenuineSource, given: str | None, part: str = "") -> Path | None:
        """Find the folder of the genuine recordings on which this corpus of fakes is based.

        It is `given`, or else a folder near the corpus or below `$DFX_DATA`. If they are not found, adds a finding
        (about that part of the corpus) and returns None.

        Raises:
            ValueError: if they are not in the folder that the user names.
        """
        root, data = self.folder(), os.environ.get(DATA)
        bases = [Path(given)] if given else [root, root.parent, *([Path(data)] if data else [])]
        found = _find_folder([base.expanduser() for base in bases], source.folders, [source.mark])
        if found is None and given:
            raise ValueError(
                f"dataset.{source.option}={given} has no {source.mark}: give the folder of {source.name}, obtained "
                f"from {source.page}."
            )
        if found is None:
            corpus = f"{self.name} ({part})" if part else self.name
            text = (
                f"{source.name} was not found. {corpus} holds fakes of it and no genuine recordings: give "
                f"dataset.{source.option}=DIR, obtained from {source.page}, or combine {corpus} with another corpus."
            )
            self.add_finding("no-bonafide", "warning", text)
        return found

    def paths_by_name(self, table: pd.DataFrame, names: pd.Series, folder: Path) -> pd.DataFrame:
        """Add the column `path` to a protocol that contains file names.

        Rows without a file and files without a row are findings.

        Args:
            table: rows of the protocol, with `id`.
            names: the file of each row, relative to the folder; upper and lower case may differ.
            folder: of the audio files, with sub-folders.
        """
        present = set(list_audio_files(folder))
        spelt = {name.lower(): name for name in sorted(present)}
        found = [name if name in present else spelt.get(name.lower(), name) for name in names]
        exists = pd.Series([name in present for name in found], index=table.index)
        self._compare_files(table, exists, sorted(present.difference(found)), [folder])
        return table.assign(path=[f"{folder}{os.sep}{name}" for name in found])

    def paths_by_id(
        self, table: pd.DataFrame, folders: Sequence[Path], part: str = "", others: Iterable[str] = ()
    ) -> pd.DataFrame:
        """Add the column `path` by searching for audio files that have the id as their name.

        Files in these folders or below are found, with the suffix of any audio format. Rows without a file, files
        without a row and files of the same name are findings.

        Args:
            table: rows of the protocol, with `id`.
            folders: one or more; the path of a missing file is in the first.
            part: of the corpus, for the findings ("dev").
            others: further ids whose files are expected there.
        """
        paths: dict[str, str] = {}
        same_name = []
        for folder in folders:
            for name in list_audio_files(folder):
                path = f"{folder}{os.sep}{name}"
                if paths.setdefault(name.rpartition("/")[2].rpartition(".")[0], path) != path:
                    same_name.append(path)
        if same_name:
            text = (
                f"{len(same_name)} audio files of {f'{self.name} {part}'.strip()} have the same name as another file, "
                f"and are not used: {some_items(same_name)}. Remove those that do not belong there."
            )
            self.add_finding("files-of-one-name", "warning", text, same_name)
        known = {*table["id"], *others}
        located = table["id"].map(paths).astype("str")
        exists = located.notna()
        extra = [file for stem, file in paths.items() if stem not in known]
        self._compare_files(table, exists, extra, folders, part)
        return table.assign(path=located.where(exists, f"{folders[0]}{os.sep}" + table["id"] + ".flac"))

    def not_found(self, base: Path | None, detail: str = "", advice: str = "") -> ValueError:
        """Create the error for a missing folder or file: what is expected, what was found, where to get it."""
        if base is None:
            found = f"no folder was given and ${DATA} is not set"
        elif not base.is_dir():
            found = f"there is no folder {base}"
        else:
            names = sorted(path.name for path in base.iterdir() if not path.name.startswith("."))
            found = f"{base} holds {some_items(names) or 'nothing'}{detail}"
        lines = [
            f"{self.name} was not found: {found}. Expected, at dataset.root=DIR or below ${DATA}:",
            self.tree.rstrip(),
            advice,
            f"It is obtained from {self.facts['page']}" if "page" in self.facts else "",
        ]
        return ValueError("\n".join(line for line in lines if line))

    def _lacks_class(self) -> bool:
        return any(finding.kind in ("no-bonafide", "one-class") for finding in self.findings)

    def _compare_files(
        self, table: pd.DataFrame, exists: pd.Series, extra: list[str], folders: Sequence[Path], part: str = ""
    ) -> None:
        name = f"{self.name} {part}".strip()
        missing = table["id"][~exists].tolist()
        if missing:
            below = " or ".join(map(str, folders))
            text = (
                f"{len(missing)} of {len(table)} rows of {name} have no file below {below} ({some_items(missing)}): "
                "complete the corpus, or continue without them (data.max_bad_fraction)."
            )
            self.add_finding("rows-without-file", "warning", text, missing)
        if extra:
            text = f"{len(extra)} audio files of {name} are not in its protocol and are left out: {some_items(extra)}."
            self.add_finding("files-without-row", "note", text, extra)

    def _parse_labels(self, table: pd.DataFrame) -> pd.Series:
        meanings = self.facts.get("labels") or {name: name for name in NAMES.values()}
        known = {str(word).lower(): parse_label(name) for word, name in meanings.items()}
        words = table["label"].fillna("").astype("str").str.strip().str.lower()
        bad = ~words.isin(list(known))
        if bad.any():
            rows = table.loc[bad, ["id", "label"]].head().itertuples(index=False)
            named = [f"{name} ({word!r})" for name, word in rows]
            raise ValueError(
                f"{int(bad.sum())} of {len(table)} rows of {self.name} have a label that the corpus does not know: "
                f"{', '.join(named)}; it knows {', '.join(known)}. Correct the protocol, or name the word in "
                "dataset.facts.labels."
            )
        return words.map(known).astype("int64")

    def _compare_counts(self, manifest: Manifest) -> None:
        counts = manifest.counts()
        counts.loc[ALL] = counts.sum()
        counts[TOTAL] = counts.sum(axis=1)
        for split, official in (self.facts.get("rows") or {}).items():
            got = {name: int(counts[name].get(split, 0)) for name in official}
            wrong = [name for name in official if got[name] != official[name]]
            if wrong:
                has = " and ".join(f"{got[name]} {name}".removesuffix(f" {TOTAL}") for name in wrong)
                text = (
                    f"{self.name} has {has} rows in {split}, its authors publish "
                    f"{' and '.join(str(official[name]) for name in wrong)}: compare the protocol with "
                    f"{self.facts.get('page', 'theirs')}."
                )
                differ = sum(abs(official[name] - got[name]) for name in wrong)
                self.add_finding("row-count", "warning", text, count=differ)


def _find_folder(bases: Iterable[Path], names: Iterable[str], marks: Iterable[str]) -> Path | None:
    """Return the first folder that contains a match for one of the glob patterns in `marks`."""
    names, marks = list(names), list(marks)
    for folder in (base / name for base in bases for name in (*names, "")):
        if any(True for mark in marks for _ in folder.glob(mark)):
            return folder.absolute()
    return None
