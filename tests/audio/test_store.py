from __future__ import annotations

import errno
import itertools
import os
import pickle
import platform
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import psutil
import pytest
import soundfile

from dfx import audio
from dfx.audio import store_build, store_index, store_parts
from dfx.audio.store import WaveformStore, build_shard, open_store
from dfx.files import cache_dir
from dfx.tables.manifest import Manifest

PREAMBLE = """
    import os, signal, sys, time
    from pathlib import Path
    from dfx.audio import store, store_build, store_parts
    from dfx.tables import manifest
    def main():
        folder = Path(sys.argv[1])
        corpus = manifest.read(folder / "m.csv")
"""


def manifest_of(paths: list[Path]) -> Manifest:
    rows = [
        {"id": path.name, "path": str(path), "label": i % 2, "split": "train"} for i, path in enumerate(paths)
    ]
    return Manifest(pd.DataFrame(rows), "test")


def make_corpus(folder: Path, count: int = 10, seconds: float = 0.5, sample_rate: int = 16000) -> Manifest:
    generator = np.random.default_rng(0)
    paths = []
    for i in range(count):
        samples = generator.integers(-20000, 20000, round(seconds * sample_rate) + i).astype(np.int16)
        paths.append(folder / f"clip {i:03d}.wav")
        soundfile.write(paths[-1], samples, sample_rate)
    corpus = manifest_of(paths)
    corpus.write(folder / "m.csv")
    return corpus


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files of half a second in each part."""
    monkeypatch.setattr(store_parts, "MIN_PART_BYTES", 32 << 10)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the parts that this process decodes."""
    numbers: list[int] = []
    decode = store_parts.decode

    def recorded(job: store_parts.Job) -> int:
        numbers.append(job.number)
        return decode(job)

    monkeypatch.setattr(store_parts, "decode", recorded)
    return numbers


def open_quietly(corpus: Manifest, folder: Path, **options: object) -> WaveformStore:
    return open_store(
        corpus, 16000, cache=folder / "cache", **{"num_workers": 0, "progress": False} | options
    )


def everything(store: WaveformStore) -> list[np.ndarray]:
    return [store.read(row) for row in range(len(store))]


def assert_holds(store: WaveformStore, corpus: Manifest) -> None:
    for row, path in enumerate(corpus.table["path"]):
        np.testing.assert_array_equal(store.read(row), soundfile.read(path, dtype="float32")[0])


