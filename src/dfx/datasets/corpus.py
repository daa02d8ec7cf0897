"""A published corpus: where its folder is, what its protocol says, and whether the files agree with it."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from dfx.datasets import recordings
from dfx.datasets.base import Dataset
from dfx.datasets.splits import divide, shortfall
from dfx.tables.findings import Finding, finding, some
from dfx.tables.labels import BONAFIDE, NAMES, parse_label
from dfx.tables.manifest import NO_ATTACK, UNNAMED_ATTACK, Manifest

DATA = "DFX_DATA"  # environment variable: the folder below which corpora lie
ALL, TOTAL = "all", "total"  # keys of `rows` for every split and for both classes together


class Corpus(Dataset):
    """A corpus whose layout dfx knows. A subclass has `tree` and `marks`, and writes `table`.

    Args:
        name: what is typed, `dataset=NAME`.
        root: its folder, or one that holds it; None: below `$DFX_DATA`.
        facts: what its authors publish, from the YAML: `page`, `licence`, `citation`, `folders` (names its folder goes
            by), `labels` (word -> bonafide or spoof), `rows` (split or all -> class or total -> number),
            `downloads`.
        groups: columns whose values must not be divided, for a corpus without official splits.
        split_file: CSV (id, split) that fixes the splits; written where it is not there yet.
    """

    tree: str  # what a folder of this corpus looks like, shown where it is not found
    marks: tuple[str, ...]  # relative glob patterns: a folder that has any of them is this corpus
    fractions: ClassVar[dict[str, float] | None] = None  # share of each split, where not `splits.FRACTIONS`

    def __init__(
        self,
        name: str,
        root: str | None,
        facts: dict[str, Any] | None,
        groups: Sequence[str] = (),
        split_file: str | None = None,
    ) -> None:
        self.name = name
        self.facts = facts or {}
        self.groups = list(groups)
        self.split_file = Path(split_file).expanduser() if split_file else None
        self._given = root
        self._found: list[Finding] = []

    @abstractmethod
    def table(self) -> pd.DataFrame:
        """Rows as the corpus states them: id, path (absolute), label (its own word), and what else is known.

        `attack`, `speaker` and every metadata column are kept; `split` only where the corpus has official ones.
        `attach` and `locate` find the files.
        """

    def manifest(self) -> Manifest:
        """One row an utterance; `findings` then holds what was noticed.

        Raises:
            ValueError: if the folder is not found or laid out otherwise, or labels or ids are wrong.
        """
        self._found = []
        table = self.table()
        table = table.assign(label=self._labels(table))
        bonafide = table["label"] == BONAFIDE
        attack = table["attack"].fillna("").astype("str") if "attack" in table else pd.Series("", table.index)
        attack = attack.mask(~bonafide & attack.isin(["", NO_ATTACK]), UNNAMED_ATTACK)
        table["attack"] = attack.mask(bonafide, NO_ATTACK)
        if "split" not in table:
            table["split"] = divide(table, self.groups, self.split_file, self.fractions)
            if text := shortfall(table, self.groups):
                self.note_finding("split-without-class", "warning", f"{self.name}: {text}")
        manifest = Manifest(table, name=self.name)
        self._compare_counts(manifest)
        self.findings = tuple(self._found)
        return manifest

    def note_finding(self, kind: str, severity: str, text: str, items: Sequence[Any] = ()) -> None:
        """Add to `findings`."""
        self._found.append(finding(kind, severity, text, items))

    def official_rows(self) -> dict[str, dict[str, int]]:
        """Number of rows that the authors publish, by split and class; a subclass drops it where it does not apply."""
        return self.facts.get("rows") or {}

    def folder(self) -> Path:
        """The folder of the corpus: a sub-folder of `root` or of `$DFX_DATA` by one of its names, or that itself.

        Raises:
            ValueError: a sentence with the expected tree, what was found, and where the corpus is obtained.
        """
        given = self._given or os.environ.get(DATA)
        base: Path | None = Path(given).expanduser() if given else None
        if base is not None:
            for name in (*self.facts.get("folders", [self.name]), ""):
                folder = base / str(name)
                if any(True for mark in self.marks for _ in folder.glob(mark)):
                    return folder.absolute()
        raise ValueError(self._not_here(base))

    def first(self, *patterns: str) -> Path | None:
        """The first file or folder in the corpus that matches one of the relative glob patterns, hidden ones not."""
        root = self.folder()
        found = (path for pattern in patterns for path in sorted(root.glob(pattern)))
        return next((path for path in found if not path.name.startswith(".")), None)

    def need(self, *patterns: str, advice: str = "") -> Path:
        """The same, where it must be there.

        Args:
            patterns: relative glob patterns.
            advice: what else the sentence should say.

        Raises:
            ValueError: the same sentence as `folder`, where there is none.
        """
        path = self.first(*patterns)
        if path is None:
            raise ValueError(self._not_here(self.folder(), f"; no {' or '.join(patterns[:3])}", advice))
        return path

    def attach(self, table: pd.DataFrame, names: pd.Series, folder: Path, what: str = "") -> pd.DataFrame:
        """The table with `path`: `names` below the folder; counts rows without a file and files without a row.

        Args:
            table: rows of the protocol, with `id`.
            names: for each row, the file relative to the folder; the case of its letters may differ.
            folder: searched with its sub-folders for audio files; hidden and AppleDouble files are not seen.
            what: part of the corpus, for the sentences ("dev").
        """
        present = set(recordings.below(folder))
        spelt = {name.lower(): name for name in sorted(present)}
        found = [name if name in present else spelt.get(name.lower(), name) for name in names]
        there = pd.Series([name in present for name in found], index=table.index)
        self._note_files(table, there, sorted(present.difference(found)), [folder], what)
        return table.assign(path=[f"{folder}{os.sep}{name}" for name in found])

    def locate(
        self, table: pd.DataFrame, folders: Sequence[Path], what: str = "", others: Iterable[str] = ()
    ) -> pd.DataFrame:
        """The table with `path`: the audio file at or below the folders that is named after the id, in any format.

        Args:
            table: rows of the protocol, with `id`.
            folders: one or more; a file that is missing is said to be in the first.
            what: part of the corpus, for the sentences ("dev").
            others: further ids whose files are expected there.
        """
        paths: dict[str, str] = {}
        again = []
        for folder in folders:
            for name in recordings.below(folder):
                path = f"{folder}{os.sep}{name}"
                if paths.setdefault(name.rpartition("/")[2].rpartition(".")[0], path) != path:
                    again.append(path)
        if again:
            text = (
                f"{len(again)} audio files of {f'{self.name} {what}'.strip()} have the name of another one, which is "
                f"taken in their place: {some(again)}. Remove those that do not belong there."
            )
            self.note_finding("files-of-one-name", "warning", text, again)
        known = {*table["id"], *others}
        located = table["id"].map(paths).astype("str")
        there = located.notna()
        extra = [file for stem, file in paths.items() if stem not in known]
        self._note_files(table, there, extra, folders, what)
        return table.assign(path=located.where(there, f"{folders[0]}{os.sep}" + table["id"] + ".flac"))

    def _note_files(
        self, table: pd.DataFrame, there: pd.Series, extra: list[str], folders: Sequence[Path], what: str
    ) -> None:
        part = f"{self.name} {what}".strip()
        missing = table["id"][~there].tolist()
        if missing:
            below = " or ".join(map(str, folders))
            text = (
                f"{len(missing)} of {len(table)} rows of {part} have no file below {below} ({some(missing)}): complete "
                "the corpus, or go on without them (data.max_bad_fraction)."
            )
            self.note_finding("rows-without-file", "warning", text, missing)
        if extra:
            text = f"{len(extra)} audio files of {part} are in no row of its protocol and left out: {some(extra)}."
            self.note_finding("files-without-row", "note", text, extra)

    def _labels(self, table: pd.DataFrame) -> pd.Series:
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
        for split, wanted in self.official_rows().items():
            got = {name: int(counts[name].get(split, 0)) for name in wanted}
            wrong = [name for name in wanted if got[name] != wanted[name]]
            if wrong:
                has = " and ".join(f"{got[name]} {name}".removesuffix(f" {TOTAL}") for name in wrong)
                text = (
                    f"{self.name} has {has} rows in {split}, its authors publish "
                    f"{' and '.join(str(wanted[name]) for name in wrong)}: compare the protocol with "
                    f"{self.facts.get('page', 'theirs')}."
                )
                differ = sum(abs(wanted[name] - got[name]) for name in wrong)
                self._found.append(finding("row-count", "warning", text, count=differ))

    def _not_here(self, base: Path | None, detail: str = "", advice: str = "") -> str:
        if base is None:
            found = f"no folder was given and ${DATA} is not set"
        elif not base.is_dir():
            found = f"there is no folder {base}"
        else:
            names = sorted(path.name for path in base.iterdir() if not path.name.startswith("."))
            found = f"{base} holds {some(names) or 'nothing'}{detail}"
        page = self.facts.get("page")
        sentences = [advice, f"It is obtained from {page}" if page else ""]
        return (
            f"{self.name} is not where it was looked for: {found}. Expected, at dataset.root=DIR or below ${DATA}:\n"
            f"{self.tree.rstrip()}\n" + "\n".join(sentence for sentence in sentences if sentence)
        ).rstrip()


class DividedCorpus(Corpus):
    """A published corpus without official splits, and without options of its own. A subclass has `name` and `apart`.

    Args:
        root: its folder; see `Corpus`.
        facts: what its authors publish.
        groups: columns whose values must not be divided; None: `apart`.
        split_file: CSV (id, split) that fixes the splits.
    """

    name: str
    apart: tuple[str, ...] = ()  # columns whose values must not be divided

    def __init__(
        self,
        root: str | None = None,
        facts: dict[str, Any] | None = None,
        groups: Sequence[str] | None = None,
        split_file: str | None = None,
    ) -> None:
        super().__init__(self.name, root, facts, self.apart if groups is None else groups, split_file)


def audio_files(folder: Path) -> pd.Series:
    """Audio files at or below a folder, as `recordings.below` gives them."""
    return pd.Series(recordings.below(folder), dtype="str")
