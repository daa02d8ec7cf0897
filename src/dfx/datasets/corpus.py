"""A published corpus: where its folder is, what its protocol says, and whether the files agree with it."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from dfx.datasets.base import Dataset
from dfx.datasets.folder import SUFFIXES
from dfx.datasets.splits import divide
from dfx.findings import Finding, finding, some
from dfx.labels import BONAFIDE, NAMES, SPOOF
from dfx.manifest import NO_ATTACK, SPLITS, UNNAMED_ATTACK, Manifest

DATA = "DFX_DATA"  # environment variable: the folder below which corpora lie


class Corpus(Dataset):
    """A corpus whose layout dfx knows. A subclass has `tree` and `marks`, and writes `table`.

    Args:
        name: what is typed, `dataset=NAME`.
        root: its folder, or one that holds it; None: below `$DFX_DATA`.
        facts: what its authors publish, from the YAML: `page`, `licence`, `citation`, `folders` (names its folder goes
            by), `labels` (word -> bonafide or spoof), `rows` (split -> class -> number), `downloads`.
        groups: columns whose values must not be divided, for a corpus without official splits.
        split_file: CSV (id, split) that fixes the splits; written where it is not there yet.
    """

    tree: ClassVar[str]  # what a folder of this corpus looks like, shown where it is not found
    marks: ClassVar[tuple[str, ...]]  # relative glob patterns: a folder that has any of them is this corpus

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
        `attach` finds the files.
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
            table["split"] = divide(table, self.groups, self.split_file)
        manifest = Manifest(table, name=self.name)
        self._compare_counts(manifest)
        self.findings = tuple(self._found)
        return manifest

    def note_finding(self, kind: str, severity: str, text: str, items: Sequence[Any] = ()) -> None:
        """Add to `findings`."""
        self._found.append(finding(kind, severity, text, items))

    def folder(self) -> Path:
        """The folder of the corpus: `root`, or below `$DFX_DATA`, or a sub-folder of either by one of its names.

        Raises:
            ValueError: a sentence with the expected tree, what was found, and where the corpus is obtained.
        """
        given = self._given or os.environ.get(DATA)
        base: Path | None = Path(given).expanduser() if given else None
        for name in ("", *self.facts.get("folders", [self.name])):
            if base is not None and any(True for mark in self.marks for _ in (base / name).glob(mark)):
                return (base / name).absolute()
        raise ValueError(self._not_here(base))

    def need(self, *patterns: str) -> Path:
        """The first file or folder in the corpus that matches one of the relative glob patterns.

        Raises:
            ValueError: the same sentence as `folder`, where there is none.
        """
        root = self.folder()
        for pattern in patterns:
            for path in sorted(root.glob(pattern)):
                if not path.name.startswith("."):
                    return path
        raise ValueError(self._not_here(root, f"; no {' or '.join(patterns)}"))

    def attach(self, table: pd.DataFrame, names: pd.Series, folder: Path, what: str = "") -> pd.DataFrame:
        """The table with `path`: `names` below the folder; counts rows without a file and files without a row.

        Args:
            table: rows of the protocol, with `id`.
            names: for each row, the file relative to the folder.
            folder: searched with its sub-folders for audio files; hidden and AppleDouble files are not seen.
            what: part of the corpus, for the sentences ("dev").
        """
        present = audio_files(folder)
        missing = table["id"][~names.isin(present)].tolist()
        extra = present[~present.isin(names)].tolist()
        part = f"{self.name} {what}".strip()
        if missing:
            text = (
                f"{len(missing)} of {len(table)} rows of {part} have no file below {folder}: complete the corpus, "
                "or go on without them (data.max_bad_fraction)."
            )
            self.note_finding("rows-without-file", "warning", text, missing)
        if extra:
            text = f"{len(extra)} audio files of {part} are in no row of its protocol and left out: {some(extra)}."
            self.note_finding("files-without-row", "note", text, extra)
        return table.assign(path=f"{folder}{os.sep}" + names.astype("str"))

    def _labels(self, table: pd.DataFrame) -> pd.Series:
        classes = {word: number for number, word in NAMES.items()}
        known = {str(word).lower(): classes[name] for word, name in self.facts.get("labels", classes).items()}
        words = table["label"].fillna("").astype("str").str.strip().str.lower()
        bad = ~words.isin(list(known))
        if bad.any():
            named = [
                f"{i} ({word!r})"
                for i, word in zip(table["id"][bad][:5], table["label"][bad][:5], strict=True)
            ]
            raise ValueError(
                f"{int(bad.sum())} of {len(table)} rows of {self.name} have a label that the corpus does not know: "
                f"{', '.join(named)}; it knows {', '.join(known)}. Correct the protocol, or name the word in "
                "dataset.facts.labels."
            )
        return words.map(known).astype("int64")

    def _compare_counts(self, manifest: Manifest) -> None:
        official: dict[str, dict[str, int]] = self.facts.get("rows") or {}
        counts = manifest.counts()
        for split in (split for split in SPLITS if split in official):
            for label in (BONAFIDE, SPOOF):
                name = NAMES[label]
                wanted = official[split].get(name)
                got = int(counts.loc[split].get(name, 0)) if split in counts.index else 0
                if wanted is not None and got != wanted:
                    text = (
                        f"{self.name} has {got} {name} rows in {split}, its authors publish {wanted}: compare the "
                        f"protocol with {self.facts.get('page', 'theirs')}."
                    )
                    self._found.append(finding("row-count", "warning", text, count=abs(got - wanted)))

    def _not_here(self, base: Path | None, detail: str = "") -> str:
        if base is None:
            found = f"no folder was given and ${DATA} is not set"
        elif not base.is_dir():
            found = f"there is no folder {base}"
        else:
            names = sorted(path.name for path in base.iterdir() if not path.name.startswith("."))
            found = f"{base} holds {some(names) or 'nothing'}{detail}"
        page = self.facts.get("page")
        return (
            f"{self.name} is not where it was looked for: {found}. Expected, at dataset.root=DIR or below ${DATA}:\n"
            f"{self.tree.rstrip()}\n" + (f"It is obtained from {page}" if page else "")
        ).rstrip()


def audio_files(folder: Path) -> pd.Series:
    """Audio files at or below a folder, as paths relative to it with `/`, sorted; hidden ones (`._x`) are not seen."""
    found: list[str] = []
    prefix = len(str(folder)) + 1
    for place, subfolders, names in os.walk(folder, followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and name != "__MACOSX")
        below = place[prefix:].replace(os.sep, "/")
        start = f"{below}/" if below else ""
        found += [
            start + name
            for name in sorted(names)
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122  (600,000 times)
        ]
    return pd.Series(found, dtype="str")
