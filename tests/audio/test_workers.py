import os
import resource
import time

import psutil
import pytest

from dfx.audio import workers

# Jobs are expressions, since workers cannot import a test.
CRASH = "__import__('os').kill(__import__('os').getpid(), 11)"
# A call into C that does not return to Python, and keeps the interpreter to itself.
HANG = "__import__('ctypes').PyDLL(None).sleep(60)"
SLEEP = "__import__('time').sleep(60)"


def worker_processes():
    children = psutil.Process().children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.parametrize("num_workers", [0, 2, 9])
def test_every_job_is_done_once(num_workers):
    jobs = [f"{number} * 2" for number in range(5)]
    assert sorted(workers.run_in_workers(eval, jobs, num_workers, "counting")) == [0, 2, 4, 6, 8]
    assert list(workers.run_in_workers(eval, [], num_workers, "counting")) == []


def test_workers_are_other_processes_without_torch():
    facts = "(os.getpid(), 'torch' in sys.modules, os.environ['OMP_NUM_THREADS'])"
    facts = f"(lambda os, sys: {facts})(__import__('os'), __import__('sys'))"
    for pid, has_torch, threads in workers.run_in_workers(eval, [facts] * 4, 2, "asking"):
        assert (pid != os.getpid(), has_torch, threads) == (True, False, "1")


@pytest.mark.parametrize("hard", [-1, 64 << 30])
def test_the_memory_of_a_worker_is_limited_below_a_hard_limit_of_the_system(monkeypatch, hard):
    limits = []
    monkeypatch.setattr(workers, "_is_worker", True)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (hard, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: limits.append(pair))
    workers.limit_worker_memory(1 << 50)
    ((soft, kept),) = limits
    assert kept == hard
    assert soft == hard if hard > 0 else soft > 1 << 50


def test_an_error_of_a_job_comes_through_with_its_trace():
    with pytest.raises(ZeroDivisionError) as caught:
        list(workers.run_in_workers(eval, ["1", "1 / 0"], 2, "dividing"))
    assert "Traceback" in caught.value.__notes__[0]


def test_a_worker_that_dies_is_an_error_and_the_others_end():
    with pytest.raises(ValueError, match=r"A process that was counting died \(signal 11, SIGSEGV\)"):
        list(workers.run_in_workers(eval, [CRASH, SLEEP], 2, "counting"))
    assert not worker_processes()


def test_other_jobs_take_the_place_of_one_that_crashed_or_took_too_long():
    statuses = []

    def failed(job, status):
        statuses.append(status)
        return ["7", "8"] if len(statuses) == 3 else [CRASH if len(statuses) < 2 else HANG]

    began = time.monotonic()
    jobs = ["1", CRASH, "2", "3"]
    assert sorted(workers.run_in_workers(eval, jobs, 1, "counting", lambda _: 1.0, failed)) == [1, 2, 3, 7, 8]
    assert statuses == [-11, -11, workers.TOOK_TOO_LONG]
    assert time.monotonic() - began < 30


def test_there_is_no_time_limit_in_this_process():
    assert list(workers.run_in_workers(eval, ["__import__('time').sleep(0.05)"], 0, "waiting", lambda _: 0.01)) == [
        None
    ]


def test_workers_that_cannot_start_give_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ValueError, match="Processes for counting could not start, or were ended from outside"):
        list(workers.run_in_workers(eval, ["1"], 1, "counting"))


def test_leaving_early_ends_the_workers():
    results = workers.run_in_workers(eval, ["1", *[SLEEP] * 3], 2, "counting")
    assert next(results) == 1
    results.close()
    assert not worker_processes()
