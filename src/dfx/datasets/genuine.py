"""The recordings that a corpus of fakes was made from, which is a corpus of its own and lies elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from dfx.datasets.corpus import DATA


class Genuine(NamedTuple):
    """A corpus of recordings that others made fakes of.

    Attributes:
        name: what people call it.
        option: key of the dataset that says where it is, "mailabs_root".
        folders: names that its folder goes by.
        mark: relative glob pattern of something in that folder.
        page: where it is obtained.
    """

    name: str
    option: str
    folders: tuple[str, ...]
    mark: str
    page: str

    def folder(self, given: str | None, beside: Path) -> Path | None:
        """Its folder: `given`, or else beside or below a corpus of fakes, or below `$DFX_DATA`; None if not found.

        Raises:
            ValueError: if it is not where it was said to be.
        """
        data = os.environ.get(DATA)
        bases = [Path(given)] if given else [beside, beside.parent, *([Path(data)] if data else [])]
        for base in (base.expanduser() for base in bases):
            for name in (*self.folders, ""):
                if any(True for _ in (base / name).glob(self.mark)):
                    return (base / name).absolute()
        if given:
            raise ValueError(
                f"dataset.{self.option}={given} has no {self.mark}: give the folder of {self.name}, obtained from "
                f"{self.page}."
            )
        return None

    def missing(self, corpus: str) -> str:
        """The sentence for a corpus of fakes whose recordings were not found."""
        return (
            f"{self.name}, of which {corpus} holds fakes, is not there, and {corpus} has no genuine recordings of its "
            f"own: give dataset.{self.option}=DIR, obtained from {self.page}, or combine {corpus} with another corpus."
        )
