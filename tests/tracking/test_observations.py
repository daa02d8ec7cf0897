"""The log of answers: several processes, files logged once, stores that cannot be written or are something else."""

import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from dfx.tracking import observations
from dfx.tracking.observations import LoggedSystem, Observation, ObservationLog, ObservationStore, file_hash

COLUMNS = ("loudness", "distance")
SYSTEM = LoggedSystem("d1", "lcnn", ["best.ckpt"], COLUMNS, {"threshold": 0.5})


def answer(number, score=0.5, prediction="REAL", reason=""):
    return Observation(number, None, "mp3", 2.0, score, 0.4, prediction, reason, [-20.0 - number, np.nan])


def broken(number):
    return Observation(number, None, None, None, None, None, None, "the file is empty", None)


def read_all(path):
    with ObservationStore(path) as store:
        return store.read(store.find(store.systems, 0, 1 << 60))


def test_answers_come_back_as_columns(tmp_path):
    path = tmp_path / "new" / "log.db"
    with ObservationLog(path, SYSTEM) as log:
        log.add(answer(1))
        log.add(answer(2, -1.0, "UNSURE", "silent"))
        log.add(broken(3))
    found = read_all(path)
    assert found.columns["score"].tolist()[:2] == [0.5, -1.0]
    assert found.columns["loudness"].tolist()[:2] == [-21.0, -22.0]
    assert np.isnan(found.columns["distance"]).all()
    assert found.codings == ["mp3", "mp3", ""]
    assert found.broken.tolist() == [0, 0, 1]
    assert found.unsure.tolist()[:2] == [0, 1]
    assert np.isnan([found.columns["score"][2], found.unsure[2]]).all()
    assert abs(found.times[0] / 1000 - time.time()) < 60


def test_a_file_is_logged_once_for_each_detector_and_windows_of_streams_always(tmp_path):
    path = tmp_path / "log.db"
    for _ in range(2):
        with ObservationLog(path, SYSTEM) as log:
            log.add(answer(7))
            log.add(broken(8))
            log.add(answer(7)._replace(file=None, path=None))
    with ObservationLog(path, LoggedSystem("d2", "mlp", ["b.ckpt"], COLUMNS, {})) as log:
        log.add(answer(7))
    with ObservationStore(path) as store:
        assert [one.name for one in store.systems] == ["mlp", "lcnn"]  # the latest first
        assert [len(store.find([one], 0, 1 << 60)) for one in store.systems] == [1, 4]
        assert len(store.find(store.systems, 0, 1 << 60, last=2)) == 2
        first, last = store.time_range(store.systems)
        assert len(store.find(store.systems, first, last)) < 5  # the end does not belong to a period
    assert file_hash("a.wav", 1, 2) != file_hash("a.wav", 1, 3)


def test_an_answer_replaces_that_there_was_none_and_nothing_else_does(tmp_path):
    path = tmp_path / "log.db"
    with ObservationLog(path, SYSTEM) as log:
        for one in (broken(7), broken(7), answer(7, 0.5), answer(7, 2.0), broken(7)):
            log.add(one)
    found = read_all(path)
    assert found.columns["score"].tolist() == [0.5]
    assert found.columns["loudness"].tolist() == [-27.0]
    assert (found.broken.tolist(), found.codings) == ([0], ["mp3"])


def test_a_detector_is_one_system_from_wherever_it_was_loaded(tmp_path):
    path = tmp_path / "log.db"
    for name, place in (("lcnn", "models:/dfx@champion"), ("dfx 3", "models:/dfx/3")):
        with ObservationLog(path, LoggedSystem("d1", name, [place], COLUMNS, {})) as log:
            log.add(answer(7))
    with ObservationLog(path, LoggedSystem("d1", "lcnn", ["models:/dfx/3"], COLUMNS, {"threshold": 1.0})) as log:
        log.add(answer(8))
    with ObservationStore(path) as store:
        assert len(store.systems) == 2
        assert [one.places for one in store.systems if not one.settings] == [["models:/dfx/3"]]  # the latest
    assert len(read_all(path)) == 2


WRITER = """
import sys
from dfx.tracking.observations import LoggedSystem, Observation, ObservationLog
with ObservationLog(sys.argv[1], LoggedSystem("d1", "lcnn", ["best.ckpt"], ["loudness"], {})) as log:
    for number in range(1200):
        log.add(Observation(int(sys.argv[2]) * 10_000 + number, None, None, 1.0, 0.1, 0.2, "REAL", "", [1.0]))
"""


def test_several_processes_write_at_once(tmp_path):
    path = str(tmp_path / "log.db")
    running = [subprocess.Popen([sys.executable, "-c", WRITER, path, str(number)]) for number in range(4)]
    assert [one.wait() for one in running] == [0] * 4
    assert len(read_all(path)) == 4 * 1200


def test_a_locked_store_costs_no_answer_and_is_said_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(observations, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(observations, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(observations, "BATCH_SECONDS", 0.0)
    path = tmp_path / "log.db"
    with ObservationLog(path, SYSTEM) as log:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for number in range(3):
            log.add(answer(number))
        other.execute("COMMIT")
    assert len(read_all(path)) == 3  # the lock was given back before the end
    assert capsys.readouterr().err.count("cannot be written now (database is locked)") == 1


FULL = """
import resource, signal, sys
from dfx.tracking.observations import LoggedSystem, Observation, ObservationLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
with ObservationLog(sys.argv[1], LoggedSystem("d1", "lcnn", ["best.ckpt"], ["loudness"], {})) as log:
    for number in range(20_000):
        log.add(Observation(number, None, None, 1.0, 0.1, 0.2, "REAL", "", [1.0]))
"""


def test_a_full_disk_costs_no_answer(tmp_path):
    path = tmp_path / "log.db"
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True)
    assert done.stderr.count("cannot be written now") == 1
    assert "Warning: not in the log" in done.stderr
    assert 0 < len(read_all(path)) < 20_000


def test_a_store_that_stays_closed_says_how_many_answers_are_missing(tmp_path, capsys):
    (tmp_path / "file").touch()
    with ObservationLog(tmp_path / "file" / "log.db", SYSTEM) as log:
        log.add(answer(1))
        log.add(answer(2))
    said = capsys.readouterr().err
    assert said.count("cannot be written now") == 1
    assert "log.db: 2 of the answers." in said


def test_other_files_are_refused(tmp_path):
    text, database, newer, empty = (tmp_path / name for name in ("a.csv", "mlflow.db", "newer.db", "empty.db"))
    text.write_text("no database " * 100)
    sqlite3.connect(database).execute("CREATE TABLE runs (id)")
    with ObservationLog(newer, SYSTEM):
        pass
    sqlite3.connect(newer).execute("PRAGMA user_version = 9")
    empty.touch()
    for path, sentence in ((text, "is no log of answers"), (database, "another database"), (newer, "another version")):
        with pytest.raises(ValueError, match=sentence), ObservationLog(path, SYSTEM):
            pass
        with pytest.raises(ValueError, match=sentence):
            ObservationStore(path)
    with pytest.raises(ValueError, match="is empty"):
        ObservationStore(empty)
    with pytest.raises(ValueError, match="There is no log"):
        ObservationStore(tmp_path / "absent.db")
