"""Divide corpora without official splits into train, dev and eval, by a hash of recording names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dfx import files
from dfx.tables.findings import some_items
from dfx.tables.labels import NAMES

FRACTIONS = {"train": 0.6, "dev": 0.2, "eval": 0.2}
MIN_GROUPS = 5  # an attack of fewer groups is divided together with other rare ones


def divide_into_splits(
    table: pd.DataFrame,
    groups: Sequence[str],
    file: Path | None = None,
    fractions: dict[str, float] | None = None,
) -> pd.Series:
    """Assign a split to each row, from a split file or by `assign_splits`.

    A split file that does not exist is written.

    Args:
        table: columns `id`, `label`, `attack` and those of `groups`.
        groups: columns whose values must not be divided; none: every row by itself.
        file: CSV with the columns id and split; it can be published.
        fractions: share of each split, as `assign_splits` takes it.

    Returns:
        (rows,) "train", "dev" or "eval", with the index of the table.

    Raises:
        ValueError: if the file lacks a column or an id, or names another split, or the table lacks a column.
    """
    if file is not None and file.is_file():
        kept = pd.read_csv(file, dtype="str", keep_default_na=False)
        if not {"id", "split"} <= set(kept.columns):
            raise ValueError(f"{file} has the columns {', '.join(kept.columns)}: a split file has id and split.")
        split = table["id"].astype("str").map(kept.drop_duplicates("id").set_index("id")["split"])
        bad = ~split.isin(list(FRACTIONS))
        if bad.any():
            raise ValueError(
                f"{file} gives no split (train, dev or eval) to {int(bad.sum())} of {len(table)} utterances "
                f"({some_items(table['id'][bad])}): it is of another version of the corpus. Delete it to write a new "
                "one."
            )
        return split
    absent = [name for name in groups if name not in table]
    if absent:
        raise ValueError(
            f"dataset.groups names {', '.join(absent)}, which is no column of this corpus: it has "
            f"{', '.join(map(str, table.columns))}. Name columns whose values must not be divided."
        )
    split = assign_splits(table, list(groups) or ["id"], fractions)
    if file is not None:
        with files.atomic_write(file) as temporary:
            pd.DataFrame({"id": table["id"], "split": split}).to_csv(temporary, index=False)
    return split


def split_without_class_text(table: pd.DataFrame, groups: Sequence[str]) -> str:
    """Warning text if a split lacks a class; empty if every split has both classes.

    Args:
        table: divided, with the columns `label`, `split` and those of `groups`.
        groups: as `divide_into_splits` took them.
    """
    counts = _class_counts(table)
    if counts.to_numpy().all():
        return ""
    missing = [word for label, word in NAMES.items() if not counts[label].sum()]
    if missing:
        return (
            f"none of the {len(table)} rows is {' or '.join(missing)}, so no split has both classes. See the labels in "
            "the protocol, take another part of the corpus, or put another corpus beside it, dataset=combined."
        )
    columns = list(groups) or ["id"]
    sizes = split_group_names(table, columns).value_counts()
    lacking = ", ".join(str(split) for split in counts.index[(counts == 0).any(axis=1)])
    return (
        f"{lacking} cannot have every class: the {len(table)} rows form {len(sizes)} groups that stay together (by "
        f"{', '.join(columns)}), the largest of {sizes.iloc[0]} rows. Keep others together, dataset.groups=[...], "
        "or give a file of splits, dataset.split_file=FILE."
    )


def splits_are_filled(table: pd.DataFrame, fractions: dict[str, float] | None = None) -> bool:
    """Whether each split has at least half of its share of the rows of each class."""
    counts = _class_counts(table)
    wanted = pd.Series(fractions or FRACTIONS) / 2
    return bool((counts / counts.sum()).ge(wanted, axis=0).to_numpy().all())


def _class_counts(table: pd.DataFrame) -> pd.DataFrame:
    counts = pd.crosstab(table["split"], table["label"])
    return counts.reindex(index=list(FRACTIONS), columns=list(NAMES), fill_value=0)


def assign_splits(
    table: pd.DataFrame, group: str | Sequence[str], fractions: dict[str, float] | None = None
) -> pd.Series:
    """Divide rows into train, dev and eval, stratified by class and attack; groups stay together.

    Groups are ordered by a hash of their name, so the same recordings get the same split on every machine and in any
    order of the rows. Within its (label, attack) stratum a group goes to the split that is furthest below its share;
    attacks of fewer than five groups form one stratum, so some of them are in dev or eval only.

    Args:
        table: columns `label`, `attack` and those that `group` names.
        group: column or columns whose values must not be divided (speaker, recording), or a unique id; rows that share
            a value of any of them form one group; "-", "" and a missing value do not count.
        fractions: share of each split; 60 % train, 20 % dev, 20 % eval by default.

    Returns:
        (rows,) "train", "dev" or "eval", with the index of the table.
    """
    shares = fractions or FRACTIONS
    names = list(shares)
    wanted = np.array([shares[name] for name in names])
    # A group with several strata counts in its most frequent one.
    stratum = table["label"].astype(str) + "/" + table["attack"].astype(str)
    columns = [group] if isinstance(group, str) else group
    frame = pd.DataFrame({"group": split_group_names(table, columns), "stratum": stratum})
    pairs = frame.groupby(["group", "stratum"], sort=True).size().rename("rows").reset_index()
    pairs = pairs.sort_values(["group", "rows", "stratum"], ascending=[True, False, True])
    sizes = pairs.groupby("group", sort=False).agg(size=("rows", "sum"), stratum=("stratum", "first"))
    # An attack of few groups cannot fill three splits: the rare attacks of a class are divided together.
    rare = sizes.groupby("stratum")["size"].transform("size") < MIN_GROUPS
    sizes["stratum"] = sizes["stratum"].mask(rare, sizes["stratum"].str.partition("/")[0])
    sizes["order"] = [hashlib.sha256(name.encode()).hexdigest() for name in sizes.index]
    chosen: dict[str, str] = {}
    for _, members in sizes.sort_values(["size", "order"], ascending=[False, True]).groupby("stratum"):
        filled = np.zeros(len(names))
        total = members["size"].sum()
        for number, (name, size) in enumerate(zip(members.index, members["size"], strict=True)):
            lack = wanted - filled / total
            # The last groups fill the splits that are still empty, so that no split lacks a class.
            if len(members) - number <= np.count_nonzero(filled == 0):
                lack[filled > 0] = -np.inf
            best = int(np.argmax(lack))
            filled[best] += size
            chosen[str(name)] = names[best]
    return frame["group"].map(chosen)


def split_group_names(table: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Name the group of each row: rows that share a value of any of the columns are in one group."""
    values = {name: table[name].astype("str").where(table[name].notna(), "-") for name in columns}
    known = {name: ~value.isin(["", "-"]) for name, value in values.items()}
    if len(columns) == 1 and known[columns[0]].all():
        return values[columns[0]]
    rows = np.arange(len(table))
    links, offset = [], len(table)
    for column in columns:
        codes, unique = pd.factorize(values[column], sort=True)
        linked = known[column].to_numpy()
        links.append((rows[linked], codes[linked] + offset))
        offset += len(unique)
    begin, end = (np.concatenate(side) for side in zip(*links, strict=True))
    graph = coo_array((np.ones(len(begin), np.int8), (begin, end)), shape=(offset, offset))
    component = connected_components(graph, directed=False)[1][: len(table)]
    name = pd.Series("", index=table.index, dtype="str")
    if "id" in table:  # the name where all columns are unknown
        values["id"] = table["id"].astype("str")
        known["id"] = values["id"] != ""
    for column, value in values.items():
        least = value.where(known[column]).groupby(component).transform("min")
        name = name.where(name != "", (column + "=" + least).fillna(""))
    return name.where(name != "", "group=" + pd.Series(component.astype("str"), table.index))
