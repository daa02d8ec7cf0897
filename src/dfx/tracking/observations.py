"""Log of a detector's answers in a SQLite file: scores, predictions and statistics of the input; no audio, no names.

Several processes may write to one file at once (write-ahead log, one short transaction for a batch of answers). A file
is logged once for each detector, however often it is scored again; only an answer replaces that there was none. What
cannot be written is said once, and never costs the answers.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from dfx.console import say

Floats = NDArray[np.float64]

APPLICATION_ID = 0x64667864  # "dfxd": other databases are not written to
VERSION = 1
BATCH = 500  # answers in a transaction
BATCH_SECONDS = 5.0  # answers wait for a transaction at most
WAIT_SECONDS = 2.0  # for the lock of another process
RETRY_SECONDS = 30.0  # after a transaction that failed
MOST_WAITING = 100_000  # answers in memory while the store cannot be written
MOST_REASON = 200  # characters
READ_ROWS = 500  # by their numbers at once
FACTS = ("time", "file", "path", "coding", "duration", "score", "fake_probability", "prediction", "reason", "input")
INSERT = (  # a file once, but an answer replaces that there was none
    f"INSERT INTO observations (system, {', '.join(FACTS)}) VALUES ({{system}}, {', '.join('?' * len(FACTS))}) "
    f"ON CONFLICT (system, file) DO UPDATE SET {', '.join(f'{one} = excluded.{one}' for one in FACTS)} "
    "WHERE observations.score IS NULL AND excluded.score IS NOT NULL"
)
SELECT = "SELECT time, system, score, prediction, input, coding FROM observations"
TABLES = """
CREATE TABLE systems (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,           -- SHA-256 of the detector file; of several, joined by +
    settings TEXT NOT NULL,         -- JSON: name, places, decision rule, windows, columns of observations.input
    UNIQUE (digest, settings)
);
CREATE TABLE observations (
    id INTEGER PRIMARY KEY,
    system INTEGER NOT NULL REFERENCES systems,
    time INTEGER NOT NULL,          -- of the answer, in milliseconds since 1970, UTC
    file INTEGER,                   -- hash of path, size and modification time (null: a stream)
    path TEXT,                      -- null unless log_paths=true
    coding TEXT,                    -- codec of the file
    duration REAL,                  -- in seconds (null, as score and prediction: a file without an answer)
    score REAL,
    fake_probability REAL,
    prediction TEXT,                -- REAL, FAKE, UNSURE
    reason TEXT,                    -- why UNSURE, or why there is no answer
    input BLOB                      -- float32, little-endian: measures, distance and coordinates of the embedding
);
CREATE INDEX observations_time ON observations (system, time);
CREATE UNIQUE INDEX observations_file ON observations (system, file);
"""


@dataclass(frozen=True)
class LoggedSystem:
    """Detector and settings that answers in the log come from.

    Attributes:
        digest: SHA-256 of the detector file; of several that are fused, joined by "+".
        name: for people.
        places: where the detectors were loaded from.
        columns: names of the statistics of the input.
        settings: decision rule and windows; answers of other settings are not comparable.
        number: in the store; 0 if it is not there yet.
    """

    digest: str
    name: str
    places: Sequence[str]
    columns: Sequence[str]
    settings: Mapping[str, Any]
    number: int = 0

    def to_json(self) -> str:
        """Convert all but digest and numbers to JSON."""
        values = {"name": self.name, "places": list(self.places), "columns": list(self.columns)}
        return json.dumps({**values, "settings": dict(self.settings)}, sort_keys=True)

    @staticmethod
    def from_row(number: int, digest: str, text: str) -> LoggedSystem:
        """Convert a row of the table `systems`."""
        values = json.loads(text)
        names = ("name", "places", "columns", "settings")
        name, places, columns, settings = (values[key] for key in names)
        return LoggedSystem(digest, name, places, columns, settings, number)


class Observation(NamedTuple):
    """Answer for the log.

    Attributes:
        file: `file_hash`; None for a stream.
        path: None if it is not to be kept.
        coding: codec of the file; None if it is not known.
        duration: in seconds.
        prediction: REAL, FAKE, UNSURE or "".
        reason: why it is UNSURE, or why the file has no answer.
        values: statistics of the input, NaN where not known; None for a file without an answer.
    """

    file: int | None
    path: str | None
    coding: str | None
    duration: float | None
    score: float | None
    fake_probability: float | None
    prediction: str | None
    reason: str
    values: Sequence[float] | None


def file_hash(path: str, size: int, mtime_ns: int) -> int:
    """Return a number (64 bits) that says whether a file was seen before, and not what it is called."""
    text = f"{path}\0{size}\0{mtime_ns}".encode(errors="surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little", signed=True)


class ObservationLog:
    """Writer of the log, a context manager: what is waiting is written at the end.

    Args:
        path: SQLite file; made if it does not exist.
        system: detector and settings of the answers.

    Raises:
        ValueError: on entering, if the file is something else than such a log.
    """

    def __init__(self, path: str | Path, system: LoggedSystem) -> None:
        self.path = Path(path).expanduser()
        self.system = system
        self._connection: sqlite3.Connection | None = None
        self._number = 0  # of the system in the store
        self._waiting: list[tuple[Any, ...]] = []
        self._lost = 0
        self._next = 0.0  # time of the next transaction
        self._failed = self._warned = False

    def __enter__(self) -> Self:
        self._flush()  # a wrong file is told before anything is scored
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        if missing := len(self._waiting) + self._lost:
            say(f"Warning: not in the log {self.path}: {missing:,} of the answers.")
        if self._connection is not None:
            self._connection.close()

    def add(self, observation: Observation) -> None:
        """Add an answer; it is written with the next batch."""
        *facts, reason, values = observation
        blob = None if values is None else np.array(values, "<f4").tobytes()
        self._waiting.append((int(time.time() * 1000), *facts, reason[:MOST_REASON] or None, blob))
        if len(self._waiting) > MOST_WAITING:
            self._waiting.pop(0)
            self._lost += 1
        if time.monotonic() >= self._next or (len(self._waiting) >= BATCH and not self._failed):
            self._flush()

    def _flush(self) -> None:
        """Write what is waiting; say once if that fails, and try again later."""
        try:
            self._connection = self._connection or _open_for_writing(self.path)
            if self._waiting or not self._number:
                with self._connection as connection:
                    connection.execute("BEGIN IMMEDIATE")
                    number = self._number or _system_number(connection, self.system)
                    connection.executemany(INSERT.format(system=number), self._waiting)
                self._number = number
            self._waiting, self._failed = [], False
        except (sqlite3.Error, OSError) as error:
            if not self._warned:
                say(f"Warning: the log {self.path} cannot be written now ({error}). Answers are given all the same.")
            self._failed = self._warned = True
        self._next = time.monotonic() + (RETRY_SECONDS if self._failed else BATCH_SECONDS)


def _system_number(connection: sqlite3.Connection, system: LoggedSystem) -> int:
    """Return the number of a system; one file is one system, whatever its name is and from where it was loaded."""
    key = "json_remove({}, '$.name', '$.places')"
    text = system.to_json()
    row = connection.execute(
        f"SELECT id FROM systems WHERE digest = ? AND {key.format('settings')} = {key.format('?')} "
        "ORDER BY settings = ? DESC, id",
        (system.digest, text, text),
    ).fetchone()
    if row:  # the latest place is the one to open
        connection.execute("UPDATE systems SET settings = ? WHERE id = ?", (text, row[0]))
        return int(row[0])
    added = connection.execute("INSERT INTO systems (digest, settings) VALUES (?, ?)", (system.digest, text))
    return int(added.lastrowid or 0)


def _open_for_writing(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
    try:
        _check_kind(connection, path)
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            if not connection.execute("PRAGMA application_id").fetchone()[0]:
                for statement in TABLES.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; SQLite does not wait for other processes that do the same."""
    end = time.monotonic() + WAIT_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return  # or the file system allows none, and the log works more slowly
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def _check_kind(connection: sqlite3.Connection, path: Path) -> None:
    """Raise a ValueError if a file is something else than a log of answers."""
    try:
        connection.execute("BEGIN")  # or another process could make the tables between two of the answers
        try:
            kind, version, tables = (
                connection.execute(query).fetchone()[0]
                for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
            )
        finally:
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise ValueError(
            f"{path} is no log of answers ({error}): name another file, which dfx.detect log=FILE makes."
        ) from error
    if kind != APPLICATION_ID and (kind or tables):
        raise ValueError(f"{path} is another database, no log of answers: name another file, log=FILE.")
    if kind == APPLICATION_ID and version != VERSION:
        raise ValueError(
            f"{path} is a log of answers of another version of dfx (its format is {version}, this one {VERSION}): name "
            "another file."
        )


