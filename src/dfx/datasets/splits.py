"""Deterministic splits for recordings that come without any."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dfx.tables.findings import some

FRACTIONS = {"train": 0.6, "dev": 0.2, "eval": 0.2}
MIN_GROUPS = 5  # of an attack, so that each split gets its share of one


def divide(
    table: pd.DataFrame,
    groups: Sequence[str],
    file: Path | None = None,
    fractions: dict[str, float] | None = None,
) -> pd.Series:
    """Split of each row of a corpus that has none: as a file says, or by `assign`, which is then kept in the file.

    Args:
        table: columns `id`, `label`, `attack` and those of `groups`.
        groups: columns whose values must not be divided; none: every row by itself.
        file: CSV with the columns id and split; it can be committed, and read again with the same corpus.
        fractions: share of each split, as `assign` takes it.

    Returns:
        (rows,) "train", "dev" or "eval", with the index of the table.

    Raises:
        ValueError: if the file lacks a column or an id, or names another split, or the table lacks a column.
    """
    if file is not None and file.is_file():
        kept = pd.read_csv(file, dtype="str", keep_default_na=False)
        if not {"id", "split"} <= set(kept.columns):
            raise ValueError(
                f"{file} has the columns {', '.join(kept.columns)}: a split file has id and split."
            )
        split = table["id"].astype("str").map(kept.drop_duplicates("id").set_index("id")["split"])
        bad = ~split.isin(list(FRACTIONS))
        if bad.any():
            raise ValueError(
                f"{file} gives no split (train, dev or eval) to {int(bad.sum())} of {len(table)} utterances "
                f"({some(table['id'][bad])}): it belongs to another version of the corpus. Delete it to make it anew."
            )
        return split
    absent = [name for name in groups if name not in table]
    if absent:
        raise ValueError(
            f"dataset.groups names {', '.join(absent)}, which is no column of this corpus: it has "
            f"{', '.join(map(str, table.columns))}. Name columns whose values must not be divided."
        )
    split = assign(table, list(groups) or ["id"], fractions)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
        pd.DataFrame({"id": table["id"], "split": split}).to_csv(temporary, index=False)
        temporary.replace(file)
    return split


def shortfall(table: pd.DataFrame, groups: Sequence[str]) -> str:
    """Why a split lacks a class that others have, and what to do; empty where none lacks one.

    Args:
        table: divided, with the columns `label`, `split` and those of `groups`.
        groups: as `divide` took them.
    """
    counts = pd.crosstab(table["split"], table["label"]).reindex(list(FRACTIONS), fill_value=0)
    if counts.to_numpy().all():
        return ""
    columns = list(groups) or ["id"]
    sizes = joined(table, columns).value_counts()
    lacking = ", ".join(str(split) for split in counts.index[(counts == 0).any(axis=1)])
    return (
        f"{lacking} cannot have every class: the {len(table)} rows form {len(sizes)} groups that stay together (by "
        f"{', '.join(columns)}), the largest of {sizes.iloc[0]} rows. Keep others together, dataset.groups=[...], "
        "or give a file of splits, dataset.split_file=FILE."
    )


def assign(
    table: pd.DataFrame, group: str | Sequence[str], fractions: dict[str, float] | None = None
) -> pd.Series:
    """Split of each row: rows of one group stay together, each class and attack is divided alike.

    Groups are ordered by a hash of their name, so the same recordings get the same split on every machine and in any
    order of the rows. A group goes, within its (label, attack) stratum, to the split that is furthest below its share;
    attacks of fewer than five groups are one stratum together, so some of them come in dev or eval alone.

    Args:
        table: columns `label`, `attack` and those that `group` names.
        group: column or columns whose values must not be divided (speaker, recording); rows that share a value of any
            of them form one group, and "-", "" or nothing is no value. A unique id where nothing is known.
        fractions: share of each split; 60 % train, 20 % dev, 20 % eval by default.

    Returns:
        (rows,) "train", "dev" or "eval", with the index of the table.
    """
    shares = fractions or FRACTIONS
    names = list(shares)
    wanted = np.array([shares[name] for name in names])
    # A group with several strata counts in its most frequent one.
    stratum = table["label"].astype(str) + "/" + table["attack"].astype(str)
    frame = pd.DataFrame(
        {"group": joined(table, [group] if isinstance(group, str) else group), "stratum": stratum}
    )
    pairs = frame.groupby(["group", "stratum"], sort=True).size().rename("rows").reset_index()
    pairs = pairs.sort_values(["group", "rows", "stratum"], ascending=[True, False, True])
    sizes = pairs.groupby("group", sort=False).agg(size=("rows", "sum"), stratum=("stratum", "first"))
    # An attack of few groups cannot be shared out by itself: the rare ones of a class are, together.
    rare = sizes.groupby("stratum")["size"].transform("size") < MIN_GROUPS
    sizes["stratum"] = sizes["stratum"].mask(rare, sizes["stratum"].str.partition("/")[0])
    sizes["order"] = [hashlib.sha256(name.encode()).hexdigest() for name in sizes.index]
    chosen: dict[str, str] = {}
    for _, members in sizes.sort_values(["size", "order"], ascending=[False, True]).groupby(
        "stratum", sort=True
    ):
        filled = np.zeros(len(names))
        total = members["size"].sum()
        for number, (name, size) in enumerate(zip(members.index, members["size"], strict=True)):
            lack = wanted - filled / total
            # The last groups go where there is none, so that no split lacks a class.
            if len(members) - number <= np.count_nonzero(filled == 0):
                lack[filled > 0] = -np.inf
            best = int(np.argmax(lack))
            filled[best] += size
            chosen[str(name)] = names[best]
    return frame["group"].map(chosen)


def joined(table: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Name of each row's group, where rows that share a value of any of the columns are one group.

    The name does not depend on the order of the rows: it is the smallest value of the first column in the group, or,
    where that is unknown, of the next.
    """
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
    if "id" in table:  # names what has nothing else
        values["id"] = table["id"].astype("str")
        known["id"] = values["id"] != ""
    for column, value in values.items():
        least = value.where(known[column]).groupby(component).transform("min")
        name = name.where(name != "", (column + "=" + least).fillna(""))
    return name.where(name != "", "group=" + pd.Series(component.astype("str"), table.index))
