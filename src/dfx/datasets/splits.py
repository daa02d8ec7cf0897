"""Deterministic splits for recordings that come without any."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

FRACTIONS = {"train": 0.6, "dev": 0.2, "eval": 0.2}


def assign(table: pd.DataFrame, group: str, fractions: dict[str, float] | None = None) -> pd.Series:
    """Split of each row: rows of one group stay together, each class and attack is divided alike.

    Groups are ordered by a hash of their name, so the same recordings get the same split on every machine and in any
    order of the rows. A group goes, within its (label, attack) stratum, to the split that is furthest below its share.

    Args:
        table: columns `label`, `attack` and the one that `group` names.
        group: column whose values must not be divided (speaker, recording); a unique id where nothing is known.
        fractions: share of each split; 60 % train, 20 % dev, 20 % eval by default.

    Returns:
        (rows,) "train", "dev" or "eval", with the index of the table.
    """
    shares = fractions or FRACTIONS
    names = list(shares)
    wanted = np.array([shares[name] for name in names])
    # A group with several strata counts in its most frequent one.
    stratum = table["label"].astype(str) + "/" + table["attack"].astype(str)
    frame = pd.DataFrame({"group": table[group].astype(str), "stratum": stratum})
    sizes = frame.groupby("group", sort=False).agg(
        size=("stratum", "size"), stratum=("stratum", _most_frequent)
    )
    sizes["order"] = [hashlib.sha256(name.encode()).hexdigest() for name in sizes.index]
    chosen: dict[str, str] = {}
    for _, members in sizes.sort_values(["size", "order"], ascending=[False, True]).groupby(
        "stratum", sort=True
    ):
        filled = np.zeros(len(names))
        total = members["size"].sum()
        for number, (name, size) in enumerate(zip(members.index, members["size"], strict=True)):
            lack = wanted - filled / total
            if len(members) - number <= np.count_nonzero(filled == 0):
                lack[
                    filled > 0
                ] = -np.inf  # the last groups go where there is none, so that no split lacks a class
            best = int(np.argmax(lack))
            filled[best] += size
            chosen[str(name)] = names[best]
    return frame["group"].map(chosen)


def _most_frequent(values: pd.Series) -> str:
    return str(values.mode().iloc[0])
