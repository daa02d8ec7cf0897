"""Index of the recordings in a folder of parts: which part holds each recording, and where."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dfx import console
from dfx.audio.parts import (
    BAD,
    DEFAULT_LIMITS,
    NUM_THREADS,
    DecodingLimits,
    PartEntry,
    part_names,
    read_in_pieces,
    read_part_table,
    remove_part,
    stat_recording,
)

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = -1  # part of a recording that no part holds
CHECK_BYTES = 256 << 20  # compared with checksums at every opening: 0.2 s, and all of a store of 2 hours
ROWS_AT_ONCE = 1 << 17  # of tables compared with the catalogue together: limits memory


class PartCatalogue:
    """Index of recordings in a folder of parts: part, offset, length and scale of each recording.

    Attributes:
        folder: of the parts.
        paths: of the recordings, distinct.
        sizes, mtimes: of their files, as they are now.
        unit_bytes: of a sample (of a map: of a frame).
        limits: of decoding; files that other limits made bad are missing, not bad.
        names: of the parts.
        part: (recordings,) number of the part, `MISSING` where none holds it.
        offset, length, scale, crc32: (recordings,), see `PartEntry`.
        reasons: of bad files, by the number of the recording.
    """

    def __init__(
        self,
        folder: Path,
        paths: list[str],
        sizes: NDArray[np.int64],
        mtimes: NDArray[np.int64],
        unit_bytes: int,
        limits: DecodingLimits = DEFAULT_LIMITS,
    ) -> None:
        import pyarrow as pa

        self.folder, self.paths, self.unit_bytes = folder, paths, unit_bytes
        self.sizes, self.mtimes, self.limits = sizes, mtimes, limits
        self._wanted = pa.array([os.fsencode(path) for path in paths], pa.binary())
        self.reload()

    def reload(self) -> None:
        """Read the tables of all parts again, after parts were merged or rebuilt."""
        count = len(self.paths)
        self.names: list[str] = []
        self.part = np.full(count, MISSING, np.int32)
        self.offset, self.length = np.zeros(count, np.int64), np.full(count, BAD, np.int64)
        self.scale, self.crc32 = np.ones(count, np.float32), np.zeros(count, np.uint32)
        self.reasons: dict[int, str] = {}
        self._seen: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Read the tables of new parts, and remove damaged parts so that they are rebuilt."""
        new = [name for name in part_names(self.folder) if name not in self._seen]
        self._seen.update(new)
        tables: list[pa.Table] = []
        numbers: list[int] = []
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            for first in range(0, len(new), 64):
                chunk = new[first : first + 64]
                for name, table in zip(chunk, pool.map(self._read, chunk), strict=True):
                    if table is not None and len(table):
                        tables.append(table)
                        numbers.append(len(self.names))
                        self.names.append(name)
                if sum(map(len, tables)) > ROWS_AT_ONCE:
                    self._add(tables, numbers)
                    tables, numbers = [], []
        if tables:
            self._add(tables, numbers)

    def add_part(self, name: str, recordings: list[int], entries: Sequence[PartEntry]) -> None:
        """Add a part that this process has written, without reading its table; not if it is damaged."""
        size, mtime, offset, length, scale, crc32 = np.array([entry[1:-1] for entry in entries], np.int64).T
        # The files may have changed since the catalogue was made.
        self.sizes[recordings], self.mtimes[recordings] = size, mtime
        end = int((offset + np.maximum(length, 0)).max())
        if stat_recording(str(self.folder / f"{name}.pcm"))[0] != end * self.unit_bytes:
            return
        self.part[recordings] = np.where(length >= 0, len(self.names), MISSING)
        self.offset[recordings], self.length[recordings] = offset, length
        self.scale[recordings], self.crc32[recordings] = scale, crc32
        self.reasons |= {
            number: entry.reason for number, entry in zip(recordings, entries, strict=True) if entry.reason
        }
        self.names.append(name)
        self._seen.add(name)

    def remove_damaged(self) -> None:
        """Verify the checksums of randomly chosen recordings, up to 256 MiB, and remove damaged parts.

        It is all of a small store; of a large one another choice at each opening. `prepare verify=true` compares
        everything.
        """
        held = np.flatnonzero((self.part != MISSING) & (self.length > 0))
        sizes = self.length[held] * self.unit_bytes
        if sizes.sum() > CHECK_BYTES:
            order = np.random.default_rng().permutation(len(held))
            held = held[order[np.cumsum(sizes[order]) <= CHECK_BYTES]]
        held = held[np.lexsort((self.offset[held], self.part[held]))]
        changed = False
        for part, group in itertools.groupby(held.tolist(), key=lambda number: int(self.part[number])):
            name = self.names[part]
            try:
                with (self.folder / f"{name}.pcm").open("rb") as data:
                    for number in group:
                        offset, length, crc32 = self.offset[number], self.length[number], self.crc32[number]
                        for _ in read_in_pieces(data, int(offset), int(length), int(crc32), self.unit_bytes):
                            pass
            except FileNotFoundError:  # another process has put it into a larger part
                changed = True
            except ValueError as error:
                console.say(f"The store {self.folder} is damaged, this part is made again: {name} ({error})")
                remove_part(self.folder, name)
                changed = True
        if changed:
            self.reload()

    def missing(self, chosen: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
        """Return the numbers of recordings that are in no part and are not bad; only of `chosen` if given."""
        chosen = np.arange(len(self.paths)) if chosen is None else chosen
        lacking: NDArray[np.intp] = chosen[self.part[chosen] == MISSING]
        return lacking[~np.isin(lacking, np.fromiter(self.reasons, np.intp, len(self.reasons)))]

    def exclude(self, reasons: Mapping[int, str]) -> None:
        """Treat recordings as bad, whatever the parts hold; `reasons` are by their number."""
        numbers = np.fromiter(reasons, np.intp, len(reasons))
        self.part[numbers], self.length[numbers] = MISSING, BAD
        self.reasons.update(reasons)

    def path_of(self, number: int) -> Path:
        """Path of the .pcm file that contains a recording."""
        return self.folder / f"{self.names[self.part[number]]}.pcm"

    def _read(self, name: str) -> pa.Table | None:
        try:
            found = read_part_table(self.folder, name)
            return None if found is None else found[0]
        except ValueError as error:
            console.say(f"The store {self.folder} is damaged, what this part held is made again: {error}")
            remove_part(self.folder, name)
            return None

    def _numbers(self, paths: pa.Array) -> NDArray[np.intp]:
        """Return the recording number of each path; -1 for a path that is not in the catalogue."""
        import pyarrow.compute as pc

        wanted, numbers = self._wanted, np.arange(len(self.paths))
        if len(paths) < len(wanted):  # after each part of a build: ten times as fast
            numbers = np.flatnonzero(pc.is_in(wanted, value_set=paths))
            wanted = wanted.take(numbers)
        found = pc.fill_null(pc.index_in(paths, value_set=wanted), -1).to_numpy()
        of_paths: NDArray[np.intp] = np.append(numbers, -1)[found]
        return of_paths

    def _add(self, tables: list[pa.Table], numbers: list[int]) -> None:
        import pyarrow as pa

        part = np.repeat(np.array(numbers, np.int32), [len(table) for table in tables])
        table = pa.concat_tables(tables)
        file = self._numbers(table["path"].combine_chunks())
        columns: dict[str, NDArray[Any]] = {
            name: table[name].to_numpy() for name in ("size", "mtime_ns", "offset", "length", "scale", "crc32")
        }
        wanted = (file >= 0) & (columns["size"] == self.sizes[file]) & (columns["mtime_ns"] == self.mtimes[file])
        good = np.flatnonzero(wanted & (columns["length"] >= 0) & (self.part[file] == MISSING))
        good = good[np.unique(file[good], return_index=True)[1]]
        self.part[file[good]] = part[good]
        for name in ("offset", "length", "scale", "crc32"):
            getattr(self, name)[file[good]] = columns[name][good]
        for row in np.flatnonzero(wanted & (columns["length"] < 0)).tolist():
            reason = table["reason"][row].as_py()
            if " [limit " not in reason or reason.endswith(f"[{self.limits.text()}]"):
                self.reasons.setdefault(int(file[row]), reason)