def run_script(folder: Path, body: str) -> subprocess.Popen:
    """A process that runs `body` as the rest of `main`; spawned workers import the file, so it is guarded."""
    script = folder / f"script_{abs(hash(body))}.py"
    text = textwrap.dedent(PREAMBLE) + textwrap.indent(textwrap.dedent(body), "    ")
    script.write_text(text + "\nif __name__ == '__main__':\n    main()\n")
    environment = os.environ | {
        "PYTHONPATH": str(Path(store_parts.__file__).parents[2]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, str(script), str(folder)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, text=True, env=environment, **pipes)


@pytest.mark.usefixtures("small_parts")
def test_sixteen_bit_files_are_exact_in_every_part(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path)
    store = open_quietly(corpus, tmp_path)
    assert len(list(store.path.glob("part-*.i16"))) == 5
    assert_holds(store, corpus)
    assert store.lengths.tolist() == [8000 + i for i in range(10)]
    assert store.length(3) == 8003
    assert len(store.bad) == 0
    assert (store.path / "bad_files.csv").read_text() == "id,path,reason\n"


def test_other_rates_are_resampled_once(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, 2, sample_rate=44100)
    store = open_quietly(corpus, tmp_path)
    expected = audio.to_int16(audio.read(corpus.table["path"][1], 16000)).astype(np.float32) / 32768
    np.testing.assert_array_equal(store.read(1), expected)


def test_slices(tmp_path: Path) -> None:
    store = open_quietly(make_corpus(tmp_path, 3), tmp_path)
    whole = store.read(2)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(store.read(2, 100, 50), whole[100:150])
    np.testing.assert_array_equal(store.read(2, 7990), whole[7990:])
    np.testing.assert_array_equal(store.read(2, 7990, 1000), whole[7990:])
    assert len(store.read(2, 8002, 10)) == 0
    for start in (-1, 8003):
        with pytest.raises(ValueError, match=f"Row 2 has 8002 samples, but was to be read from {start}"):
            store.read(2, start, 10)


def test_a_finished_store_decodes_nothing_whatever_the_order_of_the_rows(
    tmp_path: Path, decoded: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_corpus(tmp_path)
    first = open_quietly(corpus, tmp_path)
    assert decoded == [0]
    assert f"Decoding 10 files (0.2 MiB), once, in {first.path}\n" in capsys.readouterr().err
    order = np.random.default_rng(0).permutation(10)
    again = open_quietly(Manifest(corpus.table.iloc[order].assign(id=list("abcdefghij"))), tmp_path)
    assert again.path == first.path
    assert decoded == [0]
    assert capsys.readouterr().err == ""
    for row, source in enumerate(order):
        np.testing.assert_array_equal(again.read(row), first.read(int(source)))


def test_rows_of_the_same_file_share_its_waveform(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, 3)
    twice = Manifest(pd.concat([corpus.table, corpus.table.assign(id=["x", "y", "z"])]))
    store = open_quietly(twice, tmp_path)
    assert store.path == open_quietly(corpus, tmp_path).path
    np.testing.assert_array_equal(store.read(1), store.read(4))


def test_another_rate_and_a_changed_file_give_another_store(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, 2)
    first = open_quietly(corpus, tmp_path)
    assert open_store(corpus, 8000, tmp_path / "cache", num_workers=0, progress=False).path != first.path
    soundfile.write(corpus.table["path"][0], np.zeros(400, np.int16), 16000)
    assert open_quietly(corpus, tmp_path).read(0).tolist() == [0] * 400


def test_worker_processes_give_the_same_store(
    tmp_path: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make_corpus(tmp_path)
    alone = everything(open_quietly(corpus, tmp_path / "a"))
    monkeypatch.setattr(store_build, "FEW_BYTES", 0)
    together = open_quietly(corpus, tmp_path / "b", num_workers=2)
    for one, other in zip(alone, everything(together), strict=True):
        np.testing.assert_array_equal(one, other)


def test_worker_module_is_light() -> None:
    code = "import sys, dfx.audio.store_parts; print({'torch', 'pandas', 'rich', 'av'} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(Path(store_parts.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "set()\n"


def test_a_second_process_waits_and_decodes_nothing(tmp_path: Path) -> None:
    make_corpus(tmp_path)
    body = """
        decode = store_parts.decode
        def wait_for_go(job):
            print("decoding", flush=True)
            while not (folder / "go").exists():
                time.sleep(0.01)
            return decode(job)
        store_parts.decode = wait_for_go
        made = store.open_store(corpus, 16000, folder / "cache", num_workers=0, progress=False)
        print(float(abs(made.read(9)).sum()))
    """
    first = run_script(tmp_path, body)
    assert first.stdout is not None
    assert first.stdout.readline() == "decoding\n"
    second = run_script(tmp_path, body)
    assert second.stderr is not None
    assert second.stderr.readline().startswith("Another process is building the waveform store")
    (tmp_path / "go").touch()
    first_out, second_out = first.communicate(timeout=30)[0], second.communicate(timeout=30)[0]
    assert first_out == second_out
    assert float(first_out) > 0


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path)
    (tmp_path / "script.py").write_text(
        "import sys\nfrom dfx.audio import store, store_build, store_parts\nfrom dfx.tables import manifest\n"
        "store_parts.MIN_PART_BYTES, store_build.FEW_BYTES = 32 << 10, 0\n"
        "corpus = manifest.read(sys.argv[1] + '/m.csv')\n"
        "store.open_store(corpus, 16000, sys.argv[1] + '/cache', num_workers=2, progress=False)\n"
        "print('once')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(store_parts.__file__).parents[2])}
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True)
    assert done.stdout == "once\n"
    assert_holds(open_quietly(corpus, tmp_path), corpus)


PLANTED = """
import ctypes, os, signal, soundfile

class Planted(soundfile.SoundFile):
    def __init__(self, file, *args, **kwargs):
        name = os.path.basename(os.fsdecode(file))
        with open(os.environ["OPENED"], "a") as log:
            log.write(f"{name}\\n")
        if "crashes" in name:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "is killed" in name:
            os.kill(os.getpid(), signal.SIGKILL)
        if "hangs" in name:
            ctypes.PyDLL(None).sleep(60)  # a call into C that keeps the interpreter to itself
        super().__init__(file, *args, **kwargs)

soundfile.SoundFile = Planted
"""


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Plants into worker processes a decoder that crashes or hangs at files of such a name; lists what it opened."""
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "sitecustomize.py").write_text(PLANTED)  # Python runs it at its start
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "planted"))
    monkeypatch.setenv("OPENED", str(tmp_path / "opened.txt"))
    return lambda: (tmp_path / "opened.txt").read_text().splitlines()


def make_corpus_with(folder: Path, names: dict[int, str]) -> Manifest:
    """Ten clips, some under another name."""
    paths = [Path(path) for path in make_corpus(folder).table["path"]]
    for number, name in names.items():
        paths[number] = paths[number].rename(folder / f"clip {number:03d} {name}.wav")
    return manifest_of(paths)


@pytest.mark.parametrize("num_workers", [None, 2])
def test_files_that_crash_a_decoder_are_listed_and_cost_nothing_else(
    tmp_path: Path,
    opened: Callable[[], list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    num_workers: int | None,
) -> None:
    if num_workers:
        monkeypatch.setattr(store_parts, "MIN_PART_BYTES", 80 << 10)
        monkeypatch.setattr(store_build, "FEW_BYTES", 0)
        monkeypatch.setattr(store_build, "_announce", lambda *_: None)  # reads headers
    corpus = make_corpus_with(tmp_path, {2: "crashes", 3: "crashes", 9: "crashes"})
    store = open_quietly(corpus, tmp_path, num_workers=num_workers, max_bad_fraction=0.5)
    assert store.lengths.tolist() == [8000, 8001, -1, -1, 8004, 8005, 8006, 8007, 8008, -1]
    assert store.bad["reason"].tolist() == ["its decoder crashed (signal 11, SIGSEGV)"] * 3
    for row in (0, 1, 4, 8):
        np.testing.assert_array_equal(
            store.read(row), soundfile.read(corpus.table["path"][row], dtype="float32")[0]
        )
    counts = Counter(opened())
    assert {count for name, count in counts.items() if "crashes" in name} == {2}
    assert {count for name, count in counts.items() if "crashes" not in name} == {1}  # none is decoded again
    assert f"Left out: {corpus.table['path'][2]}: its decoder crashed" in capsys.readouterr().err
    assert not list(store.path.glob("*.tmp*"))


def test_a_worker_killed_between_the_names_of_a_part_costs_no_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pathlib, signal\n"
        "replace, flag = pathlib.Path.replace, os.environ['FLAG']\n"
        "def killed_once(self, target):\n"
        "    replace(self, target)\n"
        "    if not os.path.exists(flag):\n"
        "        open(flag, 'w').close()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "pathlib.Path.replace = killed_once\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("FLAG", str(tmp_path / "killed"))
    corpus = make_corpus(tmp_path)
    store = open_quietly(corpus, tmp_path, num_workers=1)
    assert (tmp_path / "killed").exists()
    assert_holds(store, corpus)


@pytest.mark.usefixtures("opened")
def test_a_file_that_hangs_its_decoder_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_build, "FILE_SECONDS", 0.5)
    corpus = make_corpus_with(tmp_path, {4: "hangs"})
    store = open_quietly(corpus, tmp_path, num_workers=1, max_bad_fraction=0.5)
    assert store.bad["reason"].tolist() == ["decoding it took longer than 1 s"]
    assert store.lengths.tolist()[3:6] == [8003, -1, 8005]


@pytest.mark.usefixtures("opened")
def test_a_decoder_that_crashes_at_everything_is_not_the_fault_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_build, "MOST_CASUALTIES", 1)
    corpus = make_corpus_with(tmp_path, {3: "crashes", 4: "crashes"})
    with pytest.raises(
        ValueError, match=r"More than 1 files crash or hang their decoder, the last one .*004 crashes"
    ):
        open_quietly(corpus, tmp_path, num_workers=1)


@pytest.mark.usefixtures("opened", "small_parts")
def test_a_worker_killed_from_outside_is_not_the_fault_of_its_file(tmp_path: Path) -> None:
    corpus = make_corpus_with(tmp_path, {4: "is killed"})
    with pytest.raises(
        ValueError, match=r"ended from outside, twice \(signal 9, SIGKILL\): most likely the memory"
    ):
        open_quietly(corpus, tmp_path, num_workers=1)
    folder = next((tmp_path / "cache" / "waveforms").iterdir())
    assert sorted(path.name for path in folder.glob("part*.npz")) == ["part-00000.npz", "part-00001.npz"]
    assert not list(folder.glob("*.tmp*"))


def test_workers_that_cannot_start_give_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"A process for decoding audio could not start \(exit status 3\)"):
        open_quietly(make_corpus(tmp_path), tmp_path, num_workers=1)


def test_killed_in_a_part_it_resumes_at_that_part(
    tmp_path: Path, small_parts: None, decoded: list[int]
) -> None:
    corpus = make_corpus(tmp_path)
    body = """
        store_parts.MIN_PART_BYTES = 32 << 10
        append, count = store_parts._append, []
        def dies(*arguments):
            count.append(1)
            if len(count) == 6:
                os.kill(os.getpid(), signal.SIGKILL)
            return append(*arguments)
        store_parts._append = dies
        store.open_store(corpus, 16000, folder / "cache", num_workers=0, progress=False)
    """
    killed = run_script(tmp_path, body)
    killed.communicate(timeout=30)
    assert killed.returncode == -signal.SIGKILL
    assert list(tmp_path.glob("cache/waveforms/*/*.tmp"))
    store = open_quietly(corpus, tmp_path)
    assert decoded == [2, 3, 4]
    assert not list(store.path.glob("*.tmp*"))
    assert_holds(store, corpus)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*.i16"))}


def assert_same_store(one: WaveformStore, other: WaveformStore) -> None:
    assert contents(one.path) == contents(other.path)
    for name, values in store_parts.load_arrays(one.path / "index.npz").items():
        np.testing.assert_array_equal(values, store_parts.load_arrays(other.path / "index.npz")[name])


SHARD = """
    store_parts.MIN_PART_BYTES = 32 << 10
    print("ready", flush=True)
    sys.stdin.readline()
    made = store.build_shard(corpus, 16000, {shard}, {shards}, folder / "cache", num_workers=0, progress=False)
    print(made.num_files, made.num_decoded, made.num_bad)
"""


def run_together(folder: Path, bodies: list[str]) -> list[str]:
    """What scripts print that begin their work at the same moment."""
    runs = [run_script(folder, body) for body in bodies]
    for run in runs:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("\n")
        run.stdin.flush()
    return [run.communicate(timeout=60)[0] for run in runs]


@pytest.mark.usefixtures("small_parts")
def test_shards_built_at_the_same_time_are_the_store_that_one_process_builds(
    tmp_path: Path, decoded: list[int]
) -> None:
    corpus = make_corpus(tmp_path)
    Path(corpus.table["path"][5]).write_bytes(b"no audio")
    told = run_together(tmp_path, [SHARD.format(shard=shard, shards=2) for shard in range(2)])
    assert sorted(told) == ["4 4 0\n", "6 6 1\n"] or sorted(told) == ["4 4 1\n", "6 6 0\n"]
    store = open_quietly(corpus, tmp_path, max_bad_fraction=0.1)
    assert decoded == []
    alone = open_quietly(corpus, tmp_path / "alone", max_bad_fraction=0.1)
    assert_same_store(store, alone)
    assert not list(store.path.glob("*.tmp*"))


@pytest.mark.usefixtures("small_parts")
def test_a_shard_and_a_build_of_the_whole_do_each_other_no_harm(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, 30)
    whole = SHARD.replace(
        "store.build_shard(corpus, 16000, {shard}, {shards},", "store.open_store(corpus, 16000,"
    )
    whole = whole.replace("made.num_files, made.num_decoded, made.num_bad", "len(made)")
    bodies = [SHARD.format(shard=1, shards=2), whole, SHARD.format(shard=0, shards=1)]
    told = run_together(tmp_path, bodies)
    assert told[1] == "30\n"
    assert_same_store(open_quietly(corpus, tmp_path), open_quietly(corpus, tmp_path / "alone"))


@pytest.mark.usefixtures("small_parts")
def test_a_killed_shard_resumes_and_opening_completes_the_others(tmp_path: Path, decoded: list[int]) -> None:
    corpus = make_corpus(tmp_path)
    options = {"cache": tmp_path / "cache", "num_workers": 0, "progress": False}
    body = """
        store_parts.MIN_PART_BYTES = 32 << 10
        append, count = store_parts._append, []
        def dies(*arguments):
            count.append(1)
            if len(count) == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            return append(*arguments)
        store_parts._append = dies
        store.build_shard(corpus, 16000, 0, 2, folder / "cache", num_workers=0, progress=False)
    """
    run_script(tmp_path, body).communicate(timeout=30)
    first = build_shard(corpus, 16000, 0, 2, **options)
    assert decoded == [2, 4]
    assert (first.num_files, first.num_decoded, first.num_bad, first.whole) == (6, 4, 0, False)
    assert build_shard(corpus, 16000, 0, 2, **options).num_decoded == 0
    decoded.clear()
    assert_holds(open_quietly(corpus, tmp_path), corpus)
    assert decoded == [1, 3]
    assert build_shard(corpus, 16000, 1, 2, **options) == (first.path, 4, 0, 0, True)


def test_missing_and_empty_files_have_no_negative_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.wav").touch()
    with pytest.raises(ValueError, match=r"2 of 2 files \(100.0%\) are bad"):
        open_quietly(manifest_of([tmp_path / "none.wav", tmp_path / "empty.wav"]), tmp_path)
    assert "Decoding 2 files (0.0 MiB), once, in" in capsys.readouterr().err


def test_more_shards_than_parts_have_nothing_to_do(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path)
    idle = build_shard(corpus, 16000, 1, 2, tmp_path / "cache", num_workers=0, progress=False)
    assert (idle.num_files, idle.num_decoded, idle.whole) == (0, 0, False)
    busy = build_shard(corpus, 16000, 0, 2, tmp_path / "cache", num_workers=0, progress=False)
    assert (busy.num_files, busy.num_decoded, busy.whole) == (10, 10, True)


@pytest.mark.parametrize(("shard", "num_shards"), [(2, 2), (-1, 2), (0, 0)])
def test_a_shard_that_does_not_exist(tmp_path: Path, shard: int, num_shards: int) -> None:
    with pytest.raises(
        ValueError, match=f"There is no shard {shard} of {num_shards}: they are numbered from 0"
    ):
        build_shard(make_corpus(tmp_path, 2), 16000, shard, num_shards, tmp_path / "cache")


def test_only_what_nobody_writes_any_more_is_cleaned_away(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = store_parts.owner().removesuffix(f"-{os.getpid()}")
    left = [f"part-00001.i16@{here}-{ended.pid}.tmp", f"index@{here}-{os.getpid()}.tmp", "old@far-1.tmp.log"]
    kept = [f"part-00002.i16@{here}-{os.getppid()}.tmp.npz", "part-00003.i16@far-away-7.tmp", "another's.tmp"]
    # A container with the name of its host, and process numbers of its own.
    kept.append(f"part-00004.i16@{platform.node()}-4026599999-{ended.pid}.tmp")
    for name in left + kept:
        (tmp_path / name).touch()
    os.utime(tmp_path / "old@far-1.tmp.log", (time.time() - 7200,) * 2)
    store_parts.remove_left_overs(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_killed_parent_takes_its_workers_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = make_corpus(tmp_path, 80, seconds=5, sample_rate=44100)  # 34 parts
    monkeypatch.setattr(store_parts, "MIN_PART_BYTES", 1 << 20)
    body = """
        store_parts.MIN_PART_BYTES, store_build.FEW_BYTES = 1 << 20, 0
        store.open_store(corpus, 16000, folder / "cache", num_workers=2, progress=False)
    """
    killed = run_script(tmp_path, body)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("cache/waveforms/*/part-*.npz")) and time.monotonic() < deadline:
        time.sleep(0.005)
    workers = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.communicate(timeout=30)
    assert len(workers) >= 2
    assert not psutil.wait_procs(workers, timeout=10)[1]
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("cache/waveforms/*/part-*.npz")}
    assert 1 <= len(finished) < 34
    store = open_quietly(corpus, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    np.testing.assert_array_equal(
        store.read(79), audio.to_int16(audio.read(corpus.table["path"][79], 16000)).astype(np.float32) / 32768
    )


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [flip_a_byte, lambda path: os.truncate(path, 100), lambda path: path.unlink()],
    ids=["flip", "cut", "gone"],
)
@pytest.mark.usefixtures("small_parts")
def test_a_damaged_part_is_decoded_again_alone(
    tmp_path: Path, decoded: list[int], capsys: pytest.CaptureFixture[str], damage: object
) -> None:
    corpus = make_corpus(tmp_path)
    store = open_quietly(corpus, tmp_path)
    decoded.clear()
    capsys.readouterr()
    assert callable(damage)
    damage(store_parts.data_path(store.path, 3))
    again = open_quietly(corpus, tmp_path)
    assert decoded == [3]
    assert "is damaged; decoding again: part-00003.i16\n" in capsys.readouterr().err
    assert_holds(again, corpus)


@pytest.mark.usefixtures("small_parts")
def test_a_damaged_index_is_made_again_from_the_parts(tmp_path: Path, decoded: list[int]) -> None:
    corpus = make_corpus(tmp_path)
    store = open_quietly(corpus, tmp_path)
    decoded.clear()
    os.truncate(store.path / "index.npz", 200)
    assert_holds(open_quietly(corpus, tmp_path), corpus)
    assert decoded == []


@pytest.mark.usefixtures("small_parts")
def test_large_stores_are_checked_by_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = make_corpus(tmp_path)
    store = open_quietly(corpus, tmp_path)
    flip_a_byte(store_parts.data_path(store.path, 3))
    monkeypatch.setattr(store_index, "CHECK_BYTES", 5 * 16_100)
    index = store_index.load_index(
        store_index.Plan(store.path, 16000, [""] * 10, np.zeros(10, np.int64), np.arange(0, 11, 2))
    )
    assert index is not None
    found = [store_index.damaged(store.path, index) for _ in range(50)]
    assert [] in found  # half of the clips are looked at each time
    assert [3] in found


def test_bad_files_are_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, 5)
    paths = [Path(path) for path in corpus.table["path"]]
    paths[0].unlink()
    paths[2].write_bytes(b"")
    soundfile.write(paths[3], np.array([0.1, np.nan, 0.1]), 16000, subtype="FLOAT")
    soundfile.write(paths[4], np.zeros(100), 16000)
    with pytest.raises(
        ValueError, match=r"3 of 5 files \(60.0%\) are bad, more than max_bad_fraction 1.0% allows: "
    ) as e:
        open_quietly(corpus, tmp_path)
    assert f"{paths[0]}: the file does not exist; {paths[2]}: the file is empty" in str(e.value)
    store = open_quietly(corpus, tmp_path, max_bad_fraction=0.6)
    assert str(store.path / "bad_files.csv") in str(e.value)
    assert store.lengths.tolist() == [-1, 8001, -1, -1, 100]
    expected = ["the file does not exist", "the file is empty (0 bytes)", "it holds NaN or infinite samples"]
    assert store.bad["reason"].tolist() == expected
    assert store.bad["id"].tolist() == [paths[i].name for i in (0, 2, 3)]
    pd.testing.assert_frame_equal(pd.read_csv(store.path / "bad_files.csv"), store.bad, check_dtype=False)
    assert len(store.read(1)) == 8001
    assert store.read(4).tolist() == [0] * 100
    with pytest.raises(ValueError, match="Row 3 is a bad file"):
        store.read(3)
    reversed_rows = open_quietly(Manifest(corpus.table.iloc[::-1]), tmp_path, max_bad_fraction=1)
    assert reversed_rows.bad["reason"].tolist() == expected[::-1]


def test_a_file_that_turns_bad_half_way_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make_corpus(tmp_path, 3)
    read_pcm = audio.read_pcm

    def damaged(path: str, sample_rate: int) -> Iterator[np.ndarray]:
        yield from read_pcm(path, sample_rate)
        if path.endswith("clip 001.wav"):
            raise audio.AudioError(path, "it is cut short")

    monkeypatch.setattr(audio, "read_pcm", damaged)
    store = open_quietly(corpus, tmp_path, max_bad_fraction=1)
    assert store.lengths.tolist() == [8000, -1, 8002]
    np.testing.assert_array_equal(store.read(2), soundfile.read(corpus.table["path"][2], dtype="float32")[0])


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("num_workers", [0, 1])
def test_too_small_a_disk_is_noticed_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_workers: int
) -> None:
    corpus = make_corpus_with(tmp_path, {3: "crashes"} if num_workers else {})
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(
        ValueError,
        match=r"10 files \(0.2 MiB\) take about 0.[23] MiB as 16000 Hz waveforms, but .* has 0.1 MiB free",
    ):
        open_quietly(corpus, tmp_path, num_workers=num_workers)
    assert not list(tmp_path.glob("cache/waveforms/*/part*"))


@pytest.mark.usefixtures("small_parts")
def test_a_disk_that_fills_up_gives_a_sentence_and_no_half_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[int]
) -> None:
    corpus = make_corpus(tmp_path)
    append, appended = store_parts._append, []

    def fills_up(file: BinaryIO, job: store_parts.Job, number: int) -> store_parts.Entry:
        appended.append(number)
        if len(appended) == 6:
            file.write(b"half a clip")
            raise OSError(errno.ENOSPC, "No space left on device")
        return append(file, job, number)

    with monkeypatch.context() as patch:
        patch.setattr(store_parts, "_append", fills_up)
        with pytest.raises(
            ValueError, match=r"The disk filled up while waveforms were written to .*Free some room"
        ):
            open_quietly(corpus, tmp_path)
    folder = next((tmp_path / "cache" / "waveforms").iterdir())
    kept = sorted(path.name for path in folder.iterdir())
    assert kept == ["build.lock", "part-00000.i16", "part-00000.npz", "part-00001.i16", "part-00001.npz"]
    decoded.clear()
    assert_holds(open_quietly(corpus, tmp_path), corpus)
    assert decoded == [2, 3, 4]


def test_workers_are_gone_before_what_is_unfinished_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[psutil.Process] = []
    children = psutil.Process().children
    remove = store_parts.remove_left_overs

    def interrupted(*_: object) -> None:
        assert children()
        raise KeyboardInterrupt

    def removed(folder: Path) -> None:
        left.extend(children())
        remove(folder)

    monkeypatch.setattr(store_parts, "MIN_PART_BYTES", 32 << 10)
    monkeypatch.setattr("rich.progress.Progress.advance", interrupted)
    monkeypatch.setattr(store_parts, "remove_left_overs", removed)
    with pytest.raises(KeyboardInterrupt):
        open_quietly(make_corpus(tmp_path), tmp_path, num_workers=1)
    assert not left


def test_copies_in_other_processes_open_their_own_files(tmp_path: Path) -> None:
    store = open_quietly(make_corpus(tmp_path), tmp_path)
    whole = everything(store)
    copy = pickle.loads(pickle.dumps(store))
    assert len(pickle.dumps(store)) < 20_000
    for one, other in zip(whole, everything(copy), strict=True):
        np.testing.assert_array_equal(one, other)
    open_files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    del store, copy
    assert len(os.listdir("/proc/self/fd")) == open_files - 2  # noqa: PTH208


def test_a_part_cut_while_in_use_is_an_error_not_a_short_clip(tmp_path: Path) -> None:
    store = open_quietly(make_corpus(tmp_path), tmp_path)
    os.truncate(store_parts.data_path(store.path, 0), 20_000)
    with pytest.raises(ValueError, match=r"part-00000.i16 ends early: it was changed while in use"):
        store.read(9)


def test_plan_covers_every_file_in_few_parts_of_like_size() -> None:
    generator = np.random.default_rng(0)
    for sizes in (
        np.array([-1]),
        generator.integers(-1, 10, 1000),
        generator.integers(50_000, 300_000, 20_000),
        np.full(3, 200 << 20),
        generator.integers(0, 500 << 20, 5000),
    ):
        first = store_parts.plan(sizes.astype(np.int64))
        assert first[0] == 0
        assert first[-1] == len(sizes)
        assert (np.diff(first) > 0).all()
        assert len(first) - 1 <= store_parts.MAX_PARTS
        limit = max(store_parts.MIN_PART_BYTES, sizes.sum() / store_parts.MAX_PARTS)
        for begin, end in itertools.pairwise(first):
            assert sizes[begin : end - 1].sum() <= limit * 1.01 + 1
    assert store_parts.plan(np.full(3, 200 << 20, np.int64)).tolist() == [0, 1, 2, 3]


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DFX_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    store = open_store(make_corpus(tmp_path, 1), 16000, num_workers=0, progress=False)
    assert store.path.parent == tmp_path / "waveforms"
    monkeypatch.delenv("DFX_CACHE")
    assert cache_dir().name == "dfx"


@pytest.mark.slow
def test_two_hours_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(16, np.int16), 22050)
    size = 2 * 3600 * 22050 * 2
    header = bytearray(path.read_bytes()[:44])
    header[4:8] = (size + 36).to_bytes(4, "little")
    header[40:44] = size.to_bytes(4, "little")
    path.write_bytes(header)
    os.truncate(path, 44 + size)  # a sparse file: two hours of silence
    manifest_of([path]).write(tmp_path / "m.csv")
    body = """
        def peak():  # not ru_maxrss, which begins with the peak of the parent
            return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
        before = peak()
        made = store.open_store(corpus, 16000, folder / "cache", num_workers=0, progress=False)
        made.read(0, 3600 * 16000, 64000)
        made = store.open_store(corpus, 16000, folder / "cache", num_workers=0, progress=False)
        print(made.length(0), peak() - before)
    """
    run = run_script(tmp_path, body)
    out, err = run.communicate(timeout=120)
    length, kibibytes = map(int, out.split())
    assert length == 2 * 3600 * 16000, err
    assert kibibytes < 64 << 10  # the waveform is 230 MB as 16-bit samples, 460 MB as float32
