from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dfx.audio import workers

# Jobs are expressions, since workers cannot import a test.
CRASH = "__import__('os').kill(__import__('os').getpid(), 11)"
HANG = "(__import__('dfx.audio.workers').audio.workers.time_limit(0.2), __import__('time').sleep(60))"


def worker_processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "workers._serve" in " ".join(child.cmdline())]


@pytest.mark.parametrize("num_workers", [0, 1, 2, 9])
def test_every_job_is_done_once(num_workers: int) -> None:
    jobs = [f"{number} * 2" for number in range(5)]
    assert sorted(workers.each(eval, jobs, num_workers, "counting")) == [0, 2, 4, 6, 8]
    assert list(workers.each(eval, [], num_workers, "counting")) == []


def test_workers_are_other_processes_without_torch() -> None:
    pids = set(workers.each(eval, ["__import__('os').getpid()"] * 4, 2, "asking"))
    assert os.getpid() not in pids
    (light,) = workers.each(eval, ["'torch' not in __import__('sys').modules"], 1, "asking")
    assert light


def test_an_error_of_a_job_comes_through_with_its_trace() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        list(workers.each(eval, ["1", "1 / 0"], 2, "dividing"))
    assert "Traceback" in caught.value.__notes__[0]


def test_a_worker_that_dies_is_an_error_and_the_others_end() -> None:
    with pytest.raises(ValueError, match=r"A process that was counting died \(signal 11, SIGSEGV\)"):
        list(workers.each(eval, [CRASH, "__import__('time').sleep(60)"], 2, "counting"))
    assert not worker_processes()


def test_another_job_takes_the_place_of_one_that_killed_its_worker() -> None:
    told = []

    def died(job: str, status: int) -> str:
        told.append((job, status))
        return CRASH if len(told) < 3 else "7"

    jobs = ["1", CRASH, "2", "3"]
    assert sorted(workers.each(eval, jobs, 2, "counting", died)) == [1, 2, 3, 7]
    assert told == [(CRASH, -11)] * 3


def test_a_worker_that_takes_too_long_is_ended() -> None:
    statuses = []
    began = time.monotonic()
    done = workers.each(eval, [HANG], 1, "waiting", lambda _, status: statuses.append(status) or "1")
    assert list(done) == [1]
    assert statuses == [-14]
    assert time.monotonic() - began < 30


def test_there_is_no_time_limit_outside_a_worker() -> None:
    workers.time_limit(0.01)
    time.sleep(0.05)


def test_what_is_said_stands_above_the_bar() -> None:
    code = (
        "from dfx import console\n"
        "def counts():\n"
        "    yield 1\n"
        "    console.say('a file [was] left out')\n"
        "    yield 1\n"
        "console.advancing(counts(), 'decoding', 2, True)\n"
    )
    environment = os.environ | {
        "PYTHONPATH": str(Path(workers.__file__).parents[2]),
        "FORCE_COLOR": "1",  # as on a terminal
        "TERM": "xterm",
        "COLUMNS": "100",
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert b"\r\x1b[2Ka file [was] left out\n" in done.stderr
    assert b"2/2" in done.stderr


def test_leaving_early_ends_the_workers() -> None:
    results = workers.each(eval, ["1", *["__import__('time').sleep(60)"] * 3], 2, "counting")
    assert next(results) == 1
    results.close()
    assert not worker_processes()
