"""Combined corpora: train, dev and eval are each put together from splits of several corpora."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pandas as pd

from dfx.datasets.corpus import Dataset
from dfx.tables.findings import some_items
from dfx.tables.manifest import ALL, NO_ATTACK, NO_SPEAKER, SPLITS, Manifest


class Combined(Dataset):
    """Corpus put together from splits of several corpora.

    The column `corpus` names the corpus of each row. `NAME` in `train` takes the train split of that corpus, in `dev`
    its dev split, in `eval` its eval split; `NAME:SPLIT` takes another split, `NAME:all` every row. Ids, attacks and
    speakers are prefixed with the name, since A07 of two corpora are different attacks. `data.balance=corpus` draws
    corpora of different size equally often.

    Args:
        train, dev, eval: the corpora of each split.
        corpora: the corpora by name.
    """

    def __init__(
        self,
        train: Sequence[str],
        dev: Sequence[str],
        eval: Sequence[str],
        corpora: dict[str, Dataset],
    ) -> None:
        self.wanted = {"train": list(train), "dev": list(dev), "eval": list(eval)}
        self.corpora = corpora
        self.note = "; ".join(dict.fromkeys(corpus.note for corpus in corpora.values() if corpus.note))
        empty = [split for split, names in self.wanted.items() if not names]
        if empty:
            raise ValueError(
                f"dataset=combined has no corpus for {' and '.join(empty)}: name at least one for each of train, dev "
                "and eval, for example dataset.eval=[in_the_wild:all]."
            )

    def manifest(self) -> Manifest:
        """Build the manifest of all combined splits.

        Raises:
            ValueError: if a corpus lacks the split that is asked for, or a recording would be in two splits.
        """
        names = dict.fromkeys(_parse_entry(entry)[0] for entries in self.wanted.values() for entry in entries)
        tables = {name: self.corpora[name].manifest().table for name in names}
        self.findings = tuple(found for name in names for found in self.corpora[name].findings)
        parts = {
            split: pd.concat([self._part(tables, split, entry) for entry in entries], ignore_index=True)
            for split, entries in self.wanted.items()
        }
        for one, other in combinations(SPLITS, 2):
            shared = parts[one]["id"][parts[one]["path"].isin(parts[other]["path"])]
            if len(shared):
                raise ValueError(
                    f"{len(shared)} recordings are in {one} and in {other} ({some_items(shared)}): a detector would be "
                    "measured on what it was trained or chosen on. Take different splits of the corpus."
                )
        table = pd.concat(parts.values(), ignore_index=True)
        for column in table.columns[table.isna().any()]:  # columns that only some of the corpora have
            if not pd.api.types.is_numeric_dtype(table[column]):
                table[column] = table[column].astype("str").where(table[column].notna(), "-")
        return Manifest(table, name="+".join(names))

    def _part(self, tables: dict[str, pd.DataFrame], split: str, entry: str) -> pd.DataFrame:
        name, source = _parse_entry(entry)
        table = tables[name]
        if source != ALL:
            table = table[table["split"] == (source or split)]
        if table.empty:
            has = ", ".join(present for present in SPLITS if (tables[name]["split"] == present).any())
            raise ValueError(
                f"dataset.{split} takes the {source or split} split of {name}, which has {has} only: write {name}:all, "
                f"{name}:{has.split(',')[0]} or another corpus."
            )
        front = f"{name}/"
        return table.assign(
            id=front + table["id"],
            attack=_prefixed(table["attack"], f"{name}.", NO_ATTACK),
            speaker=_prefixed(table["speaker"], front, NO_SPEAKER),
            split=split,
            corpus=name,
        )


def _parse_entry(entry: str) -> tuple[str, str]:
    name, _, split = entry.partition(":")
    if split and split not in (*SPLITS, ALL):
        raise ValueError(f"{entry!r} asks for a split {split!r}: write {name}:{', '.join(SPLITS)} or {ALL}.")
    return name, split


def _prefixed(column: pd.Series, front: str, unknown: str) -> pd.Series:
    return (front + column).where(column != unknown, unknown)