class Observations(NamedTuple):
    """Answers that were read from the log, in the order of time.

    Attributes:
        times: (answers,) in milliseconds since 1970, UTC.
        columns: name -> (answers,), NaN where not known: `score` and the statistics of the input.
        unsure: (answers,) whether the answer is UNSURE; NaN for a file without an answer.
        broken: (answers,) whether the file has no answer.
        codings: (answers,) codec of each file; empty where it is not known.
    """

    times: NDArray[np.int64]
    columns: Mapping[str, Floats]
    unsure: Floats
    broken: Floats
    codings: Sequence[str]

    def __len__(self) -> int:
        return len(self.times)


class ObservationStore:
    """Reader of the log, a context manager.

    Args:
        path: the SQLite file.

    Attributes:
        systems: detectors and settings that answers come from, the latest first.

    Raises:
        ValueError: if there is no such log.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        if not self.path.is_file():
            raise ValueError(f"There is no log {path}: name the file that dfx.detect log=FILE has made.")
        self._connection = sqlite3.connect(f"file:{quote(str(self.path.absolute()))}?mode=ro", uri=True, timeout=30)
        _check_kind(self._connection, self.path)
        if not self._connection.execute("PRAGMA application_id").fetchone()[0]:
            raise ValueError(f"The log {path} is empty: python -m dfx.detect PATH log={path} adds answers.")
        rows = self._connection.execute(
            "SELECT id, digest, settings, (SELECT max(time) FROM observations WHERE system = systems.id) AS latest "
            "FROM systems ORDER BY latest DESC NULLS LAST"
        )
        self.systems = [LoggedSystem.from_row(*row[:3]) for row in rows.fetchall()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def time_range(self, systems: Sequence[LoggedSystem]) -> tuple[int, int] | None:
        """Return the times of the first and the last answer in milliseconds; None if there is none."""
        query = (
            "SELECT min(time) FROM observations WHERE system = ?",
            "SELECT max(time) FROM observations WHERE system = ?",
        )
        ends = [[self._connection.execute(one, (system.number,)).fetchone()[0] for one in query] for system in systems]
        known = np.array([one for one in ends if one[0] is not None], np.int64)
        return (int(known[:, 0].min()), int(known[:, 1].max())) if len(known) else None

    def find(
        self, systems: Sequence[LoggedSystem], start_ms: int, end_ms: int, last: int | None = None
    ) -> NDArray[np.int64]:
        """Return the numbers (answers,) of the answers from `start_ms` to before `end_ms`, in the order of time.

        Args:
            systems: detectors and settings that the answers come from.
            start_ms: in milliseconds since 1970.
            end_ms: the same.
            last: at most so many, the latest.
        """
        found = []
        for system in systems:
            query = "SELECT id, time FROM observations WHERE system = ? AND time >= ? AND time < ? ORDER BY time DESC"
            query += "" if last is None else f" LIMIT {last}"
            rows = self._connection.execute(query, (system.number, start_ms, end_ms))
            found.append(np.fromiter(rows, np.dtype("i8,i8")))
        both = np.concatenate(found) if found else np.zeros(0, np.dtype("i8,i8"))
        numbers: NDArray[np.int64] = both["f0"][np.lexsort((both["f0"], both["f1"]))]
        return numbers if last is None else numbers[-last:]

    def read(self, numbers: NDArray[np.int64]) -> Observations:
        """Read answers by their numbers."""
        columns = {one.number: list(one.columns) for one in self.systems}
        names = list(dict.fromkeys(name for one in columns.values() for name in one))
        rows = list[tuple[Any, ...]]()
        for first in range(0, len(numbers), READ_ROWS):
            chosen = ", ".join(map(str, numbers[first : first + READ_ROWS].tolist()))
            rows += self._connection.execute(f"{SELECT} WHERE id IN ({chosen}) ORDER BY time, id")
        values = np.full((len(rows), len(names)), np.nan)
        for number, own in columns.items():
            at = [index for index, row in enumerate(rows) if row[1] == number and row[4] is not None]
            if at:
                blob = b"".join(rows[index][4] for index in at)
                values[np.ix_(at, [names.index(name) for name in own])] = np.frombuffer(blob, "<f4").reshape(
                    len(at), -1
                )
        score = np.array([np.nan if row[2] is None else row[2] for row in rows], np.float64)
        broken = np.isnan(score)
        unsure = np.array([row[3] == "UNSURE" for row in rows], np.float64)
        unsure[broken] = np.nan
        return Observations(
            np.array([row[0] for row in rows], np.int64),
            {"score": score, **dict(zip(names, values.T, strict=True))},
            unsure,
            broken.astype(np.float64),
            [row[5] or "" for row in rows],
        )
